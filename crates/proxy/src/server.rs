//! The proxy from start to end: lock the directory, load the table, serve, drain, go.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::future::Future;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use belay_proxy_api::path;
use rustix::fs::{FlockOperation, flock};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin;
use crate::control::Control;
use crate::error::Error;
use crate::forward::Forward;
use crate::options::Options;
use crate::persist;

const PRUNE_EVERY: Duration = Duration::from_secs(1);

/// Runs until `shutdown`, then takes no more connections, waits for what is in flight (at most
/// [`Options::shutdown_deadline`]) and returns. Dropping the future ends everything at once.
///
/// # Errors
/// When another proxy runs on the directory, or its files cannot be used. An address that cannot
/// be bound is no error: it is tried again and again, and the status says so.
pub async fn run(options: Options, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let dir = options.dir.clone();
    let _lock = lock(&dir)?;
    let loaded = persist::load(&dir).map_err(Error::file("read the table in", &dir))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    // Connections, tunnels and checks watch this: they end when it is dropped.
    let (alive, kill) = watch::channel(());
    let admin_socket = admin::bind(&dir)?;
    let (grace, deadline) = (options.fallback_grace, options.shutdown_deadline);
    let control = Arc::new(Control::new(Arc::new(Forward { options, kill }), loaded));
    tracing::info!(number = control.table.load().number, dir = %dir.display(), "proxy started");
    tokio::select! {
        () = shutdown => {}
        () = admin::serve(admin_socket, control.clone()) => {}
        () = prune(&control) => {}
        () = end_hold(&control, grace) => {}
    }
    if tokio::time::timeout(deadline, control.stop())
        .await
        .is_err()
    {
        tracing::warn!(
            in_flight = control.in_flight(),
            "deadline over, going anyway"
        );
    }
    let _ = fs::remove_file(dir.join(path::SOCKET));
    drop(alive);
    Ok(())
}

/// Ends at the first SIGTERM or SIGINT: a shutdown for [`run`].
///
/// # Errors
/// When the signals cannot be listened for. They are listened for from this call on, not only
/// from the first poll.
pub fn signalled() -> Result<impl Future<Output = ()>, Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn lock(dir: &Path) -> Result<File, Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(Error::file("make the directory", dir))?;
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(Error::file("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::InUse {
            dir: dir.to_owned(),
        }),
        Err(error) => Err(Error::file("lock", path)(error.into())),
    }
}

async fn prune(control: &Control) {
    let mut every = tokio::time::interval(PRUNE_EVERY);
    loop {
        every.tick().await;
        control.prune();
    }
}

/// A fallback table serves when its grace period is over, whether a controller came or not.
async fn end_hold(control: &Control, grace: Duration) {
    if control.is_holding() {
        tokio::time::sleep(grace).await;
        if control.is_holding() {
            control.warn(format!(
                "no controller confirmed the table within {grace:?}: it serves"
            ));
            // That it cannot be written is told at the next change.
            let _ = control.confirm(None).await;
        }
    }
    std::future::pending().await
}
