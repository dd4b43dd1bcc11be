//! What an API server was asked, written down by itself where `BELAY_AUDIT` names a folder: one file for each control plane.

use std::path::Path;

/// Everything that was begun, without what was in it.
const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, Panic]
rules: [{level: Metadata}]
";

/// What the API server is told.
pub(super) fn arguments(dir: &Path) -> Result<Vec<String>, String> {
    let Some(folder) = std::env::var_os("BELAY_AUDIT") else {
        return Ok(Vec::new());
    };
    let policy = dir.join("audit.yaml");
    std::fs::write(&policy, POLICY).map_err(|e| format!("the audit policy: {e}"))?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let log = Path::new(&folder).join(format!("{name}.audit"));
    Ok(vec![
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", log.display()),
    ])
}
