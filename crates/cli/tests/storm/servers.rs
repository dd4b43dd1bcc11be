//! The server, its synchronous standby, and the address that stays.

use belay_testbed::{Address, Postgres, Version};
use std::process::Command;

/// See the module.
pub(crate) struct Servers {
    primary: Postgres,
    standby: Postgres,
    address: Address,
    /// The server crashed and came back.
    pub(crate) restarts: usize,
    /// The standby took over.
    pub(crate) switches: usize,
}

impl Servers {
    /// Both, with the standby synchronous: what is acknowledged is on both.
    pub(crate) fn start() -> Self {
        let primary = Postgres::start(Version::V15).expect("a server");
        let standby = primary.standby("second").expect("a standby");
        let named = primary.set("synchronous_standby_names = 'second'");
        named.expect("it runs");
        let address = Address::of(primary.port()).expect("an address");
        let servers = Self {
            primary,
            standby,
            address,
            restarts: 0,
            switches: 0,
        };
        while servers.ask("select sync_state from pg_stat_replication") != "sync" {
            std::thread::yield_now();
        }
        servers
    }

    /// What clients connect to, whichever server is behind it.
    pub(crate) fn url(&self) -> String {
        let database = Postgres::DATABASE;
        format!(
            "postgres://belay@127.0.0.1:{}/{database}",
            self.address.port()
        )
    }

    /// Does what is due when that share of the time is over: a crash at a third, the switch at two thirds.
    pub(crate) fn suffer(&mut self, share: f64) {
        if share > 1.0 / 3.0 && self.restarts == 0 {
            self.primary.crash_and_restart().expect("it recovers");
            self.restarts += 1;
        }
        if share > 2.0 / 3.0 && self.switches == 0 {
            self.primary.crash();
            self.standby.promote().expect("it takes over");
            self.address.point(Some(self.standby.port()));
            self.switches += 1;
        }
    }

    fn ask(&self, statement: &str) -> String {
        let said = Command::new("psql")
            .args(["-qAtX", "-c", statement, &self.url()])
            .output()
            .expect("psql is installed: `make needs`");
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    }
}
