//! Where the server is, and how its connections are set up.

use super::tables::OpenError;
use super::tls::Asked;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What a connection may be asked for in the URL. Others are refused: sqlx would print them to the log, value and all.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
];

/// How a store on PostgreSQL is opened.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. Never printed.
    pub url: String,
    /// Connections that write journals, at least 1. More of them only help where commits are slow.
    pub writers: usize,
    /// Connections that read, at least 1.
    pub readers: u32,
    /// How long a worker's leases live without being renewed.
    pub lease: Duration,
    /// Living leases of one environment name at most, over all workers, of deployments that go forward: what it may be busy with
    /// at once. What waits, bakes or goes back needs no room.
    pub leases_per_environment: usize,
    /// How often we look for commits that nobody told us of.
    pub poll: Duration,
}

impl PostgresOptions {
    /// The usual ones, for a server.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            writers: 4,
            readers: 8,
            lease: Duration::from_secs(5),
            leases_per_environment: 64,
            poll: Duration::from_secs(1),
        }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("url", &"(not shown)")
            .field("writers", &self.writers)
            .field("readers", &self.readers)
            .field("lease", &self.lease)
            .field("leases_per_environment", &self.leases_per_environment)
            .field("poll", &self.poll)
            .finish()
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Write,
    Read,
    Progress,
    /// Making and changing the tables: waits for others who do it.
    Migrate,
}

/// How to connect.
#[derive(Clone)]
pub(super) struct Server(PgConnectOptions);

impl Server {
    /// # Errors
    /// `Url`; the error does not contain it. `Certificates`, which names files.
    pub(super) fn new(url: &str) -> Result<Self, OpenError> {
        let of_form = || {
            let form = "postgres://USER:PASSWORD@HOST:PORT/DATABASE";
            OpenError::Url(format!("it is not of the form {form}?sslmode=MODE"))
        };
        let is_ours = ["postgres://", "postgresql://"]
            .iter()
            .any(|one| url.starts_with(one));
        if !is_ours {
            return Err(of_form());
        }
        refuse_unknown(url)?;
        let asked = Asked::of(url, |name| std::env::var(name).ok())?;
        // What sqlx says may quote a part of it.
        let options = PgConnectOptions::from_str(url).map_err(|_| of_form())?;
        Ok(Self(
            asked
                .tell(options)?
                .application_name("belay")
                .disable_statement_logging(),
        ))
    }

    pub(super) fn settings(&self, purpose: Purpose) -> PgConnectOptions {
        let all = [
            ("default_transaction_isolation", "read committed"),
            // A client that is gone without a word is noticed, and what it had locked is free again.
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            ("tcp_user_timeout", "20s"),
        ];
        let waits = match purpose {
            // Between two rows of a copy an artifact may be brought.
            Purpose::Migrate => ["60s", "10min", "10min"],
            Purpose::Progress => ["1s", "2s", "10s"],
            Purpose::Write | Purpose::Read => ["10s", "20s", "10s"],
        };
        let [lock, statement, idle] = waits;
        let waits = [
            ("lock_timeout", lock),
            ("statement_timeout", statement),
            ("idle_in_transaction_session_timeout", idle),
        ];
        let own = match purpose {
            // What is acknowledged is on disk, whatever the server's default is.
            Purpose::Write | Purpose::Migrate => ("synchronous_commit", "on"),
            Purpose::Progress => ("synchronous_commit", "off"),
            Purpose::Read => ("default_transaction_read_only", "on"),
        };
        self.0.clone().options(all).options(waits).options([own])
    }
}

fn refuse_unknown(url: &str) -> Result<(), OpenError> {
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    let query = query.split('#').next().unwrap_or_default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        if !PARAMETERS.contains(&name) {
            return Err(OpenError::Url(format!(
                "it has a parameter that is not known; known are {}",
                PARAMETERS.join(", ")
            )));
        }
    }
    Ok(())
}
