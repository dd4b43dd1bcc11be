//! The peer that many use: nginx in front of two groups, switched by a new configuration and `nginx -s reload`. The same
//! clients and as many switches as Belay's, fewer requests.

use crate::project::{Binaries, free_address};
use crate::rows::Rows;
use crate::switches::{KEPT, NEW};
use anyhow::{Context, Result, ensure};
use belay_load::Load;
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::sleep;

const SWITCHES: usize = 20;
const REQUESTS: usize = 200_000;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Runs until it is dropped.
pub(crate) struct Nginx {
    dir: tempfile::TempDir,
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Nginx {
    pub(crate) async fn start(upstreams: &[SocketAddr]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("belay-bench-").tempdir()?;
        let address = free_address()?;
        write(dir.path(), address, upstreams)?;
        let child = Command::new(program()?)
            .args(["-g", "daemon off;", "-e", "stderr", "-p"])
            .arg(dir.path())
            .args(["-c", "nginx.conf"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("run nginx")?;
        let nginx = Self {
            dir,
            child,
            address,
        };
        while tokio::net::TcpStream::connect(address).await.is_err() {
            sleep(LOOK_AGAIN).await;
        }
        Ok(nginx)
    }

    fn switch(&self, upstreams: &[SocketAddr]) -> Result<()> {
        write(self.dir.path(), self.address, upstreams)?;
        Ok(kill_process(self.pid()?, Signal::HUP)?)
    }

    fn pid(&self) -> Result<Pid> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        pid.context("nginx's pid")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that its workers end with it.
        if let Ok(pid) = self.pid() {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

fn program() -> Result<PathBuf> {
    let places = ["/usr/sbin/nginx", "/usr/bin/nginx"].map(PathBuf::from);
    let found = places.into_iter().find(|place| place.is_file());
    found.context("nginx is not there, and Belay's proxy is compared with it: `make needs`")
}

fn write(dir: &Path, address: SocketAddr, upstreams: &[SocketAddr]) -> Result<()> {
    let servers: String = upstreams
        .iter()
        .map(|upstream| format!("    server {upstream};\n"))
        .collect();
    let text = format!(
        "worker_processes 2;\npid nginx.pid;\nevents {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 100000000;\n\
         \x20 client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n\
         \x20 uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n\
         \x20 upstream shop {{\n{servers}    keepalive 64;\n    keepalive_requests 100000000;\n  }}\n\
         \x20 server {{\n    listen {address};\n    location / {{\n      proxy_pass http://shop;\n\
         \x20     proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n    }}\n  }}\n}}\n"
    );
    std::fs::write(dir.join("nginx.conf"), text).context("write nginx.conf")
}

/// One group of the service, without Belay.
struct Group(Vec<(Child, SocketAddr)>);

impl Group {
    async fn start(binaries: &Binaries, release: &str) -> Result<Self> {
        let mut group = Self(Vec::new());
        for _ in 0..2 {
            let address = free_address()?;
            let child = Command::new(&binaries.bookstore)
                .env("PORT", address.port().to_string())
                .env("RELEASE", release)
                .stderr(Stdio::null())
                .spawn()
                .context("run bookstore")?;
            group.0.push((child, address));
            while tokio::net::TcpStream::connect(address).await.is_err() {
                sleep(LOOK_AGAIN).await;
            }
        }
        Ok(group)
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|(_, address)| *address).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for (child, _) in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) async fn measure(binaries: &Binaries, rows: &mut Rows) -> Result<()> {
    let groups = [
        Group::start(binaries, "1").await?,
        Group::start(binaries, "2").await?,
    ];
    let addresses = groups.each_ref().map(Group::addresses);
    let nginx = Nginx::start(&addresses[0]).await?;
    let loads = [KEPT, NEW].map(|shape| Load::start(nginx.address, &shape));
    let count = || loads.iter().map(Load::count).sum::<usize>();
    for switch in 0..SWITCHES {
        nginx.switch(&addresses[(switch + 1) % 2])?;
        while count() < REQUESTS / SWITCHES * (switch + 1) {
            sleep(LOOK_AGAIN).await;
        }
        eprint!("\rnginx: {} of {SWITCHES}", switch + 1);
    }
    eprintln!();
    let failed: Vec<_> = loads.iter().flat_map(Load::seen).collect();
    for failed in failed.iter().take(3) {
        eprintln!("failed through nginx: {failed:?}");
    }
    let requests = count();
    ensure!(requests > 0, "no request went through nginx");
    let figure = format!("peer nginx, `reload`: failed requests across {SWITCHES} switches");
    rows.plain(figure, failed.len() as f64, "requests", requests);
    Ok(())
}
