//! A proxy in this process, upstreams that misbehave on demand, and a client that never retries.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use belay_proxy::{Error, Options};
use belay_proxy_api::{
    Applied, Client, Drain, Drained, Expect, Group, GroupStats, PutRoute, Route, SplitBy,
    StatsRequest, Upstream,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

pub(crate) const ROUTE: &str = "front";

/// Waits for a condition, not for a time.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "waited in vain until {what}");
}

pub(crate) async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

pub(crate) struct Proxy {
    pub(crate) client: Client,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), Error>>,
}

impl Proxy {
    pub(crate) async fn start(dir: &Path) -> Self {
        Self::start_with(Options::new(dir)).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let client = Client::for_dir(&options.dir);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(belay_proxy::run(options, async {
            let _ = stopped.await;
        }));
        until("the proxy answers", || async {
            client.status().await.is_ok()
        })
        .await;
        Self {
            client,
            stop: Some(stop),
            task,
        }
    }

    pub(crate) async fn put(&self, route: &Route) -> Applied {
        let put = PutRoute {
            name: ROUTE.into(),
            route: route.clone(),
            expect: Expect::default(),
        };
        self.client.put_route(&put).await.unwrap()
    }

    pub(crate) async fn group(&self, group: &str) -> GroupStats {
        let stats = self.client.stats(&StatsRequest::default()).await.unwrap();
        stats.routes[ROUTE].groups[group].clone()
    }

    pub(crate) async fn in_flight_is(&self, group: &str, wanted: u64) {
        let what = format!("{wanted} are in flight in {group}");
        until(&what, || async {
            self.group(group).await.in_flight == wanted
        })
        .await;
    }

    pub(crate) async fn drain(&self, group: &str, deadline_ms: u64) -> Drained {
        let drain = Drain {
            route: ROUTE.into(),
            group: group.into(),
            deadline_ms,
        };
        self.client.drain(&drain).await.unwrap()
    }

    /// As SIGTERM does.
    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn ended(self) -> Result<(), Error> {
        self.task.await.unwrap()
    }

    /// Drops the proxy in the middle of whatever it does.
    pub(crate) async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub(crate) fn route(listen: SocketAddr, groups: &[(&str, u32, &[&Backend])]) -> Route {
    let of_group = |(name, weight, backends): &(&str, u32, &[&Backend])| {
        let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
        ((*name).to_owned(), group(*weight, &addresses))
    };
    let groups: BTreeMap<_, _> = groups.iter().map(of_group).collect();
    Route {
        listen,
        split_by: SplitBy::Request,
        groups,
        owner: None,
    }
}

pub(crate) fn group(weight: u32, addresses: &[SocketAddr]) -> Group {
    let numbered = addresses.iter().enumerate();
    let upstreams = numbered.map(|(n, address)| Upstream {
        id: format!("u{n}"),
        address: *address,
    });
    Group {
        weight,
        upstreams: upstreams.collect(),
        health: None,
    }
}

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// An upstream that answers with its name, and more by path.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<BackendState>,
    task: JoinHandle<()>,
}

pub(crate) struct BackendState {
    name: String,
    /// Lets held answers end.
    pub(crate) release: Notify,
    pub(crate) healthy: AtomicBool,
    /// Requests but health checks.
    pub(crate) requests: AtomicU64,
    /// Close every connection right after this many answers on it; 0: never.
    answers_per_connection: u64,
}

impl Backend {
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_closing(name, 0).await
    }

    pub(crate) async fn start_closing(name: &str, answers_per_connection: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(BackendState {
            name: name.to_owned(),
            release: Notify::new(),
            healthy: AtomicBool::new(true),
            requests: AtomicU64::new(0),
            answers_per_connection,
        });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                if shared.answers_per_connection > 0 {
                    tokio::spawn(close_silently(stream, shared.clone()));
                    continue;
                }
                let state = shared.clone();
                let service = hyper::service::service_fn(move |request| {
                    let state = state.clone();
                    async move { Ok::<_, Infallible>(answer(state, request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                tokio::spawn(connection);
            }
        });
        Self {
            address,
            state,
            task,
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Says nothing of closing, and closes: what a proxy's idle connections have to live with.
async fn close_silently(stream: TcpStream, state: Arc<BackendState>) {
    let mut stream = BufReader::new(stream);
    for _ in 0..state.answers_per_connection {
        let mut line = String::new();
        let mut length = 0;
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        state.requests.fetch_add(1, Ordering::SeqCst);
        let name = &state.name;
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}",
            name.len()
        );
        stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
    }
    // The close meets the next request on its way.
    let _ = stream.read_line(&mut String::new()).await;
}

fn full(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(text.into())
        .map_err(|never| match never {})
        .boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}

async fn answer(state: Arc<BackendState>, mut request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path == "/healthz" {
        let healthy = state.healthy.load(Ordering::SeqCst);
        let status = if healthy {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        return full(status, "");
    }
    state.requests.fetch_add(1, Ordering::SeqCst);
    match path.as_str() {
        "/headers" => full(
            StatusCode::OK,
            format!("{} {:?}", request.uri(), request.headers()),
        ),
        "/upload" => match request.into_body().collect().await {
            Ok(body) => full(StatusCode::OK, body.to_bytes().len().to_string()),
            Err(_) => full(StatusCode::BAD_REQUEST, "broken"),
        },
        "/held" => {
            state.release.notified().await;
            full(StatusCode::OK, "released")
        }
        "/events" => events(state, false),
        "/breaks" => events(state, true),
        "/echo" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    stream.write_all(&buffer[..count]).await.unwrap();
                }
            });
            let mut answer = full(StatusCode::SWITCHING_PROTOCOLS, "");
            answer
                .headers_mut()
                .insert("connection", "upgrade".parse().unwrap());
            answer
                .headers_mut()
                .insert("upgrade", "echo".parse().unwrap());
            answer
        }
        _ => match path
            .strip_prefix("/status/")
            .and_then(|status| status.parse().ok())
        {
            Some(status) => full(StatusCode::from_u16(status).unwrap(), state.name.clone()),
            None => full(StatusCode::OK, state.name.clone()),
        },
    }
}

/// One event at once; the end, good or bad, when released.
fn events(state: Arc<BackendState>, breaks: bool) -> Response<Body> {
    let (tx, rx) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        let first = Frame::data(Bytes::from_static(b"data: 1\n\n"));
        let _ = tx.send(Ok(first)).await;
        state.release.notified().await;
        if breaks {
            let _ = tx.send(Err(std::io::Error::other("breaks"))).await;
        }
    });
    struct Events(tokio::sync::mpsc::Receiver<Result<Frame<Bytes>, std::io::Error>>);
    impl hyper::body::Body for Events {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            self.0.poll_recv(cx)
        }
    }
    Response::new(Events(rx).boxed_unsync())
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// As on the wire, in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// One connection. It never connects again and never sends anything twice.
pub(crate) struct Raw {
    pub(crate) stream: BufReader<TcpStream>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream
            .get_mut()
            .write_all(text.as_bytes())
            .await
            .unwrap();
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, String> {
        self.get_with(path, "").await
    }

    /// `headers`: whole lines, each with its line end.
    pub(crate) async fn get_with(&mut self, path: &str, headers: &str) -> Result<Answer, String> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: front.example\r\n{headers}\r\n");
        let sent = self.stream.get_mut().write_all(request.as_bytes()).await;
        sent.map_err(|error| error.to_string())?;
        self.answer().await
    }

    pub(crate) async fn answer(&mut self) -> Result<Answer, String> {
        let (status, head) = self.head().await?;
        let length = field(&head, "content-length").and_then(|value| value.parse().ok());
        let body = match length {
            Some(length) => self.exactly(length).await?,
            None if head.contains("transfer-encoding: chunked") => self.chunks().await?,
            None => String::new(),
        };
        Ok(Answer { status, head, body })
    }

    pub(crate) async fn head(&mut self) -> Result<(u16, String), String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self
                .stream
                .read_line(&mut head)
                .await
                .map_err(|error| error.to_string())?;
            if read == 0 {
                return Err(format!("closed after {head:?}"));
            }
        }
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        Ok((
            status.ok_or_else(|| head.clone())?,
            head.to_ascii_lowercase(),
        ))
    }

    pub(crate) async fn exactly(&mut self, length: usize) -> Result<String, String> {
        let mut body = vec![0; length];
        self.stream
            .read_exact(&mut body)
            .await
            .map_err(|error| error.to_string())?;
        String::from_utf8(body).map_err(|error| error.to_string())
    }

    /// None at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<String>, String> {
        let mut line = String::new();
        self.stream
            .read_line(&mut line)
            .await
            .map_err(|error| error.to_string())?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(|error| error.to_string())?;
        let chunk = self.exactly(length).await?;
        self.exactly(2).await?;
        Ok((length > 0).then_some(chunk))
    }

    async fn chunks(&mut self) -> Result<String, String> {
        let mut body = String::new();
        while let Some(chunk) = self.chunk().await? {
            body.push_str(&chunk);
        }
        Ok(body)
    }

    pub(crate) async fn is_closed(&mut self) -> bool {
        self.stream.read_u8().await.is_err()
    }
}

pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
}
