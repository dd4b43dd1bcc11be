//! The [`Verifier`]: sorts the checks, lets them watch side by side, and ends with the first that fails.

use crate::answer::{self, Answer};
use crate::counters::Counters;
use crate::http::HttpProbe;
use crate::place::{Addresses, places, takes_traffic};
use crate::probe::{Ask, Probe};
use crate::readiness::readiness;
use crate::traffic::TrafficWatch;
use crate::watch::Watch;
use async_trait::async_trait;
use belay_driver::{Artifacts, Progress};
use belay_engine::ports::{Clock, Ledger, Question, Verifier};
use belay_model::config::{At, Check, CheckKind, Traffic};
use belay_model::plan::Look;
use belay_model::verdict::{Outcome, Verdict};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use std::sync::Arc;

/// How long a verdict that is known already may wait for the time of the first bad request.
const FIRST_BAD_MS: u64 = 1000;

/// Answers verifications by asking the world.
#[derive(Clone)]
pub struct Sources {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What the proxy counted.
    pub counters: Arc<dyn Counters>,
    /// Where commands run.
    pub artifacts: Arc<dyn Artifacts>,
    /// Where what it is about is reached.
    pub addresses: Arc<dyn Addresses>,
}

/// The checks of a look, as they are watched.
#[derive(Default)]
struct Sorted {
    names: Vec<String>,
    probes: Vec<Probe>,
    traffic: Vec<(String, Traffic)>,
    /// Those that cannot be asked.
    answered: Vec<Answer>,
}

#[async_trait]
impl Verifier for Sources {
    async fn verify(
        &self,
        question: &Question,
        ledger: &dyn Ledger,
        progress: Arc<dyn Progress>,
    ) -> Verdict {
        let watch = Watch {
            question,
            clock: self.clock.as_ref(),
            progress: progress.as_ref(),
        };
        let sorted = self.sort(&watch).await;
        let mut verdict = if sorted.names.is_empty() {
            let answer = readiness(&watch).await;
            answer::verdict(&watch, &["readiness".to_owned()], vec![answer])
        } else {
            let Sorted {
                names,
                probes,
                traffic,
                answered,
            } = sorted;
            let answers = self.watch(&watch, ledger, &probes, traffic, answered).await;
            answer::verdict(&watch, &names, answers)
        };
        let is_live = question.look != Look::Staged;
        let counted = is_live && takes_traffic(question);
        if verdict.outcome == Outcome::Fail && counted && verdict.first_bad_us.is_none() {
            verdict.first_bad_us = self.first_bad_us(&watch).await;
        }
        verdict
    }
}

impl Sources {
    /// Watches side by side until all have answered or one has failed.
    async fn watch(
        &self,
        watch: &Watch<'_>,
        ledger: &dyn Ledger,
        probes: &[Probe],
        traffic: Vec<(String, Traffic)>,
        answered: Vec<Answer>,
    ) -> Vec<Answer> {
        let mut answers = answered;
        let failed = |answers: &[Answer]| {
            let mut outcomes = answers.iter().map(|answer| answer.outcome);
            outcomes.any(|outcome| outcome == Outcome::Fail)
        };
        let mut running: FuturesUnordered<BoxFuture<'_, Vec<Answer>>> = FuturesUnordered::new();
        for probe in probes {
            running.push(async move { vec![probe.watch(watch).await] }.boxed());
        }
        if !traffic.is_empty() {
            let traffic = TrafficWatch::new(watch, self.counters.as_ref(), ledger, traffic);
            running.push(traffic.run().boxed());
        }
        while !failed(&answers) {
            match running.next().await {
                Some(more) => answers.extend(more),
                None => break,
            }
        }
        answers
    }

    async fn sort(&self, watch: &Watch<'_>) -> Sorted {
        let question = watch.question;
        let mut sorted = Sorted::default();
        let at = match question.look {
            Look::Staged => At::Staged,
            Look::Live | Look::Bake => At::Live,
        };
        for check in question.checks.iter().filter(|check| check.at() == at) {
            if at == At::Live && !takes_traffic(question) && check.command.is_none() {
                // Refused where it is written for such a release: it comes from one that had an address, which is left.
                let (name, release) = (check.name(), question.record.title());
                let line = format!("`{name}` is not asked: {release} takes no traffic");
                watch.progress.line(&line);
                continue;
            }
            let name = unique(&sorted.names, check.name());
            sorted.names.push(name.clone());
            if let Some(entrance) = &check.through {
                let line = format!("`{name}`: looks where {entrance} is reached");
                watch.progress.line(&line);
            }
            match self.ready(question, &name, check).await {
                Ok(Ready::Probe(probe)) => sorted.probes.push(*probe),
                Ok(Ready::Traffic(traffic)) => sorted.traffic.push((name, traffic)),
                Err(answer) => sorted.answered.push(answer),
            }
        }
        sorted
    }

    /// Makes a check ready to ask; the error is the answer of one that cannot.
    async fn ready(&self, question: &Question, name: &str, check: &Check) -> Result<Ready, Answer> {
        let unusable = |kind, why: String| {
            Answer::inconclusive(name, kind, format!("`{name}` cannot be checked: {why}"))
        };
        let kind = check
            .kind()
            .map_err(|why| unusable("none", why.to_string()))?;
        let (ask, kind) = match kind {
            CheckKind::Http(http) => {
                let probe = HttpProbe::new(http).map_err(|why| unusable("http", why))?;
                (Ask::Http(Box::new(probe)), "http")
            }
            CheckKind::Tcp => (Ask::Tcp, "tcp"),
            CheckKind::Command(line) => {
                let directory = self.artifacts.directory(&question.record.artifact).await;
                let directory = directory.map_err(|why| unusable("command", why.to_string()))?;
                (Ask::Command(line, directory), "command")
            }
            CheckKind::Traffic(_) if question.look == Look::Staged => {
                let why = "a release that is only staged has no traffic".to_owned();
                return Err(unusable("traffic", why));
            }
            CheckKind::Traffic(traffic) => return Ok(Ready::Traffic(traffic)),
        };
        let places = places(self.addresses.as_ref(), question, check).await;
        let places = places.map_err(|(outcome, why)| Answer {
            outcome,
            ..unusable(kind, why)
        })?;
        Ok(Ready::Probe(Box::new(Probe {
            check: name.to_owned(),
            written: check.clone(),
            ask,
            timeout_ms: check.timeout().as_ms(),
            places,
            addresses: self.addresses.clone(),
        })))
    }

    /// When the release first answered badly, for a fail that was not found in the traffic.
    async fn first_bad_us(&self, watch: &Watch<'_>) -> Option<i64> {
        let reading = self.counters.read(&watch.question.target, None);
        let reading = watch.within(FIRST_BAD_MS, reading).await?.ok()?;
        let first_us = reading.first_error_us.get(&watch.question.record.group())?;
        (*first_us >= watch.question.since_us).then_some(*first_us)
    }
}

enum Ready {
    Probe(Box<Probe>),
    Traffic(Traffic),
}

/// Two checks of one name are told apart by number.
fn unique(names: &[String], name: String) -> String {
    if !names.contains(&name) {
        return name;
    }
    let numbered = (2..).map(|number| format!("{name} ({number})"));
    let mut free = numbered.filter(|name| !names.contains(name));
    free.next().unwrap_or(name)
}
