//! A clock that the test owns, a proxy that counts what it is told, tiny servers, and questions about release 2.

use async_trait::async_trait;
use belay_driver::{Artifacts, Progress};
use belay_engine::ports::{Clock, Evidence, Ledger, Question, Verifier};
use belay_model::config::{At, Check, Traffic};
use belay_model::id::{
    ArtifactDigest, DeploymentId, EnvironmentName, ReleaseNumber, Scope, ServiceName, StepId,
};
use belay_model::plan::Look;
use belay_model::release::{Record, Target};
use belay_model::state::{Health, Resource, State};
use belay_model::verdict::{Outcome, Verdict};
use belay_sources::{Addresses, Bucket, Counters, Reading, Sources, Told};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// When watching begins in these tests, Unix seconds.
pub(crate) const START: i64 = 1_000_000;
pub(crate) const SECOND_US: i64 = 1_000_000;

/// A short sleep (a pause between looks) takes no real time: it moves the clock. A long one (a time limit) waits until
/// the clock has been moved past it.
pub(crate) struct FakeClock {
    now_us: AtomicI64,
    moved: Notify,
}

const LONGEST_PAUSE_MS: u64 = 2000;

impl FakeClock {
    pub(crate) fn advance_ms(&self, ms: u64) {
        self.now_us.fetch_add(ms as i64 * 1000, Ordering::SeqCst);
        self.moved.notify_waiters();
    }
}

#[async_trait]
impl Clock for FakeClock {
    fn now_us(&self) -> i64 {
        self.now_us.load(Ordering::SeqCst)
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.now_us() / 1000).unwrap_or(0)
    }

    async fn sleep_ms(&self, ms: u64) {
        if ms <= LONGEST_PAUSE_MS {
            self.advance_ms(ms);
            return tokio::task::yield_now().await;
        }
        let until_us = self.now_us() + ms as i64 * 1000;
        loop {
            let moved = self.moved.notified();
            if self.now_us() >= until_us {
                return;
            }
            moved.await;
        }
    }
}

type Read = dyn Fn(i64) -> Result<Reading, String> + Send + Sync;

/// Answers readings from the time.
pub(crate) struct FakeCounters {
    clock: Arc<FakeClock>,
    read: Box<Read>,
    /// Readings wait for it, if there is one.
    gate: Option<Arc<Notify>>,
}

#[async_trait]
impl Counters for FakeCounters {
    async fn read(&self, _: &Target, _: Option<String>) -> Result<Reading, String> {
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        (self.read)(self.clock.now_us())
    }
}

pub(crate) struct Directory(pub(crate) PathBuf);

#[async_trait]
impl Artifacts for Directory {
    async fn directory(&self, _: &ArtifactDigest) -> Result<PathBuf, belay_driver::Error> {
        Ok(self.0.clone())
    }
}

#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) evidence: Mutex<Vec<Evidence>>,
    pub(crate) lines: Mutex<Vec<String>>,
}

#[async_trait]
impl Ledger for Notes {
    async fn keep(&self, evidence: Evidence) {
        self.evidence.lock().unwrap().push(evidence);
    }
}

impl Progress for Notes {
    fn line(&self, text: &str) {
        self.lines.lock().unwrap().push(text.to_owned());
    }
}

/// Everything a verification needs.
pub(crate) struct World {
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) notes: Arc<Notes>,
    pub(crate) directory: PathBuf,
    pub(crate) counters: Arc<FakeCounters>,
    pub(crate) addresses: Arc<dyn Addresses>,
}

impl World {
    /// Nothing was counted.
    pub(crate) fn new() -> Self {
        Self::counting(|_| Ok(Reading::default()))
    }

    /// What the counters answer at a time, Unix microseconds.
    pub(crate) fn counting(
        read: impl Fn(i64) -> Result<Reading, String> + Send + Sync + 'static,
    ) -> Self {
        Self::gated(None, read)
    }

    pub(crate) fn gated(
        gate: Option<Arc<Notify>>,
        read: impl Fn(i64) -> Result<Reading, String> + Send + Sync + 'static,
    ) -> Self {
        let clock = Arc::new(FakeClock {
            now_us: AtomicI64::new(START * SECOND_US),
            moved: Notify::new(),
        });
        Self {
            notes: Arc::default(),
            directory: PathBuf::from("/"),
            addresses: Arc::new(Told),
            counters: Arc::new(FakeCounters {
                clock: Arc::clone(&clock),
                read: Box::new(read),
                gate,
            }),
            clock,
        }
    }

    pub(crate) async fn verify(&self, question: &Question) -> Verdict {
        let sources = Sources {
            clock: self.clock.clone(),
            counters: self.counters.clone(),
            artifacts: Arc::new(Directory(self.directory.clone())),
            addresses: self.addresses.clone(),
        };
        let verdict = sources.verify(question, self.notes.as_ref(), self.notes.clone());
        // Only so that a hang is a failure.
        let limit = std::time::Duration::from_secs(60);
        let verdict = tokio::time::timeout(limit, verdict).await;
        verdict.expect("a verdict within a minute")
    }

    pub(crate) async fn check(
        &self,
        question: &Question,
        outcome: Outcome,
        sentence: &str,
    ) -> Verdict {
        let verdict = self.verify(question).await;
        assert_eq!(verdict.sentence, sentence);
        assert_eq!(verdict.outcome, outcome, "{sentence}");
        verdict
    }

    /// Since watching began.
    pub(crate) fn elapsed_ms(&self) -> i64 {
        self.clock.now_us() / 1000 - START * 1000
    }
}

pub(crate) fn record(release: u32) -> Record {
    Record {
        format: 1,
        scope: Scope {
            service: ServiceName::new("bookstore"),
            environment: EnvironmentName::new("production"),
        },
        release: ReleaseNumber(release),
        artifact: ArtifactDigest::new(format!("sha256:{release}")),
        config: BTreeMap::new(),
        secrets: BTreeMap::new(),
        sealed: None,
        targets: vec![Target {
            driver: "process".to_owned(),
            name: "bookstore/production".to_owned(),
            host: None,
            settings: json!({ "listen": "127.0.0.1:1" }),
        }],
    }
}

/// A question about release 2, compared with release 1.
pub(crate) fn question(look: Look, checks: Vec<Check>) -> Question {
    let record = record(2);
    Question {
        deployment: DeploymentId::new("dep_1"),
        step: StepId { plan: 0, index: 3 },
        look,
        checks,
        hold_ms: 0,
        since_us: START * SECOND_US,
        target: record.targets[0].clone(),
        state: State::default(),
        record,
        against: Some(self::record(1)),
    }
}

pub(crate) fn staged(checks: Vec<Check>, ports: &[u16]) -> Question {
    let mut question = question(Look::Staged, checks);
    let key = format!("group/{}", question.record.group());
    question.state.resources.insert(key, group(ports));
    question
}

pub(crate) fn group(ports: &[u16]) -> Resource {
    let instance = |(index, port): (usize, &u16)| json!({ "id": format!("i{}", index + 1), "port": port, "ready": true });
    let instances: Vec<_> = ports.iter().enumerate().map(instance).collect();
    Resource {
        spec: json!({}),
        facts: json!({ "instances": instances }),
        health: Health::Healthy,
    }
}

pub(crate) fn http(path: &str) -> Check {
    Check {
        http: Some(path.to_owned()),
        ..Check::default()
    }
}

pub(crate) fn live(check: Check) -> Check {
    Check {
        at: Some(At::Live),
        ..check
    }
}

/// `max_errors: 1%`, 50 requests within 30 s.
pub(crate) fn traffic() -> Check {
    Check {
        traffic: Some(Traffic {
            max_errors: Some("1%".parse().unwrap()),
            max_slower: None,
            min_requests: 50,
            within: "30s".parse().unwrap(),
        }),
        ..Check::default()
    }
}

/// What a group has answered by a time when it gets `per_second` requests from the start on, `errors` of them failed.
pub(crate) fn buckets(now_us: i64, per_second: u64, errors: u64) -> Vec<Bucket> {
    let seconds = START..=now_us / SECOND_US;
    let bucket = |second: i64| {
        let part = (now_us - second * SECOND_US).clamp(0, SECOND_US) as u64;
        Bucket {
            second,
            requests: per_second * part / SECOND_US as u64,
            errors: errors * part / SECOND_US as u64,
            ..Bucket::default()
        }
    };
    seconds.map(bucket).collect()
}

/// A reading of release 2 (and 1).
pub(crate) fn reading(now_us: i64, groups: &[(u32, Vec<Bucket>)]) -> Reading {
    Reading {
        cursor: now_us.to_string(),
        groups: groups
            .iter()
            .map(|(release, buckets)| (record(*release).group(), buckets.clone()))
            .collect(),
        first_error_us: BTreeMap::new(),
    }
}

/// Answers the n-th connection (from 0) with the n-th text, the last one for ever; an empty text hangs up.
pub(crate) async fn server(answers: &[&str]) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answers: Vec<String> = answers.iter().map(|text| (*text).to_owned()).collect();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let number = count.fetch_add(1, Ordering::SeqCst);
            let answer = answers[number.min(answers.len() - 1)].clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => request.push(byte),
                        Err(_) => return,
                    }
                }
                if answer == SILENCE {
                    std::future::pending::<()>().await;
                }
                stream.write_all(answer.as_bytes()).await.ok();
            });
        }
    });
    (port, asked)
}

/// A server that says nothing.
pub(crate) const SILENCE: &str = "silence";

pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

/// A port that nobody listens on.
pub(crate) async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}
