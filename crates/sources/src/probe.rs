//! Checks that ask: HTTP, TCP, commands. A check holds when it holds at every place.
//!
//! A single refused connection or slow answer is not a verdict: HTTP and TCP get three tries, 200 ms apart, before they
//! have failed. A command is tried once, as it may do something: it can say 75 (try again later) itself.

use crate::answer::Answer;
use crate::command;
use crate::http::HttpProbe;
use crate::place::{Addresses, Place};
use crate::tcp;
use crate::watch::Watch;
use belay_model::config::{Check, CommandLine};
use belay_model::verdict::Outcome;
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;

const TRIES: u32 = 3;
const BETWEEN_TRIES_MS: u64 = 200;
/// While a hold goes on, a check is repeated at least this often.
const ROUND_MS: u64 = 2000;
/// However short the hold, rounds do not follow each other faster.
const SHORTEST_ROUND_MS: u64 = 100;
/// How many places are asked at once.
const AT_ONCE: usize = 16;

/// What one try at one place saw.
pub(crate) struct Sight {
    pub(crate) outcome: Outcome,
    /// A clause whose subject is the place: `it answered with status 500 instead of 200`.
    pub(crate) said: String,
    /// Goes into the evidence of the place.
    pub(crate) seen: Map<String, Value>,
}

/// What to ask.
pub(crate) enum Ask {
    Http(Box<HttpProbe>),
    Tcp,
    /// A command line, and the directory it runs in.
    Command(CommandLine, PathBuf),
}

/// One check that asks.
pub(crate) struct Probe {
    pub(crate) check: String,
    /// As it is written.
    pub(crate) written: Check,
    pub(crate) ask: Ask,
    pub(crate) timeout_ms: u64,
    /// Of the first round.
    pub(crate) places: Vec<Place>,
    /// Where later rounds ask: who answers may be others by then.
    pub(crate) addresses: Arc<dyn Addresses>,
}

impl Probe {
    /// Asks until the hold is over; a fail ends it at once. What the last round says counts.
    pub(crate) async fn watch(&self, watch: &Watch<'_>) -> Answer {
        let every_ms = (watch.question.hold_ms / 3).clamp(SHORTEST_ROUND_MS, ROUND_MS);
        for rounds in 1u64.. {
            // Taken before asking: the last round begins when the hold is over.
            let left_ms = watch.left_ms();
            let found = match rounds {
                1 => None,
                _ => self.addresses.places(watch.question, &self.written).await,
            };
            let answer = match found {
                None => self.round(watch, rounds, &self.places).await,
                Some(Ok(places)) => self.round(watch, rounds, &places).await,
                Some(Err((outcome, why))) => self.unasked(rounds, outcome, &why),
            };
            if answer.outcome == Outcome::Fail || left_ms == 0 {
                return answer;
            }
            watch.clock.sleep_ms(every_ms.min(left_ms)).await;
        }
        unreachable!("rounds end with the hold")
    }

    /// A round that found nowhere to ask.
    fn unasked(&self, rounds: u64, outcome: Outcome, why: &str) -> Answer {
        Answer {
            check: self.check.clone(),
            kind: self.kind(),
            outcome,
            sentence: format!("`{}` cannot be checked: {why}", self.check),
            seen: json!({ "rounds": rounds, "places": [] }),
            first_bad_us: None,
        }
    }

    async fn round(&self, watch: &Watch<'_>, rounds: u64, asked: &[Place]) -> Answer {
        let mut sights = Vec::new();
        for places in asked.chunks(AT_ONCE) {
            let asked = places.iter().map(|place| self.ask(watch, place));
            sights.extend(join_all(asked).await);
        }
        let seen: Vec<Value> = asked
            .iter()
            .zip(&sights)
            .map(|(place, (sight, tries))| {
                let mut seen = sight.seen.clone();
                seen.insert("at".to_owned(), json!(place.title));
                seen.insert("outcome".to_owned(), json!(sight.outcome));
                seen.insert("said".to_owned(), json!(sight.said));
                seen.insert("tries".to_owned(), json!(tries));
                Value::Object(seen)
            })
            .collect();
        let (outcome, sentence) = self.sentence(asked, &sights);
        Answer {
            check: self.check.clone(),
            kind: self.kind(),
            outcome,
            sentence,
            seen: json!({ "rounds": rounds, "places": seen }),
            first_bad_us: None,
        }
    }

    async fn ask(&self, watch: &Watch<'_>, place: &Place) -> (Sight, u32) {
        let tries = match self.ask {
            Ask::Command(..) => 1,
            Ask::Http(_) | Ask::Tcp => TRIES,
        };
        let mut number = 1;
        loop {
            let sight = self.once(watch, place).await;
            if sight.outcome == Outcome::Pass || number == tries {
                return (sight, number);
            }
            watch.progress.line(&format!(
                "{}: {}: {} (try {number} of {tries})",
                self.check, place.title, sight.said
            ));
            number += 1;
            watch.clock.sleep_ms(BETWEEN_TRIES_MS).await;
        }
    }

    async fn once(&self, watch: &Watch<'_>, place: &Place) -> Sight {
        let sight = match &self.ask {
            Ask::Http(http) => watch.within(self.timeout_ms, http.get(place)).await,
            Ask::Tcp => {
                let connected = tcp::connect(watch, place);
                watch.within(self.timeout_ms, connected).await
            }
            Ask::Command(line, directory) => {
                let timeout_ms = self.timeout_ms;
                Some(command::run(watch, line, directory, place, timeout_ms).await)
            }
        };
        let sight = sight.unwrap_or_else(|| Sight {
            outcome: Outcome::Fail,
            said: format!(
                "it did not answer within {}",
                belay_analysis::span(self.timeout_ms)
            ),
            seen: Map::new(),
        });
        let blocked = place.through.as_ref().and_then(|it| it.blocked());
        match blocked.filter(|_| sight.outcome == Outcome::Fail) {
            // Who did not get there has seen nothing of the release.
            Some(why) => Sight {
                outcome: Outcome::Inconclusive,
                said: format!("it could not be asked ({why})"),
                ..sight
            },
            None => sight,
        }
    }

    fn sentence(&self, asked: &[Place], sights: &[(Sight, u32)]) -> (Outcome, String) {
        let first = |wanted| {
            let mut both = asked.iter().zip(sights);
            both.find(|(_, (sight, _))| sight.outcome == wanted)
        };
        for (outcome, verb) in [
            (Outcome::Fail, "failed"),
            (Outcome::Inconclusive, "gave no answer"),
        ] {
            if let Some((place, (sight, tries))) = first(outcome) {
                let after = match tries {
                    1 => String::new(),
                    tries => format!(" ({tries} tries)"),
                };
                let Self { check, .. } = self;
                let sentence =
                    format!("`{check}` {verb} on {}: {}{after}", place.title, sight.said);
                return (outcome, sentence);
            }
        }
        let whom = match asked {
            [place] => place.title.clone(),
            places => format!("all {} instances", places.len()),
        };
        (Outcome::Pass, format!("`{}` passed on {whom}", self.check))
    }

    fn kind(&self) -> &'static str {
        match self.ask {
            Ask::Http(_) => "http",
            Ask::Tcp => "tcp",
            Ask::Command(..) => "command",
        }
    }
}
