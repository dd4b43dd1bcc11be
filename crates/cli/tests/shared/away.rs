//! The server of a store that is away for a while: one of its own, which no other test misses.

use crate::machine::{machine, release, serves};
use crate::support::project::until;
use belay_testbed::{Postgres, Version};
use std::process::Stdio;

#[test]
fn a_worker_that_stays_waits_for_a_server_that_is_away_as_it_starts() {
    let mut database = Postgres::start(Version::V15).expect("a server");
    let url = database.url(Postgres::DATABASE);
    let (server, laptop) = (machine(&url, "server"), machine(&url, "laptop"));
    release(&server, 0, "RELEASE: 1");
    release(&server, 0, "RELEASE: 2");
    server.kill_worker();

    database.crash();
    let log = server.path().join("stays.log");
    let stays = server
        .command(&["worker", "--stay"])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).expect("a log"))
        .spawn();
    let mut stays = stays.expect("a worker");
    until("it has seen that nobody answers", || {
        let said = std::fs::read_to_string(&log).expect("a log");
        said.contains("trying again").then_some(())
    });
    database.restart().expect("it is back");
    let back = laptop.belay(&["rollback", "web", "-e", "test", "--yes"]);
    let talk = String::from_utf8_lossy(&back.stderr).into_owned();
    assert!(back.status.success(), "{talk}");
    assert!(talk.contains("done by a worker of server"), "{talk}");
    serves(&server, 1);
    assert!(stays.try_wait().expect("known").is_none(), "and it stays");
    stays.kill().expect("killed");
    stays.wait().expect("gone");
}
