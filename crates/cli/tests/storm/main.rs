//! The storm: three workers on one PostgreSQL, 200 deployments of real processes in flight. Once a second a worker is
//! killed with SIGKILL; the server crashes and comes back, and later its synchronous standby takes over. Leases live
//! 1.5 s here. Whatever happens, every deployment has to end as the oracle allows: with the release that was asked for, or
//! back at the one before where that is bad, a person went back, or a step was cut off again and again; never waiting for a
//! person, as nothing but kills happened; with a journal that keeps the invariants and an unbroken chain; one process per
//! service, of the release that is known to serve, and each instance started once.
//!
//! `BELAY_STORM_SERVICES` and `BELAY_STORM_SECONDS` make it smaller or longer. The report is printed, and written to the
//! file that `BELAY_STORM_REPORT` names.

mod crowd;
mod report;
mod servers;

#[path = "../support/mod.rs"]
mod support;

use crowd::Crowd;
use report::Report;
use servers::Servers;
use std::time::{Duration, Instant};

/// How often a worker is killed.
const EVERY: Duration = Duration::from_secs(1);
/// At once.
const WORKERS: usize = 3;

fn number(name: &str, otherwise: usize) -> usize {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn whoever_is_killed_every_deployment_ends_as_it_should() {
    let storm = Duration::from_secs(number("BELAY_STORM_SECONDS", 60) as u64);
    let mut servers = Servers::start();
    let crowd = Crowd::new(servers.url(), number("BELAY_STORM_SERVICES", 200));
    let mut report = Report::new(crowd.services.len());

    // The first release of each service, in calm.
    let workers = crowd.workers(WORKERS);
    crowd.ask_for_all(1);
    crowd.wait_for_all("the first releases");
    drop(workers);
    report.calm();

    // The second ones wait until all of them are asked for.
    crowd.without_workers(|| crowd.ask_for_all(2));
    report.asked();

    let mut workers = crowd.workers(WORKERS);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| crowd.go_back_from_some());
        let began = Instant::now();
        let mut next = EVERY;
        while began.elapsed() < storm {
            servers.suffer(began.elapsed().as_secs_f64() / storm.as_secs_f64());
            if began.elapsed() >= next {
                next += EVERY;
                workers.kill_one();
                report.kills += 1;
                report.most_open = report.most_open.max(crowd.open().unwrap_or(0));
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        asking.join().expect("everything was asked for");
    });
    report.storm();
    crowd.wait_for_all("what was asked for in the storm");
    report.rest();
    report.servers(&servers);
    crowd.judge(&mut report);
    report.print();
}
