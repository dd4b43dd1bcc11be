//! The certificates of a control plane. A real authority, not the API server's own certificate: rustls refuses one that
//! is its own issuer.

use crate::certificates::{base64, certificate};
use crate::release::run;
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// The authority and the administrator, in base64 as a kubeconfig has them.
pub(super) struct Credentials {
    authority: String,
    certificate: String,
    key: String,
}

/// Makes all of them in `dir`: `ca`, `server` and `admin` as `.crt` and `.key`, and `accounts.key`.
pub(super) fn make(dir: &Path) -> Result<Credentials, String> {
    let authority = [
        "basicConstraints=critical,CA:TRUE",
        "keyUsage=critical,keyCertSign,digitalSignature",
    ];
    certificate(dir, "ca", "/CN=test-ca", &authority, false)?;
    let server = [
        "basicConstraints=critical,CA:FALSE",
        "extendedKeyUsage=serverAuth",
        "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc",
    ];
    certificate(dir, "server", "/CN=kube-apiserver", &server, true)?;
    let admin = [
        "basicConstraints=critical,CA:FALSE",
        "extendedKeyUsage=clientAuth",
    ];
    certificate(dir, "admin", "/O=system:masters/CN=admin", &admin, true)?;
    let mut key = Command::new("openssl");
    key.args([
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-noout",
        "-out",
        "accounts.key",
    ]);
    run(key.current_dir(dir))?;
    let base64 = |name: &str| base64(&dir.join(name));
    Ok(Credentials {
        authority: base64("ca.crt")?,
        certificate: base64("admin.crt")?,
        key: base64("admin.key")?,
    })
}

/// A kubeconfig, in JSON, which is YAML.
pub(super) fn kubeconfig(credentials: &Credentials, url: &str, context: &str) -> String {
    let cluster = json!({ "server": url, "certificate-authority-data": credentials.authority });
    let user = json!({ "client-certificate-data": credentials.certificate, "client-key-data": credentials.key });
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": cluster }],
        "users": [{ "name": "admin", "user": user }],
        "contexts": [{ "name": context, "context": { "cluster": "test", "user": "admin" } }],
        "current-context": context,
    });
    config.to_string()
}
