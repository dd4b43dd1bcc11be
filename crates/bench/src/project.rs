//! A project with examples/bookstore as its service.

use crate::home::Home;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Deref;
use std::path::PathBuf;
use tokio::process::Child;

pub(crate) const ENVIRONMENT: &str = "bench";
/// Below those that the kernel gives to clients and that Belay gives to instances.
const PORTS: std::ops::Range<u16> = 8400..8600;

/// The release build, found beside this executable.
pub(crate) struct Binaries {
    pub(crate) belay: PathBuf,
    pub(crate) bookstore: PathBuf,
}

impl Binaries {
    pub(crate) fn find() -> Result<Self> {
        let exe = std::env::current_exe().context("find this executable")?;
        let find = |name| {
            let path = exe.with_file_name(name);
            ensure!(
                path.is_file(),
                "{} is not there: use `make bench`",
                path.display()
            );
            Ok(path)
        };
        Ok(Self {
            belay: find("belay")?,
            bookstore: find("bookstore")?,
        })
    }
}

/// What the deployments are like.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) strategy: &'static str,
    pub(crate) bake: &'static str,
    pub(crate) start_delay_ms: u64,
}

/// Two groups side by side, so that the old one stays warm.
pub(crate) const WARM: Kind = Kind {
    strategy: "blue_green",
    bake: "0s",
    start_delay_ms: 0,
};

pub(crate) struct Project {
    home: Home,
    /// Where the service is reached through Belay's proxy.
    pub(crate) address: SocketAddr,
    kind: Kind,
}

impl Deref for Project {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Project {
    pub(crate) fn new(binaries: &Binaries, kind: Kind) -> Result<Self> {
        let home = Home::new(&binaries.belay, ENVIRONMENT)?;
        let build = home.path().join("build");
        fs::create_dir_all(&build)?;
        fs::copy(&binaries.bookstore, build.join("bookstore")).context("copy bookstore")?;
        Ok(Self {
            home,
            address: free_address()?,
            kind,
        })
    }

    /// See [`Home::trace`].
    pub(crate) fn trace(&mut self) -> Result<PathBuf> {
        self.home.trace()
    }

    /// Writes `belay.yaml` as it is for this release.
    fn write(&self, release: u32, kind: Kind) -> Result<()> {
        let Kind {
            strategy,
            bake,
            start_delay_ms,
        } = kind;
        let text = format!(
            "service: bookstore\n\
             release: {{ artifact: build }}\n\
             config: {{ RELEASE: \"{release}\", START_DELAY_MS: \"{start_delay_ms}\" }}\n\
             verify: [{{ http: /health }}]\n\
             environments:\n  {ENVIRONMENT}:\n    target:\n      process:\n        run: ./bookstore\n        listen: {}\n\
             \x20       instances: 2\n        ready: {{ http: /health }}\n        stop_timeout: 2s\n\
             \x20   strategy: {strategy}\n\
             \x20   keep: {{ bake: {bake}, warm: 10m }}\n",
            self.address
        );
        self.home.write("belay.yaml", &text)
    }

    /// Puts release 1 out, without a bake that others would have to wait for.
    pub(crate) async fn first(&self) -> Result<()> {
        let bake = "0s";
        self.write(1, Kind { bake, ..self.kind })?;
        self.run(&["deploy", "-e", ENVIRONMENT]).await.map(drop)
    }

    /// Puts a release out; answers the deployment.
    pub(crate) async fn deploy(&self, release: u32) -> Result<Value> {
        self.write(release, self.kind)?;
        let document = self.run(&["deploy", "-e", ENVIRONMENT]).await?;
        Ok(document["deployment"].clone())
    }

    /// Puts a release out, until it has all traffic; its bake goes on.
    pub(crate) async fn promote(&self, release: u32) -> Result<Value> {
        self.write(release, self.kind)?;
        let line = ["deploy", "-e", ENVIRONMENT, "--until", "promoted"];
        Ok(self.run(&line).await?["deployment"].clone())
    }

    /// Begins to put a release out.
    pub(crate) fn begin_deploy(&self, release: u32) -> Result<Child> {
        self.write(release, self.kind)?;
        self.begin(&["deploy", "-e", ENVIRONMENT])
    }
}

/// A port that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let mut ports = PORTS;
    let free = ports.find_map(|port| {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        bound.local_addr().ok()
    });
    free.ok_or_else(|| anyhow!("no port of {PORTS:?} is free"))
}
