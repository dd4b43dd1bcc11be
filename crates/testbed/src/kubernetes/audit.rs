//! What an API server was asked, written down by itself: one file for each control plane, and more of them where it gets long.

use std::path::{Path, PathBuf};

/// Everything that was begun, without what was in it.
const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, Panic]
rules: [{level: Metadata}]
";

/// Where those of tests write, if somebody wants it.
pub(super) fn folder() -> Option<PathBuf> {
    std::env::var_os("BELAY_AUDIT").map(PathBuf::from)
}

/// What the API server of a control plane is told.
pub(super) fn arguments(dir: &Path, folder: &Path) -> Result<[String; 2], String> {
    let policy = dir.join("audit.yaml");
    std::fs::write(&policy, POLICY).map_err(|e| format!("the audit policy: {e}"))?;
    let log = folder.join(name(dir, "audit"));
    Ok([
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", log.display()),
    ])
}

/// What a file of a control plane is called.
pub(super) fn name(dir: &Path, ending: &str) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    format!("{name}.{ending}")
}
