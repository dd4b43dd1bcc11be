//! A server that is away for a moment, restarted or without its store: what only looks is asked again, and what nobody took is
//! sent again. Whoever asks through us tries a few times within a second, and a control plane needs some seconds to come back.

use crate::error::{causes, was_never_sent};
use belay_driver::{Context, Progress};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a server is waited for at most: one that is updated is back by then.
const LONGEST: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long a server is waited for, and who is told.
#[derive(Clone, Default)]
pub(crate) struct Patience {
    at_most: Duration,
    progress: Option<Arc<dyn Progress>>,
}

impl Patience {
    /// That of a call: a tenth of its time, so that it is over in time whoever is away.
    pub(crate) fn of(cx: &Context) -> Self {
        Self {
            at_most: LONGEST.min(Duration::from_millis(cx.deadline_ms / 10)),
            progress: Some(cx.progress.clone()),
        }
    }

    /// Asks for something that changes nothing.
    pub(crate) async fn ask<T, F>(&self, request: impl Fn() -> F) -> kube::Result<T>
    where
        F: Future<Output = kube::Result<T>>,
    {
        self.until(request, is_away).await
    }

    /// Sends what changes something: again only where nobody took it.
    pub(crate) async fn send<T, F>(&self, request: impl Fn() -> F) -> kube::Result<T>
    where
        F: Future<Output = kube::Result<T>>,
    {
        self.until(request, |error| was_never_sent(error)).await
    }

    async fn until<T, F>(
        &self,
        request: impl Fn() -> F,
        is_away: impl Fn(&kube::Error) -> bool,
    ) -> kube::Result<T>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut was_away = false;
        loop {
            let error = match request().await {
                Err(error) if is_away(&error) || (was_away && is_unsure_of_us(&error)) => error,
                done => {
                    if was_away && done.is_ok() {
                        self.tell("the API server answers again");
                    }
                    return done;
                }
            };
            let wait = says_when(&error).unwrap_or(pause);
            if began.elapsed() + wait > self.at_most {
                return Err(error);
            }
            if !was_away {
                let (why, longest) = (causes(&error), self.at_most);
                self.tell(&format!(
                    "the API server is away ({why}); it is asked again, for up to {longest:?}"
                ));
            }
            was_away = true;
            tokio::time::sleep(wait).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    fn tell(&self, line: &str) {
        if let Some(progress) = &self.progress {
            progress.line(line);
        }
    }
}

/// Whether nobody answers, or somebody who cannot do so yet.
fn is_away(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => (500..=504).contains(&status.code),
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => true,
        _ => false,
    }
}

/// When to come back, by one that says so: as a server does that has not installed all of its paths yet.
fn says_when(error: &kube::Error) -> Option<Duration> {
    let kube::Error::Api(status) = error else {
        return None;
    };
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// A server that has just started does not know yet who has which rights.
fn is_unsure_of_us(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use serde_json::json;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Asks a server that answers just once that it is not there yet, and says so.
    async fn asked(seconds: u32, at_most: Duration) -> (kube::Result<()>, Duration) {
        let patience = Patience {
            at_most,
            progress: None,
        };
        let busy = json!({ "status": "Failure", "code": 503, "details": { "retryAfterSeconds": seconds } });
        let times = AtomicU32::new(0);
        let began = tokio::time::Instant::now();
        let answer = patience.ask(async || {
            if times.fetch_add(1, Ordering::Relaxed) > 0 {
                return Ok(());
            }
            let status: Status = serde_json::from_value(busy.clone()).expect("a status");
            Err(kube::Error::Api(Box::new(status)))
        });
        (answer.await, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_when_to_come_back_is_asked_then() {
        let minute = Duration::from_secs(60);
        let (answer, took) = asked(7, minute).await;
        assert!(answer.is_ok() && took >= Duration::from_secs(7), "{took:?}");
        let (answer, took) = asked(0, minute).await;
        assert!(answer.is_ok() && took < Duration::from_secs(1), "{took:?}");
        let (answer, took) = asked(7, Duration::from_secs(5)).await;
        assert!(
            answer.is_err() && took.is_zero(),
            "later than we may wait: {took:?}"
        );
    }
}
