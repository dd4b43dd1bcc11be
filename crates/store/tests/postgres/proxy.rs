//! A way to the server that can lose what it is told to lose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens at the next COMMIT, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum At {
    /// Nothing.
    Peace = 0,
    /// It never reaches the server.
    Before = 1,
    /// It reaches the server, and the client is cut off at once.
    During = 2,
    /// The server answers, and the answer is lost.
    After = 3,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    at: Arc<AtomicU8>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let at = Arc::new(AtomicU8::new(At::Peace as u8));
        let state = at.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(carry(client, server, state.clone()));
            }
        });
        Self { port: own, at }
    }

    pub(crate) fn lose(&self, at: At) {
        self.at.store(at as u8, Ordering::SeqCst);
    }

    /// Whether what was to be lost was lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.at.load(Ordering::SeqCst) == At::Peace as u8
    }
}

/// Carries until one side ends, or something is lost.
async fn carry(mut client: TcpStream, mut server: TcpStream, at: Arc<AtomicU8>) {
    let (mut up, mut down) = ([0; 16384], [0; 16384]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(n @ 1..) = read else { return };
                let mut now = At::Peace as u8;
                if up[..n].windows(7).any(|bytes| bytes == b"COMMIT\0") {
                    now = at.swap(At::Peace as u8, Ordering::SeqCst);
                }
                if now == At::Before as u8 || server.write_all(&up[..n]).await.is_err() {
                    return;
                }
                if now == At::During as u8 {
                    // The server notices when it answers, not before.
                    drop(client);
                    let _ = server.read(&mut down).await;
                    return;
                }
                if now == At::After as u8 {
                    let _ = server.read(&mut down).await;
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(n @ 1..) = read else { return };
                if client.write_all(&down[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}
