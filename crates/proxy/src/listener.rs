//! One listening address: bind (again and again, if need be), accept, serve. A listener knows
//! only its slot; what is in it is none of its business.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::forward::Forward;
use crate::live::Slot;

const BACKLOG: u32 = 4096;
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_LONGEST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) slot: Arc<Slot>,
    bind_error: Arc<Mutex<Option<String>>>,
    /// Set to true: accept no more, and tell kept-alive connections to close.
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // A restart must not wait for old connections in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Listener {
    /// Serves what is in `slot` once `gate` is true. Binds `address` unless that was done.
    pub(crate) fn start(
        address: SocketAddr,
        bound: Option<TcpListener>,
        slot: Arc<Slot>,
        forward: Arc<Forward>,
        gate: watch::Receiver<bool>,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let waiting = bound.is_none().then(|| "not tried yet".to_owned());
        let bind_error = Arc::new(Mutex::new(waiting));
        let work = {
            let (slot, bind_error) = (slot.clone(), bind_error.clone());
            async move {
                let listener = match bound {
                    Some(listener) => listener,
                    None => bind_until_done(address, &bind_error).await,
                };
                accept(listener, slot, forward, gate, stopped).await;
            }
        };
        let mut stopped = stop.subscribe();
        let accepting = tokio::spawn(async move {
            // Dropping `work` closes the socket; connections have tasks of their own.
            tokio::select! {
                () = work => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        });
        Self {
            slot,
            bind_error,
            stop,
            accepting,
        }
    }

    /// Why the address is not bound; none when it is.
    pub(crate) fn bind_error(&self) -> Option<String> {
        self.bind_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends when the address is free again. Connections end after the request they are in.
    pub(crate) async fn stop(&mut self) {
        self.stop.send_replace(true);
        let _ = (&mut self.accepting).await;
    }

    /// Ends when all connections have.
    pub(crate) async fn closed(&self) {
        self.stop.closed().await;
    }
}

async fn bind_until_done(address: SocketAddr, bind_error: &Mutex<Option<String>>) -> TcpListener {
    let mut pause = RETRY_FIRST;
    loop {
        let bound = bind(address);
        tell(address, bound.as_ref().err().map(describe), bind_error);
        match bound {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(RETRY_LONGEST);
    }
}

fn tell(address: SocketAddr, why_not: Option<String>, told: &Mutex<Option<String>>) {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = &why_not
        && told.as_ref() != Some(error)
    {
        tracing::warn!(%address, error, "cannot bind, trying again");
    }
    *told = why_not;
}

/// `address in use` rather than `Address already in use (os error 98)`.
pub(crate) fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "address not of this machine".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted".to_owned(),
        _ => error.to_string(),
    }
}

async fn accept(
    listener: TcpListener,
    slot: Arc<Slot>,
    forward: Arc<Forward>,
    mut gate: watch::Receiver<bool>,
    stopped: watch::Receiver<bool>,
) {
    // Until then the kernel queues connections: they wait rather than fail.
    if gate.wait_for(|open| *open).await.is_err() {
        return;
    }
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let (slot, forward) = (slot.clone(), forward.clone());
                tokio::spawn(serve(stream, client, slot, forward, stopped.clone()));
            }
            Err(error) => {
                // Out of descriptors, or a connection that was gone before it was taken.
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(RETRY_FIRST).await;
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    client: SocketAddr,
    slot: Arc<Slot>,
    forward: Arc<Forward>,
    mut stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let mut kill = forward.kill.clone();
    let header_timeout = forward.options.header_timeout;
    let service = service_fn(|request| {
        let (slot, forward) = (slot.clone(), forward.clone());
        async move { Ok::<_, std::convert::Infallible>(forward.request(&slot, client, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        // An error says that the listener was dropped: the proxy is going, `kill` tells.
        Ok(_) = stopped.wait_for(|stopped| *stopped) => {}
        _ = kill.changed() => return,
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        _ = kill.changed() => {}
    }
}
