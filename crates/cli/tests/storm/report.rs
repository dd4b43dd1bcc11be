//! What happened, in numbers: a storm in which nothing happened shows it.

use crate::servers::Servers;
use belay_model::event::{Entry, Event, Finish, Outcome};
use belay_model::summary::Summary;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// See the module.
pub(crate) struct Report {
    began: Instant,
    lines: Vec<(String, String)>,
    pub(crate) kills: usize,
    pub(crate) most_open: usize,
    pub(crate) instances: usize,
    /// Good releases that went back all the same.
    pub(crate) cut_off: usize,
    deployments: usize,
    events: usize,
    /// A deployment went on under another worker.
    takeovers: usize,
    /// Attempts that were lost sight of, and looked after.
    settled: usize,
    outcomes: BTreeMap<&'static str, usize>,
}

impl Report {
    pub(crate) fn new(services: usize) -> Self {
        Self {
            began: Instant::now(),
            lines: vec![("services".to_owned(), services.to_string())],
            kills: 0,
            most_open: 0,
            instances: 0,
            cut_off: 0,
            deployments: 0,
            events: 0,
            takeovers: 0,
            settled: 0,
            outcomes: BTreeMap::new(),
        }
    }

    fn lap(&mut self, what: &str) {
        let took = self.began.elapsed();
        self.began = Instant::now();
        self.line(what, seconds(took));
    }

    fn line(&mut self, what: &str, value: impl ToString) {
        self.lines.push((what.to_owned(), value.to_string()));
    }

    /// The first releases are there.
    pub(crate) fn calm(&mut self) {
        self.lap("first releases, in calm");
    }

    /// The second releases are asked for.
    pub(crate) fn asked(&mut self) {
        self.lap("second releases, asked for");
    }

    /// The last kill is over.
    pub(crate) fn storm(&mut self) {
        self.lap("the storm");
    }

    /// Nothing is open any more.
    pub(crate) fn rest(&mut self) {
        self.lap("until everything had ended");
    }

    pub(crate) fn servers(&mut self, servers: &Servers) {
        self.line("crashes of the server", servers.restarts);
        self.line("switches to its standby", servers.switches);
    }

    /// Counts one that has ended.
    pub(crate) fn deployment(&mut self, events: &[Entry], summary: &Summary) {
        self.deployments += 1;
        self.events += events.len();
        let mut owners = Vec::new();
        for entry in events {
            match &entry.event {
                Event::Claimed { owner, .. } => owners.push(owner),
                Event::Finished {
                    finish: Finish::Unknown,
                    ..
                } => self.settled += 1,
                _ => {}
            }
        }
        let changes = owners.windows(2).filter(|pair| pair[0] != pair[1]);
        self.takeovers += changes.count();
        let outcome = match &summary.outcome {
            Some(Outcome::Succeeded) => "succeeded",
            Some(Outcome::Failed { .. }) => "went back",
            Some(Outcome::Stopped) => "stopped",
            Some(Outcome::Replaced { .. }) => "replaced",
            None => "open",
        };
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    /// Prints it. A storm that touched nothing is a failed test.
    pub(crate) fn print(mut self) {
        let counts = [
            ("workers killed", self.kills),
            ("deployments", self.deployments),
            ("most of them open at once", self.most_open),
            ("events", self.events),
            ("takeovers", self.takeovers),
            ("attempts begun again after a kill", self.settled),
            ("instances started", self.instances),
            (
                "good releases that went back, as a step was cut off too often",
                self.cut_off,
            ),
        ];
        for (what, count) in counts {
            self.line(what, count);
        }
        for (outcome, count) in std::mem::take(&mut self.outcomes) {
            self.line(outcome, count);
        }
        let mut table = String::from("| what | how many |\n|---|---|\n");
        for (what, value) in &self.lines {
            let _ = writeln!(table, "| {what} | {value} |");
        }
        println!("{table}");
        if let Some(path) = std::env::var_os("BELAY_STORM_REPORT") {
            std::fs::write(path, &table).expect("written");
        }
        assert!(
            self.kills > 0 && self.takeovers > 0 && self.most_open > self.deployments / 4,
            "little happened"
        );
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
