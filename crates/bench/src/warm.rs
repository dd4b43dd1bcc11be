//! Warm rollback: the old group still runs. From the command's acceptance to the last request routed to the bad
//! release, by the journal, and beside it what the clients saw.

use crate::home::{ms, time};
use crate::project::{Binaries, Kind, Project, WARM};
use crate::rows::{Rows, percentile};
use anyhow::Result;
use belay_load::{Keep, Load, Seen, Shape, now_us};
use serde_json::Value;
use std::time::Duration;

/// 400 requests a second, a tenth of them on a new connection.
const LOAD: Shape = Shape {
    clients: 8,
    pace: Some(Duration::from_millis(20)),
    patience: Duration::from_secs(5),
    reuse: 10,
    paths: &["/api/books", "/api/authors", "/api/books/4"],
    keep: Keep::All,
};
/// Requests that the bad release's group shares before anyone goes back.
const STRETCH: usize = 60;
const RUNS: u32 = 100;
const P50_MS: f64 = 20.0;
const P99_MS: f64 = 150.0;

/// When someone goes back.
#[derive(Clone, Copy)]
pub(crate) enum When {
    /// The deployment has ended: a new one is made.
    Ended,
    /// It bakes: it gets a signal.
    Baking,
}

impl When {
    pub(crate) const ALL: [Self; 2] = [Self::Ended, Self::Baking];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Ended => "after the bake",
            Self::Baking => "during the bake",
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Ended => WARM,
            Self::Baking => Kind {
                bake: "10m",
                ..WARM
            },
        }
    }

    /// Puts a release out, so far that someone may go back now.
    pub(crate) async fn deploy(self, project: &Project, release: u32) -> Result<Value> {
        match self {
            Self::Ended => project.deploy(release).await,
            Self::Baking => project.promote(release).await,
        }
    }
}

/// What one kind of way back was like, milliseconds each.
#[derive(Default)]
struct Ways {
    switched: Vec<f64>,
    /// The first part of that, until the plan was made.
    planned: Vec<f64>,
    /// The rest: made durable, and the table changed.
    moved: Vec<f64>,
    /// Until the last answer of the bad release was there.
    answered: Vec<f64>,
    /// From the command's start, not its acceptance.
    typed: Vec<f64>,
    requests: usize,
    failed: Vec<Seen>,
    /// Sent after the switch, answered by the bad release.
    late: usize,
}

pub(crate) async fn measure(binaries: &Binaries, rows: &mut Rows) -> Result<()> {
    for when in When::ALL {
        let ways = go_back_often(binaries, when).await?;
        let name = format!("warm rollback {}", when.words());
        let runs = ways.switched.len();
        let switched =
            format!("{name}: command accepted -> last request routed to the bad release");
        let p50 = percentile(&ways.switched, 50.0);
        rows.at_most(format!("{switched}, p50"), p50, "ms", P50_MS, runs);
        let p99 = percentile(&ways.switched, 99.0);
        rows.at_most(format!("{switched}, p99"), p99, "ms", P99_MS, runs);
        for (what, samples) in [
            ("of that, command accepted -> plan ready", &ways.planned),
            (
                "of that, plan ready -> last request routed to the bad release",
                &ways.moved,
            ),
            (
                "command accepted -> last answer of the bad release seen by a client",
                &ways.answered,
            ),
            (
                "command typed -> last request routed to the bad release",
                &ways.typed,
            ),
        ] {
            for share in [50.0, 99.0] {
                let value = percentile(samples, share);
                rows.plain(format!("{name}: {what}, p{share}"), value, "ms", runs);
            }
        }
        for failed in ways.failed.iter().take(3) {
            eprintln!("failed: {failed:?}");
        }
        let late = format!("{name}: requests sent after the switch that the bad release answered");
        rows.must(late, ways.late, "requests", 0, ways.requests);
        let failed = format!("{name}: failed requests");
        rows.must(failed, ways.failed.len(), "requests", 0, ways.requests);
    }
    Ok(())
}

async fn go_back_often(binaries: &Binaries, when: When) -> Result<Ways> {
    let project = Project::new(binaries, when.kind())?;
    project.first().await?;
    let load = Load::start(project.address, &LOAD);
    let mut ways = Ways::default();
    for release in 2..2 + RUNS {
        when.deploy(&project, release).await?;
        load.more(STRETCH).await?;
        let typed_us = now_us();
        let back = project.roll_back().await?;
        let (t1, t4) = (time(&back, "t1")?, time(&back, "t4")?);
        ways.switched.push(ms(t4 - t1));
        let t2 = time(&back, "t2")?;
        ways.planned.push(ms(t2 - t1));
        ways.moved.push(ms(t4 - t2));
        ways.typed.push(ms(t4 - typed_us));
        let seen = load.take();
        ways.requests += seen.len();
        let bad = release.to_string();
        let of_bad = seen
            .iter()
            .filter(|seen| seen.release.as_deref() == Some(bad.as_str()));
        let last_us = of_bad.clone().map(|seen| seen.to_us).max();
        ways.answered
            .extend(last_us.map(|last_us| ms(last_us - t1)));
        ways.late += of_bad.filter(|seen| seen.from_us > t4).count();
        ways.failed
            .extend(seen.into_iter().filter(|seen| !seen.is_good()));
        eprint!("\r{}: {} of {RUNS}", when.words(), release - 1);
    }
    eprintln!();
    Ok(ways)
}
