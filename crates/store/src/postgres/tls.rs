//! How connections are secured: what the URL and PostgreSQL's own variables ask for, and what it means when it fails.
//!
//! The words are those of libpq (<https://www.postgresql.org/docs/current/libpq-ssl.html>), with three differences.
//! Nothing is looked for in `~/.postgresql`: the worker may be another user. `verify-full` without `sslrootcert` trusts
//! the authorities of the system. And files are named by their full paths: the worker runs in another directory.

use super::tables::OpenError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::path::{Path, PathBuf};
use url::Url;

/// Where each thing is asked for: parameters of the URL, then a variable.
const MODE: (&[&str], &str) = (&["sslmode", "ssl-mode"], "PGSSLMODE");
const ROOT: (&[&str], &str) = (&["sslrootcert", "ssl-root-cert", "ssl-ca"], "PGSSLROOTCERT");
const CERTIFICATE: (&[&str], &str) = (&["sslcert", "ssl-cert"], "PGSSLCERT");
const KEY: (&[&str], &str) = (&["sslkey", "ssl-key"], "PGSSLKEY");

/// In the place of a file: the authorities of the system.
const SYSTEM: &str = "system";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    mode: Mode,
    roots: Roots,
    /// Our own certificate, and its key.
    own: Option<(PathBuf, PathBuf)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

#[derive(Debug, PartialEq, Eq)]
enum Roots {
    /// The certificate is not looked at.
    Any,
    System,
    File(PathBuf),
}

impl Asked {
    /// # Errors
    /// `Url` when the words make no sense together, `Certificates` when a file cannot be used.
    pub(super) fn of(
        url: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, OpenError> {
        let parsed = Url::parse(url).ok();
        let asked = |(names, name): (&[&str], &str)| {
            let pairs = parsed.iter().flat_map(Url::query_pairs);
            let found = pairs.filter(|(key, _)| names.contains(&key.as_ref()));
            let last = found.last().map(|(_, value)| value.into_owned());
            last.or_else(|| variable(name))
                .filter(|value| !value.is_empty())
        };
        let root = asked(ROOT);
        let is_system = root.as_deref() == Some(SYSTEM);
        let mode = match asked(MODE) {
            Some(word) => Mode::of(&word)?,
            None if is_system => Mode::VerifyFull,
            None => Mode::Prefer,
        };
        let mode = match (mode, &root) {
            // Whoever names an authority wants it to be looked at: so does libpq.
            (Mode::Require, Some(_)) if !is_system => Mode::VerifyCa,
            _ => mode,
        };
        let roots = match (mode, root) {
            (Mode::VerifyFull, None) => Roots::System,
            (Mode::VerifyFull, Some(_)) if is_system => Roots::System,
            (Mode::VerifyCa, None) => {
                return Err(no_sense(
                    "sslmode=verify-ca needs an authority: sslrootcert",
                ));
            }
            (_, Some(_)) if is_system => {
                // Anyone has a certificate of one of them.
                return Err(no_sense("sslrootcert=system needs sslmode=verify-full"));
            }
            (Mode::VerifyCa | Mode::VerifyFull, Some(path)) => {
                Roots::File(certificates("sslrootcert", &path)?)
            }
            (Mode::Disable | Mode::Prefer | Mode::Require, _) => Roots::Any,
        };
        let own = match (asked(CERTIFICATE), asked(KEY)) {
            _ if mode == Mode::Disable => None,
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                Some((certificates("sslcert", &certificate)?, private_key(&key)?))
            }
            _ => return Err(no_sense("sslcert and sslkey are named together")),
        };
        Ok(Self { mode, roots, own })
    }

    /// The same, as sqlx is told.
    ///
    /// # Errors
    /// `Certificates` when the system has no authorities.
    pub(super) fn tell(&self, options: PgConnectOptions) -> Result<PgConnectOptions, OpenError> {
        if options.get_socket().is_some() {
            // It never leaves the machine; libpq does the same.
            return Ok(options.ssl_mode(PgSslMode::Disable));
        }
        let options = options.ssl_mode(match self.mode {
            Mode::Disable => PgSslMode::Disable,
            Mode::Prefer => PgSslMode::Prefer,
            Mode::Require => PgSslMode::Require,
            Mode::VerifyCa => PgSslMode::VerifyCa,
            Mode::VerifyFull => PgSslMode::VerifyFull,
        });
        let options = match &self.roots {
            Roots::Any => options,
            Roots::System => options.ssl_root_cert_from_pem(of_the_system()?),
            Roots::File(path) => options.ssl_root_cert(path),
        };
        Ok(match &self.own {
            Some((certificate, key)) => options.ssl_client_cert(certificate).ssl_client_key(key),
            None => options,
        })
    }
}

impl Mode {
    fn of(word: &str) -> Result<Self, OpenError> {
        match word {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(no_sense(
                "sslmode is disable, prefer, require, verify-ca or verify-full",
            )),
        }
    }
}

fn no_sense(why: &str) -> OpenError {
    OpenError::Url(why.to_owned())
}

/// A file that holds certificates.
fn certificates(parameter: &str, path: &str) -> Result<PathBuf, OpenError> {
    let (path, bytes) = read(parameter, path)?;
    let mut found = CertificateDer::pem_slice_iter(&bytes).peekable();
    match found.peek().is_some() && found.all(|one| one.is_ok()) {
        true => Ok(path),
        false => Err(unusable(parameter, &path, "it holds no certificate in PEM")),
    }
}

/// A file that holds a key without a password.
fn private_key(path: &str) -> Result<PathBuf, OpenError> {
    let (path, bytes) = read("sslkey", path)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(_) => Ok(path),
        Err(_) => {
            let why = "it holds no key in PEM, or one with a password";
            Err(unusable("sslkey", &path, why))
        }
    }
}

fn read(parameter: &str, path: &str) -> Result<(PathBuf, Vec<u8>), OpenError> {
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        let why = "name it by its full path: workers run in another directory";
        return Err(unusable(parameter, &path, why));
    }
    match std::fs::read(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(error) => Err(unusable(parameter, &path, &error.to_string())),
    }
}

fn unusable(parameter: &str, path: &Path, why: &str) -> OpenError {
    OpenError::Certificates(format!("{parameter} {}: {why}", path.display()))
}

/// PEM of all that the system trusts.
fn of_the_system() -> Result<Vec<u8>, OpenError> {
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        let why = "this system has no authorities; name one as sslrootcert";
        return Err(OpenError::Certificates(why.to_owned()));
    }
    let mut pem = String::new();
    for certificate in found {
        let text = BASE64_STANDARD.encode(&certificate);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        pem.push_str(&text);
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    Ok(pem.into_bytes())
}

/// What of a failed connection is because of TLS.
pub(super) fn refused(error: &sqlx::Error) -> Option<OpenError> {
    let cause: &(dyn std::error::Error + 'static) = match error {
        sqlx::Error::Io(error) => error.get_ref()?,
        // The only error of sqlx's own that is no other library's.
        sqlx::Error::Tls(error) if error.to_string().contains("does not support TLS") => {
            return Some(OpenError::NoTls);
        }
        sqlx::Error::Tls(error) => error.as_ref(),
        _ => return None,
    };
    match cause.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(why) => Some(OpenError::Untrusted(untrusted(why))),
        rustls::Error::AlertReceived(alert) if is_about_ours(*alert) => {
            let why = format!("the server refuses ours ({alert:?})");
            Some(OpenError::Certificates(why))
        }
        other => Some(OpenError::Unreachable(format!(
            "the connection cannot be secured ({other})"
        ))),
    }
}

fn untrusted(why: &CertificateError) -> String {
    match why {
        // The second: by one that only calls itself the same.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "no authority that is trusted here has signed it".to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let name = expected.to_str();
            format!("it is not for {name}, but for {}", presented.join(", "))
        }
        CertificateError::NotValidForName => "it is for another host".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; see that the clock is right".to_owned()
        }
        // webpki refuses an authority's own certificate as a server's.
        CertificateError::Other(why) if why.to_string().contains("CaUsedAsEndEntity") => {
            "it is the certificate of an authority: the server needs one that is signed by it"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// Whether the server speaks of our certificate.
fn is_about_ours(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::CertificateRequired
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &str) -> Result<Asked, OpenError> {
        Asked::of(&format!("postgres://belay@host/belay?{query}"), |_| None)
    }

    fn check(query: &str, mode: Mode, roots: Roots) {
        let asked = ask(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!((asked.mode, asked.roots), (mode, roots), "{query}");
    }

    fn refuse(query: &str, why: &str) {
        let refused = ask(query).expect_err(query).to_string();
        assert!(refused.contains(why), "{query}: {refused}");
    }

    /// A file in PEM, and how it is named in a URL.
    fn file(content: &str) -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), content).expect("written");
        let name = file.path().display().to_string();
        (file, name)
    }

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn modes_are_those_of_libpq() {
        let (_file, root) = file(PEM);
        let named = || Roots::File(PathBuf::from(&root));
        check("", Mode::Prefer, Roots::Any);
        check("sslmode=disable", Mode::Disable, Roots::Any);
        check("sslmode=prefer", Mode::Prefer, Roots::Any);
        check("ssl-mode=require", Mode::Require, Roots::Any);
        let with = |mode: &str| format!("sslmode={mode}&sslrootcert={root}");
        check(&with("require"), Mode::VerifyCa, named());
        check(&with("verify-ca"), Mode::VerifyCa, named());
        check(&with("verify-full"), Mode::VerifyFull, named());
        check(&with("prefer"), Mode::Prefer, Roots::Any);
        check("sslmode=verify-full", Mode::VerifyFull, Roots::System);
        check("sslrootcert=system", Mode::VerifyFull, Roots::System);
        refuse("sslmode=verify-ca", "needs an authority");
        refuse("sslmode=require&sslrootcert=system", "verify-full");
        refuse("sslmode=verify-ca&sslrootcert=system", "verify-full");
        refuse("sslmode=allow", "sslmode is disable, prefer");
        refuse("sslmode=verify_full", "sslmode is disable, prefer");
    }

    #[test]
    fn files_are_looked_at_before_anyone_is_asked() {
        let (_file, root) = file(PEM);
        let (_other, text) = file("no certificate");
        let with = |root: &str| format!("sslmode=verify-full&sslrootcert={root}");
        refuse(&with("ca.pem"), "full path");
        refuse(
            &with("/not/there.pem"),
            "sslrootcert /not/there.pem: No such",
        );
        refuse(&with(&text), "no certificate");
        refuse(&format!("sslcert={root}"), "together");
        refuse(&format!("sslcert={root}&sslkey={root}"), "no key");
        let (_key, key) = file("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        let asked = ask(&format!("sslcert={root}&sslkey={key}")).expect("asked");
        assert_eq!(asked.own, Some((root.into(), key.into())));
    }

    #[test]
    fn the_url_goes_before_variables() {
        let variable = |name: &str| (name == "PGSSLMODE").then(|| "require".to_owned());
        let asked = |url: &str| Asked::of(url, variable).expect("asked").mode;
        assert_eq!(asked("postgres://belay@host/belay"), Mode::Require);
        let url = "postgres://belay@host/belay?sslmode=disable";
        assert_eq!(asked(url), Mode::Disable);
        let wrong = |_: &str| Some("yes".to_owned());
        assert!(Asked::of("postgres://belay@host/belay", wrong).is_err());
    }
}
