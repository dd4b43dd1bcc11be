//! Certificates for servers of tests and for their clients, made with openssl.

use crate::release::run;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// An authority of a test, and what it signs: files in PEM in a directory of its own.
#[derive(Debug)]
pub struct Authority(tempfile::TempDir);

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The file with the certificate.
    pub certificate: PathBuf,
    /// The file with its key.
    pub key: PathBuf,
}

impl Identity {
    /// How a server proves with it who it is.
    ///
    /// # Errors
    /// The files cannot be read.
    pub(crate) fn serving(&self) -> Result<Arc<ServerConfig>, String> {
        let text = |error: rustls::pki_types::pem::Error| error.to_string();
        let unusable = |error: rustls::Error| error.to_string();
        let certificates = CertificateDer::pem_file_iter(&self.certificate).map_err(text)?;
        let certificates: Result<Vec<_>, _> = certificates.collect();
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(text)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(certificates.map_err(text)?, key)
            .map_err(unusable)?;
        Ok(Arc::new(config))
    }
}

impl Authority {
    /// A new one, that nobody trusts yet.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn new() -> Result<Self, String> {
        let dir = tempfile::Builder::new()
            .prefix("belay-authority-")
            .tempdir();
        let authority = Self(dir.map_err(|e| e.to_string())?);
        let extensions = [
            "basicConstraints=critical,CA:TRUE",
            "keyUsage=critical,keyCertSign,digitalSignature",
        ];
        certificate(
            authority.0.path(),
            "ca",
            "/CN=test authority",
            &extensions,
            false,
        )?;
        Ok(authority)
    }

    /// The file with its own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.0.path().join("ca.crt")
    }

    /// A certificate for a server of that name, as in `DNS:localhost` or `IP:127.0.0.1`.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn server(&self, name: &str) -> Result<Identity, String> {
        let name = format!("subjectAltName={name}");
        self.issue(
            "server",
            "/CN=server",
            &["extendedKeyUsage=serverAuth", &name],
        )
    }

    /// A certificate for a client who is called so.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn client(&self, name: &str) -> Result<Identity, String> {
        let subject = format!("/CN={name}");
        self.issue(name, &subject, &["extendedKeyUsage=clientAuth"])
    }

    fn issue(&self, file: &str, subject: &str, extensions: &[&str]) -> Result<Identity, String> {
        let dir = self.0.path();
        let extensions = [&["basicConstraints=critical,CA:FALSE"], extensions].concat();
        certificate(dir, file, subject, &extensions, true)?;
        Ok(Identity {
            certificate: dir.join(format!("{file}.crt")),
            key: dir.join(format!("{file}.key")),
        })
    }
}

/// Makes `NAME.crt` and `NAME.key` in `dir`, signed by `ca` there if it is issued, else by itself.
pub(crate) fn certificate(
    dir: &Path,
    name: &str,
    subject: &str,
    extensions: &[&str],
    is_issued: bool,
) -> Result<(), String> {
    let mut request = Command::new("openssl");
    request
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "3650", "-subj", subject])
        .args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.crt"),
        ])
        .args(
            extensions
                .iter()
                .flat_map(|extension| ["-addext", extension]),
        );
    if is_issued {
        request.args(["-CA", "ca.crt", "-CAkey", "ca.key"]);
    }
    run(request.current_dir(dir))
}

/// A file in base64, as Kubernetes has certificates in its objects.
pub(crate) fn base64(file: &Path) -> Result<String, String> {
    let mut encode = Command::new("openssl");
    encode.args(["base64", "-A", "-in"]).arg(file);
    let done = encode.output().map_err(|e| format!("openssl: {e}"))?;
    String::from_utf8(done.stdout).map_err(|e| e.to_string())
}
