//! Where users come in from outside of a cluster, of a test's own: what a load balancer, the controller of an Ingress or that of a
//! Gateway would put in front of a Service. It answers at an address of its own at the usual ports, with TLS at one of them, for
//! one host, and passes what it is asked on. That it is there has to be written into a status by the test: no controller runs.

use crate::certificates::{Authority, Identity};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// See the module. It goes with the process.
#[derive(Debug)]
pub struct Edge {
    address: IpAddr,
    authority: Authority,
    behind: Arc<OnceLock<SocketAddr>>,
}

impl Edge {
    /// One for that host, in front of nothing yet.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn start(host: &str) -> Result<Self, String> {
        let authority = Authority::new()?;
        let identity: Identity = authority.server(&format!("DNS:{host}"))?;
        let tls = identity.serving()?;
        let (address, [plain, secure]) = listeners()?;
        let (host, behind) = (
            Arc::<str>::from(host),
            Arc::<OnceLock<SocketAddr>>::default(),
        );
        for (listener, tls) in [(plain, None), (secure, Some(tls))] {
            let (host, behind) = (host.clone(), behind.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (host, tls, behind) = (host.clone(), tls.clone(), behind.clone());
                    std::thread::spawn(move || serve(stream, tls, &host, *behind.get()?));
                }
            });
        }
        Ok(Self {
            address,
            authority,
            behind,
        })
    }

    /// What it stands in front of from now on, once and for all.
    pub fn leads_to(&self, behind: SocketAddr) {
        self.behind.set(behind).expect("it led nowhere");
    }

    /// Where it is, at the ports 80 and 443.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The file with the certificate of who vouches for it.
    pub fn authority(&self) -> PathBuf {
        self.authority.certificate()
    }
}

/// At the usual ports of an address that nobody else has.
fn listeners() -> Result<(IpAddr, [TcpListener; 2]), String> {
    let mut last = String::new();
    for number in 1..=250 {
        let address = IpAddr::from(Ipv4Addr::new(127, 80, 43, number));
        let at = |port| TcpListener::bind((address, port));
        match (at(80), at(443)) {
            (Ok(plain), Ok(secure)) => return Ok((address, [plain, secure])),
            (Err(error), _) | (_, Err(error)) => last = error.to_string(),
        }
    }
    Err(format!("no address is free: {last}"))
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    host: &str,
    behind: SocketAddr,
) -> Option<()> {
    match tls {
        None => pass(stream, host, behind),
        Some(tls) => {
            let connection = ServerConnection::new(tls).ok()?;
            let mut stream = StreamOwned::new(connection, stream);
            pass(&mut stream, host, behind)?;
            stream.conn.send_close_notify();
            stream.flush().ok()
        }
    }
}

/// One request without a body, and its answer.
fn pass(stream: impl Read + Write, host: &str, behind: SocketAddr) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut is_ours) = (String::new(), false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        let asked = line.to_ascii_lowercase();
        is_ours |= asked.trim() == format!("host: {host}");
        head += &line;
    }
    let mut answer = Vec::new();
    if is_ours {
        let mut to = TcpStream::connect(behind).ok()?;
        to.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())
            .ok()?;
        to.read_to_end(&mut answer).ok()?;
    } else {
        answer.extend(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let stream = stream.get_mut();
    stream.write_all(&answer).ok()?;
    stream.flush().ok()
}
