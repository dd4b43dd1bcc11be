//! The socket of the supervisor: answers what it is asked. Changes nothing itself but what is desired.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::directory::Directory;
use super::{Answer, Desired, NotReady, Phase, Request, Spec, Status, output};
use crate::error::chain;

/// 30 days: so that no deadline is beyond what a clock can say.
pub(crate) const LONGEST_MS: u64 = 30 * 24 * 3600 * 1000;
const REQUEST_BYTES: u64 = 4096;
/// For a request to arrive, and for the last answers to leave.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is needed to answer.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) directory: Directory,
    pub(crate) spec: Spec,
    pub(crate) board: watch::Sender<Status>,
    pub(crate) stop: watch::Sender<Option<Duration>>,
}

/// Until it is over; then the answers that are under way are still given.
pub(crate) async fn serve(listener: UnixListener, desk: Desk, mut over: watch::Receiver<bool>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { open.spawn(answer(stream, desk.clone())); }
                // Out of file descriptors, most likely: it passes.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = open.join_next() => {}
            () = async { let _ = over.wait_for(|over| *over).await; } => break,
        }
    }
    let _ = timeout(PATIENCE, async {
        while open.join_next().await.is_some() {}
    })
    .await;
}

async fn answer(stream: UnixStream, desk: Desk) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut lines = BufReader::new(read.take(REQUEST_BYTES));
    match timeout(PATIENCE, lines.read_line(&mut line)).await {
        Ok(Ok(count)) if count > 0 => {}
        _ => return,
    }
    let answer = match serde_json::from_str(&line) {
        Ok(request) => desk.handle(request).await,
        Err(error) => Answer::Error(format!("not a request: {error}")),
    };
    let mut line = serde_json::to_vec(&answer).unwrap_or_default();
    line.push(b'\n');
    // Who asked may be gone.
    let _ = write.write_all(&line).await;
}

impl Desk {
    async fn handle(&self, request: Request) -> Answer {
        match request {
            Request::Status => Answer::Status(self.status()),
            Request::Stop { timeout_ms } => {
                self.stop(timeout_ms.unwrap_or(self.spec.stop_timeout_ms))
                    .await
            }
            Request::WaitReady { timeout_ms } => {
                self.wait_ready(timeout_ms.unwrap_or(self.spec.ready_timeout_ms))
                    .await
            }
        }
    }

    fn status(&self) -> Box<Status> {
        Box::new(Status {
            supervised: true,
            ..self.board.borrow().clone()
        })
    }

    async fn stop(&self, timeout_ms: u64) -> Answer {
        // First of all: if we are killed now, the next supervisor goes on with this.
        if let Err(error) = self.directory.desire(Desired::Stopped) {
            return Answer::Error(chain(&error));
        }
        self.stop
            .send_replace(Some(Duration::from_millis(timeout_ms.min(LONGEST_MS))));
        let is_gone = |status: &Status| {
            matches!(status.phase, Phase::Stopped | Phase::Failed) && status.child.is_none()
        };
        let _ = self.board.subscribe().wait_for(is_gone).await;
        Answer::Stopped(self.status())
    }

    async fn wait_ready(&self, timeout_ms: u64) -> Answer {
        let deadline = Instant::now() + Duration::from_millis(timeout_ms.min(LONGEST_MS));
        let mut board = self.board.subscribe();
        let (cause, why) = loop {
            let status = board.borrow_and_update().clone();
            if status.phase == Phase::Ready {
                return Answer::Ready(self.status());
            }
            if let Some(known) = NotReady::known(&status) {
                break known;
            }
            if !matches!(timeout_at(deadline, board.changed()).await, Ok(Ok(()))) {
                break NotReady::timed_out(&self.board.borrow(), timeout_ms);
            }
        };
        let output = output::last_lines(&self.directory.output(), NotReady::LINES);
        Answer::NotReady(Box::new(NotReady {
            cause,
            why,
            status: *self.status(),
            output,
        }))
    }
}
