//! The client side of the admin API. One connection per call: the proxy may be restarted between
//! two calls, and calls are rare.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::{
    Applied, Confirm, DeleteRoute, Drain, Drained, PutRoute, Refusal, SocketPath, Stats,
    StatsRequest, Status, Table, path,
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens: the proxy is not running.
    #[error("connect to the proxy at {}", path.display())]
    Connect { path: PathBuf, source: io::Error },
    /// What became of the request is not known; changes may be sent again.
    #[error("talk to the proxy")]
    Transport(#[source] hyper::Error),
    #[error("get an answer of the proxy within {0:?}")]
    Timeout(Duration),
    #[error("understand the answer of the proxy (status {status})")]
    Answer {
        status: u16,
        source: serde_json::Error,
    },
    #[error("have the proxy accept: {0}")]
    Refused(Refusal),
}

impl Error {
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        if let Self::Refused(refusal) = self {
            Some(refusal)
        } else {
            None
        }
    }
}

#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    timeout: Duration,
}

impl Client {
    /// `socket` is the path of `admin.sock`.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            timeout: Duration::from_secs(10),
        }
    }

    /// For the proxy whose directory is `dir`.
    #[must_use]
    pub fn for_dir(dir: &Path) -> Self {
        Self::new(dir.join(path::SOCKET))
    }

    /// How long an answer may take; 10 s at first. `drain` adds its own deadline.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub async fn table(&self) -> Result<Table, Error> {
        self.call(path::TABLE, &(), Duration::ZERO).await
    }

    pub async fn put_route(&self, put: &PutRoute) -> Result<Applied, Error> {
        self.call(path::PUT_ROUTE, put, Duration::ZERO).await
    }

    pub async fn delete_route(&self, delete: &DeleteRoute) -> Result<Applied, Error> {
        self.call(path::DELETE_ROUTE, delete, Duration::ZERO).await
    }

    pub async fn stats(&self, request: &StatsRequest) -> Result<Stats, Error> {
        self.call(path::STATS, request, Duration::ZERO).await
    }

    pub async fn drain(&self, drain: &Drain) -> Result<Drained, Error> {
        self.call(path::DRAIN, drain, Duration::from_millis(drain.deadline_ms))
            .await
    }

    pub async fn status(&self) -> Result<Status, Error> {
        self.call(path::STATUS, &(), Duration::ZERO).await
    }

    pub async fn confirm(&self, number: u64) -> Result<Status, Error> {
        self.call(path::CONFIRM, &Confirm { number }, Duration::ZERO)
            .await
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &'static str,
        question: &Q,
        more_time: Duration,
    ) -> Result<A, Error> {
        let timeout = self.timeout.saturating_add(more_time);
        tokio::time::timeout(timeout, self.exchange(path, question))
            .await
            .map_err(|_| Error::Timeout(timeout))?
    }

    async fn exchange<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &'static str,
        question: &Q,
    ) -> Result<A, Error> {
        let connect = |source| Error::Connect {
            path: self.socket.clone(),
            source,
        };
        let body =
            serde_json::to_vec(question).map_err(|source| Error::Answer { status: 0, source })?;
        let short = SocketPath::new(&self.socket).map_err(connect)?;
        let stream = UnixStream::connect(short.as_path())
            .await
            .map_err(connect)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(Error::Transport)?;
        tokio::spawn(connection);
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = hyper::Uri::from_static(path);
        request.headers_mut().insert(
            hyper::header::HOST,
            hyper::header::HeaderValue::from_static("proxy"),
        );
        let answer = sender
            .send_request(request)
            .await
            .map_err(Error::Transport)?;
        let status = answer.status();
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(Error::Transport)?
            .to_bytes();
        let unreadable = |source| Error::Answer {
            status: status.as_u16(),
            source,
        };
        if status.is_success() {
            serde_json::from_slice(&body).map_err(unreadable)
        } else {
            Err(Error::Refused(
                serde_json::from_slice(&body).map_err(unreadable)?,
            ))
        }
    }
}
