//! The address that clients know, wherever the server is: what a virtual address or a name does when a standby takes
//! over, and what a broken network does in between.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Passes connections on to one port of loopback at a time. See the module.
#[derive(Debug)]
pub struct Address {
    at: SocketAddr,
    now: Arc<Mutex<Now>>,
}

#[derive(Debug, Default)]
struct Now {
    /// None: whoever connects is cut off.
    to: Option<u16>,
    /// Both ends of all connections.
    open: Vec<TcpStream>,
    is_over: bool,
}

impl Address {
    /// A free port whose connections go to that one.
    ///
    /// # Errors
    /// Nothing can listen.
    pub fn of(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let now = Arc::new(Mutex::new(Now {
            to: Some(port),
            ..Now::default()
        }));
        let address = Self {
            at: listener.local_addr()?,
            now: now.clone(),
        };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if lock(&now).is_over {
                    return;
                }
                // Refused by the server, or cut off: the client sees its connection end.
                let _ = join(&now, client);
            }
        });
        Ok(address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.at.port()
    }

    /// Cuts all connections; new ones go to that port, or are cut, too.
    pub fn point(&self, to: Option<u16>) {
        let mut now = lock(&self.now);
        now.to = to;
        cut(&mut now);
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        let mut now = lock(&self.now);
        now.is_over = true;
        cut(&mut now);
        drop(now);
        // Wakes the thread that listens.
        let _ = TcpStream::connect(self.at);
    }
}

fn join(now: &Mutex<Now>, client: TcpStream) -> io::Result<()> {
    let mut now = lock(now);
    let Some(to) = now.to else { return Ok(()) };
    let server = TcpStream::connect(("127.0.0.1", to))?;
    let ends = [client.try_clone()?, server.try_clone()?];
    let ways = [(client.try_clone()?, server.try_clone()?), (server, client)];
    now.open.retain(|end| end.peer_addr().is_ok());
    now.open.extend(ends);
    for (mut from, mut to) in ways {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}

fn cut(now: &mut Now) {
    for end in now.open.drain(..) {
        let _ = end.shutdown(Shutdown::Both);
    }
}

fn lock(now: &Mutex<Now>) -> MutexGuard<'_, Now> {
    now.lock().unwrap_or_else(PoisonError::into_inner)
}
