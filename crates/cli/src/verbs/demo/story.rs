//! The acts. Each runs the real command, waits on conditions, and keeps what it needs to judge the whole at the end.

use crate::exit::Failure;
use crate::output::Output;
use crate::output::time::now_us;
use crate::verbs::demo::processes;
use crate::verbs::demo::stage::{ENVIRONMENT, Release, Stage};
use crate::verbs::demo::unheld;
use belay_load::{Came, Keep, Load, Seen, Shape};
use belay_model::summary::Timeline;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const DEPLOY: &[&str] = &["deploy", "-e", ENVIRONMENT];
/// 200 requests a second together. A connection is used ten times, then a new one is made: both ways have to work.
const LOAD: Shape = Shape {
    clients: 8,
    pace: Some(Duration::from_millis(40)),
    patience: Duration::from_secs(5),
    reuse: 10,
    paths: &["/api/books", "/api/authors", "/api/books/4"],
    keep: Keep::All,
};
/// Requests between acts.
const STRETCH: usize = 200;
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One way back.
#[derive(Clone, Debug)]
pub(crate) struct Back {
    pub(crate) deployment: String,
    pub(crate) cause: String,
    pub(crate) from: u32,
    pub(crate) to: Option<u64>,
    pub(crate) timeline: Timeline,
    /// When the next act began, Unix microseconds: until then nothing else was going on.
    pub(crate) until_us: i64,
}

/// What was seen.
pub(crate) struct Told {
    pub(crate) seen: Vec<Seen>,
    /// The bad release's way back, and the one that was asked for.
    pub(crate) backs: [Back; 2],
    /// After the bad release's way back.
    pub(crate) quarantined: Vec<u64>,
    pub(crate) bad_exit: Option<i32>,
    pub(crate) promoted: bool,
    pub(crate) rollback_exit: Option<i32>,
    pub(crate) killed: Vec<String>,
    pub(crate) killed_us: i64,
    /// When the first good answer after it came.
    pub(crate) answers_us: i64,
    pub(crate) resumed: bool,
}

pub(crate) async fn tell(stage: &Stage, output: Output) -> Result<Told, Failure> {
    let teller = Teller {
        stage,
        output,
        load: Load::start(stage.address, &LOAD),
    };
    teller.tell().await
}

struct Teller<'a> {
    stage: &'a Stage,
    output: Output,
    load: Load,
}

/// What the act with SIGKILL saw.
struct Killed {
    roles: Vec<String>,
    at_us: i64,
    answers_us: i64,
    resumed: bool,
}

impl Teller<'_> {
    async fn tell(&self) -> Result<Told, Failure> {
        self.first().await?;
        let (bad_exit, mut bad) = self.bad().await?;
        bad.until_us = now_us();
        let quarantined = self.quarantined().await?;
        let promoted = self.good().await?;
        let (rollback_exit, mut back) = self.back().await?;
        back.until_us = now_us();
        let killed = self.kill().await?;
        Ok(Told {
            seen: self.load.seen(),
            backs: [bad, back],
            quarantined,
            bad_exit,
            promoted,
            rollback_exit,
            killed: killed.roles,
            killed_us: killed.at_us,
            answers_us: killed.answers_us,
            resumed: killed.resumed,
        })
    }

    async fn first(&self) -> Result<(), Failure> {
        self.title("1. A bookshop goes live: release 1");
        let place = self.stage.dir().display();
        self.say(&format!(
            "two instances behind Belay's proxy on {}; the project is in {place}",
            self.stage.address
        ));
        self.say(
            "from its first answer on it gets 200 requests a second, none of them ever tried again",
        );
        let code = self.deploy(1, "0%").await?;
        if code != Some(0) {
            return Err(self.worker_log(unheld("release 1 did not go live")));
        }
        self.more().await?;
        self.tally();
        Ok(())
    }

    async fn bad(&self) -> Result<(Option<i32>, Back), Failure> {
        self.title("2. A bad release: 2");
        self.say(
            "it starts, and /health is fine; but one answer in five to real requests is an error",
        );
        let code = self.deploy(2, "20%").await?;
        self.more().await?;
        self.tally();
        let back = self.way_back(2).await?;
        self.say(&format!("Belay went back by itself: {}", back.cause));
        Ok((code, back))
    }

    async fn good(&self) -> Result<bool, Failure> {
        self.title("3. A good release: 3");
        let code = self.deploy(3, "0%").await?;
        self.more().await?;
        self.tally();
        let last = self.last().await?;
        let promoted = last["release"] == 3 && !last["promoted_at"].is_null();
        Ok(code == Some(0) && promoted)
    }

    async fn back(&self) -> Result<(Option<i32>, Back), Failure> {
        self.title("4. A person decides otherwise");
        self.say("nothing measures bad, but we want release 3 gone; release 2 is quarantined and not a way back");
        let line = [
            "rollback",
            "-e",
            ENVIRONMENT,
            "--yes",
            "--reason",
            "its prices are wrong",
        ];
        let code = self.stage.run(self.output, &line).await?;
        self.more().await?;
        self.tally();
        Ok((code, self.way_back(3).await?))
    }

    async fn kill(&self) -> Result<Killed, Failure> {
        self.title("5. Every process of Belay is killed in the middle of a deployment");
        self.stage.write(&Release {
            number: 4,
            error_rate: "0%",
        })?;
        let deploy = self.stage.begin(self.output, DEPLOY)?;
        let id = self.split(4).await?;
        let answered_by_it = |log: &[Seen]| {
            let release = log
                .iter()
                .filter(|seen| seen.release.as_deref() == Some("4"));
            release.count() >= 5
        };
        self.until("release 4 answered", answered_by_it).await?;
        let at_us = now_us();
        let roles = processes::kill_belay(self.stage.dir()).await?;
        let dead_us = now_us();
        let _ = deploy.end().await?;
        self.say(&format!("SIGKILL to {}: {}", roles.len(), counted(&roles)));
        self.say("the bookshop's own processes run on, but nobody passes requests on to them");
        let proxy_is_away = |log: &[Seen]| {
            let after = log.iter().filter(|seen| seen.from_us > dead_us);
            after
                .into_iter()
                .any(|seen| matches!(seen.came, Came::Nothing(_)))
        };
        self.until("the proxy was missed", proxy_is_away).await?;
        self.say(
            "the next command brings everything back, and the deployment goes on where it was:",
        );
        let code = self.stage.run(self.output, &["watch", &id]).await?;
        self.more().await?;
        self.tally();
        let answers_us = answers_again(&self.load.seen(), dead_us);
        let status = self.status().await?;
        let last = self.last().await?;
        let resumed = code == Some(0)
            && last["id"] == id.as_str()
            && last["outcome"]["result"] == "succeeded"
            && status["serving"]["release"] == 4;
        self.say(&format!(
            "{} ms from the kill to the first answer, and only because someone typed the next command: nobody else brings it back",
            (answers_us - at_us) / 1000
        ));
        Ok(Killed {
            roles,
            at_us,
            answers_us,
            resumed,
        })
    }

    /// Waits until a release has its part of the traffic; answers the deployment.
    async fn split(&self, release: u64) -> Result<String, Failure> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let status = self.status().await?;
            let groups = status["targets"][0]["groups"].as_array();
            let is_split = groups
                .into_iter()
                .flatten()
                .any(|group| group["release"] == release && group["weight_per_mille"] == 100);
            if let (true, Some(id)) = (is_split, status["open"][0]["id"].as_str()) {
                return Ok(id.to_owned());
            }
            sleep(LOOK_AGAIN).await;
        }
        let message = format!("release {release} never had its part of the traffic");
        Err(self.worker_log(unheld(message)))
    }

    async fn deploy(&self, number: u32, error_rate: &'static str) -> Result<Option<i32>, Failure> {
        self.stage.write(&Release { number, error_rate })?;
        self.stage.run(self.output, DEPLOY).await
    }

    async fn status(&self) -> Result<Value, Failure> {
        let status = self.stage.ask(&["status"]).await?;
        Ok(status["services"][0].clone())
    }

    async fn last(&self) -> Result<Value, Failure> {
        let history = self.stage.ask(&["history", "-n", "1"]).await?;
        Ok(history["deployments"][0].clone())
    }

    async fn way_back(&self, from: u32) -> Result<Back, Failure> {
        let last = self.last().await?;
        let serving = self.status().await?["serving"]["release"].as_u64();
        let word = |name: &str| last[name].as_str().map(str::to_owned);
        let asked = || {
            let reason = word("reason").map_or_else(String::new, |reason| format!(": {reason}"));
            format!("{} asked for it{reason}", word("actor").unwrap_or_default())
        };
        let time = |name: &str| last["timeline"][format!("{name}_us")].as_i64();
        Ok(Back {
            deployment: word("id").unwrap_or_default(),
            cause: word("cause").unwrap_or_else(asked),
            from,
            to: serving,
            timeline: Timeline {
                t0: time("t0"),
                t1: time("t1"),
                t2: time("t2"),
                t3: time("t3"),
                t4: time("t4"),
                t5: time("t5"),
                t6: time("t6"),
                t7: time("t7"),
            },
            until_us: 0,
        })
    }

    async fn quarantined(&self) -> Result<Vec<u64>, Failure> {
        let list = self.stage.ask(&["release", "list"]).await?;
        let releases = list["releases"].as_array().into_iter().flatten();
        let bad = releases.filter(|release| {
            let standings = release["standings"].as_array().into_iter().flatten();
            standings
                .into_iter()
                .any(|standing| standing["standing"] == "quarantined")
        });
        Ok(bad
            .filter_map(|release| release["number"].as_u64())
            .collect())
    }

    async fn more(&self) -> Result<(), Failure> {
        let more = self.load.more(STRETCH).await;
        more.map_err(|vain| unheld(vain.to_string()))
    }

    async fn until(&self, what: &str, is: impl Fn(&[Seen]) -> bool) -> Result<(), Failure> {
        let until = self.load.until(what, is).await;
        until.map_err(|vain| unheld(vain.to_string()))
    }

    fn title(&self, text: &str) {
        self.output.say(&format!("\n== {text}"));
    }

    fn say(&self, text: &str) {
        self.output.say(&format!("   {text}"));
    }

    fn tally(&self) {
        let seen = self.load.seen();
        let failed = seen.iter().filter(|seen| !seen.is_good()).count();
        self.output.say(&format!(
            "\n   the load so far: {} requests, {failed} failed",
            seen.len()
        ));
    }

    fn worker_log(&self, failure: Failure) -> Failure {
        let path = self.stage.dir().join(".belay/worker.log");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let from = lines.len().saturating_sub(10);
        failure.detail(lines[from..].to_vec())
    }
}

/// When the first good answer to a request came that began after this.
fn answers_again(seen: &[Seen], after_us: i64) -> i64 {
    let broke = |seen: &&Seen| seen.to_us >= after_us && !seen.is_good();
    let broke_us = seen.iter().filter(broke).map(|seen| seen.from_us).min();
    let from_us = broke_us.unwrap_or(after_us);
    let good = seen
        .iter()
        .filter(|seen| seen.is_good() && seen.from_us >= from_us);
    good.map(|seen| seen.to_us).min().unwrap_or(i64::MAX)
}

/// `2 supervisors, 1 proxy`.
fn counted(roles: &[String]) -> String {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for role in roles {
        *counts.entry(role).or_default() += 1;
    }
    let words = counts
        .iter()
        .map(|(role, count)| format!("{count} × {role}"));
    words.collect::<Vec<_>>().join(", ")
}
