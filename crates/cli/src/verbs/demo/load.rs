//! The load: a constant number of requests a second, each remembered with when it began and what came of it. It never
//! tries a request again, so nothing that went wrong is hidden.
//!
//! The crash test uses this file, too, so it uses nothing else of the command.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

/// A client's connection is used that often, then a new one is made: both ways have to work.
const REUSE: u32 = 10;
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long some hundred requests may take where a few seconds are due.
const SLOW: Duration = Duration::from_secs(60);
const PATHS: [&str; 3] = ["/api/books", "/api/authors", "/api/books/4"];
const LARGEST_BODY: usize = 64 << 10;

type Sender = SendRequest<Empty<Bytes>>;
type Unanswered = Box<dyn std::error::Error + Send + Sync>;

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// An answer with this status.
    Answer(u16),
    /// No connection, or one that broke.
    Nothing(String),
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// When it was sent and when it was over, Unix microseconds.
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    /// The release that answered, by its own word.
    pub(crate) release: Option<String>,
    pub(crate) came: Came,
}

impl Seen {
    pub(crate) fn is_good(&self) -> bool {
        self.came == Came::Answer(200)
    }
}

/// How much load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Clients at once.
    pub(crate) clients: u32,
    /// From one request of a client to its next.
    pub(crate) pace: Duration,
    /// How long a request may take before it counts as unanswered.
    pub(crate) patience: Duration,
}

type Log = Arc<Mutex<Vec<Seen>>>;

/// Runs until it is dropped.
pub(crate) struct Load {
    log: Log,
    _tasks: JoinSet<()>,
}

impl Load {
    /// Knocks until there is an answer, which is not counted, then begins.
    pub(crate) fn start(address: SocketAddr, rate: Rate) -> Self {
        let log = Log::default();
        let mut tasks = JoinSet::new();
        for client in 0..rate.clients {
            tasks.spawn(run(address, rate, client, Arc::clone(&log)));
        }
        Self { log, _tasks: tasks }
    }

    /// Everything so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.log).clone()
    }

    /// Waits until that many more requests that began from now on are over.
    pub(crate) async fn more(&self, count: usize) -> Result<(), String> {
        let from = now_us();
        let since = |seen: &&Seen| seen.from_us >= from;
        self.until("requests went on", |log| {
            log.iter().rev().take_while(since).count() >= count
        })
        .await
    }

    /// Waits until what was seen is like that.
    pub(crate) async fn until(
        &self,
        what: &str,
        is: impl Fn(&[Seen]) -> bool,
    ) -> Result<(), String> {
        let deadline = Instant::now() + SLOW;
        while !is(&lock(&self.log)) {
            if Instant::now() >= deadline {
                return Err(format!("waited {} s in vain until {what}", SLOW.as_secs()));
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }
}

fn lock(log: &Log) -> MutexGuard<'_, Vec<Seen>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(address: SocketAddr, rate: Rate, client: u32, log: Log) {
    while !knock(address, rate).await {
        sleep(LOOK_AGAIN).await;
    }
    let mut tick = interval_at(
        Instant::now() + rate.pace * client / rate.clients,
        rate.pace,
    );
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    for number in 0_u32.. {
        tick.tick().await;
        if number.is_multiple_of(REUSE) {
            connection = None;
        }
        let path = PATHS[(number + client) as usize % PATHS.len()];
        let from_us = now_us();
        let asked = timeout(rate.patience, ask(&mut connection, address, path)).await;
        let (release, came) = match asked {
            Ok(Ok((status, release))) => (release, Came::Answer(status)),
            Ok(Err(error)) => (None, Came::Nothing(error.to_string())),
            Err(_) => (None, Came::Nothing("no answer in time".to_owned())),
        };
        if matches!(came, Came::Nothing(_)) {
            connection = None;
        }
        let seen = Seen {
            from_us,
            to_us: now_us(),
            release,
            came,
        };
        lock(&log).push(seen);
    }
}

/// Unix microseconds.
fn now_us() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

async fn knock(address: SocketAddr, rate: Rate) -> bool {
    let asked = timeout(rate.patience, ask(&mut None, address, PATHS[0])).await;
    matches!(asked, Ok(Ok((200, _))))
}

/// One request, on the connection that is there or a new one.
async fn ask(
    connection: &mut Option<Sender>,
    address: SocketAddr,
    path: &str,
) -> Result<(u16, Option<String>), Unanswered> {
    // Closed while nobody used it: a client that looks before it sends has lost nothing.
    let is_usable = match connection {
        Some(sender) => sender.ready().await.is_ok(),
        None => false,
    };
    if !is_usable {
        *connection = Some(connect(address).await?);
    }
    let sender = connection.as_mut().ok_or("no connection")?;
    let request = Request::get(path)
        .header("host", address.to_string())
        .body(Empty::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), LARGEST_BODY);
    let body = body.collect().await?.to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok((status, body["release"].as_str().map(str::to_owned)))
}

async fn connect(address: SocketAddr) -> Result<Sender, Unanswered> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends when the sender is gone; what went wrong is what the sender says.
    tokio::spawn(connection);
    Ok(sender)
}
