//! What can be set when the proxy starts. Everything else is in the table.

use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Holds `admin.sock`, `lock`, `table.json` and `table.previous.json`; made when missing.
    pub dir: PathBuf,
    /// How long a fallback table waits for a controller before it serves anyway.
    pub fallback_grace: Duration,
    /// How long requests in flight may take when the proxy is told to stop.
    pub shutdown_deadline: Duration,
    pub connect_timeout: Duration,
    /// From the last byte of the request to the head of the answer.
    pub response_timeout: Duration,
    /// How long a client may take for the head of a request; an idle connection, too.
    pub header_timeout: Duration,
    /// How long a connection to an upstream may wait for its next request. Shorter than what
    /// servers commonly allow (5 s), so that the proxy closes first.
    pub pool_idle: Duration,
    /// The same for requests that must not be sent twice.
    pub pool_idle_unsafe: Duration,
}

impl Options {
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            fallback_grace: Duration::from_secs(2),
            shutdown_deadline: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(60),
            header_timeout: Duration::from_secs(60),
            pool_idle: Duration::from_secs(3),
            pool_idle_unsafe: Duration::from_millis(500),
        }
    }
}
