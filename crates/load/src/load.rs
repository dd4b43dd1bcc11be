//! Many clients at once, and the log of what they saw.

use crate::client::Client;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long some hundred requests may take where a few seconds are due.
const SLOW: Duration = Duration::from_secs(60);

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// An answer with this status.
    Answer(u16),
    /// No connection, or one that broke.
    Nothing(String),
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it was sent, Unix microseconds.
    pub from_us: i64,
    /// When it was over.
    pub to_us: i64,
    /// The release that answered, by its own word.
    pub release: Option<String>,
    /// What came of it.
    pub came: Came,
}

impl Seen {
    /// Whether it was answered, and well.
    pub fn is_good(&self) -> bool {
        self.came == Came::Answer(200)
    }
}

/// Which requests the log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Every one.
    All,
    /// Those that failed; the others are only counted.
    Failed,
}

/// What the load is like.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Clients at once, each with one request in flight at most.
    pub clients: u32,
    /// Time between two requests of one client; none: as fast as the answers come.
    pub pace: Option<Duration>,
    /// How long a request may take before it counts as unanswered.
    pub patience: Duration,
    /// Requests on one connection before a new one is made.
    pub reuse: u32,
    /// What is asked for, in turn.
    pub paths: &'static [&'static str],
    /// What is remembered.
    pub keep: Keep,
}

/// Something was waited for that did not come.
#[derive(Debug, thiserror::Error)]
#[error("waited {s} s in vain until {0}", s = SLOW.as_secs())]
pub struct Vain(String);

#[derive(Default)]
struct Log {
    kept: Mutex<Vec<Seen>>,
    count: AtomicUsize,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs until it is dropped.
pub struct Load {
    log: Arc<Log>,
    _tasks: JoinSet<()>,
}

impl Load {
    /// Knocks until there is an answer, which is not counted, then begins.
    pub fn start(address: SocketAddr, shape: &Shape) -> Self {
        let log = Arc::<Log>::default();
        let mut tasks = JoinSet::new();
        for client in 0..shape.clients {
            tasks.spawn(run(address, client, shape.clone(), Arc::clone(&log)));
        }
        Self { log, _tasks: tasks }
    }

    /// Requests that are over.
    pub fn count(&self) -> usize {
        self.log.count.load(Ordering::Relaxed)
    }

    /// Everything kept so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.log.lock().clone()
    }

    /// Everything kept so far, which is forgotten with that.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.log.lock())
    }

    /// Waits until that many more requests that began from now on are over. The log keeps all.
    ///
    /// # Errors
    /// They take far too long.
    pub async fn more(&self, count: usize) -> Result<(), Vain> {
        let from = now_us();
        let since = |seen: &&Seen| seen.from_us >= from;
        self.until("requests went on", |log| {
            log.iter().rev().take_while(since).count() >= count
        })
        .await
    }

    /// Waits until what was kept is like that.
    ///
    /// # Errors
    /// It takes far too long.
    pub async fn until(&self, what: &str, is: impl Fn(&[Seen]) -> bool) -> Result<(), Vain> {
        let deadline = Instant::now() + SLOW;
        while !is(&self.log.lock()) {
            if Instant::now() >= deadline {
                return Err(Vain(what.to_owned()));
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }
}

async fn run(address: SocketAddr, number: u32, shape: Shape, log: Arc<Log>) {
    while !knock(address, &shape).await {
        sleep(LOOK_AGAIN).await;
    }
    let mut client = Client::new(address);
    let mut tick = shape.pace.map(|pace| {
        let mut tick = interval_at(Instant::now() + pace * number / shape.clients, pace);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick
    });
    for turn in 0_u32.. {
        if let Some(tick) = &mut tick {
            tick.tick().await;
        }
        if turn.is_multiple_of(shape.reuse) {
            client.forget();
        }
        let path = shape.paths[turn.wrapping_add(number) as usize % shape.paths.len()];
        let seen = ask(&mut client, path, shape.patience).await;
        if matches!(seen.came, Came::Nothing(_)) {
            client.forget();
        }
        log.count.fetch_add(1, Ordering::Relaxed);
        if shape.keep == Keep::All || !seen.is_good() {
            log.lock().push(seen);
        }
    }
}

async fn ask(client: &mut Client, path: &str, patience: Duration) -> Seen {
    let from_us = now_us();
    let (release, came) = match timeout(patience, client.ask(path)).await {
        Ok(Ok((status, release))) => (release, Came::Answer(status)),
        Ok(Err(error)) => (None, Came::Nothing(error.to_string())),
        Err(_) => (None, Came::Nothing("no answer in time".to_owned())),
    };
    Seen {
        from_us,
        to_us: now_us(),
        release,
        came,
    }
}

async fn knock(address: SocketAddr, shape: &Shape) -> bool {
    let mut client = Client::new(address);
    let asked = timeout(shape.patience, client.ask(shape.paths[0])).await;
    matches!(asked, Ok(Ok((200, _))))
}

/// Now, Unix microseconds.
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}
