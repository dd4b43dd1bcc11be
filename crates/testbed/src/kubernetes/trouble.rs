//! Servers of a control plane that are gone, or stand still, for a while: only for one that a test has for itself.

use super::ControlPlane;
use crate::keeper::signal;
use rustix::process::Signal;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// A free port that the kernel gives to no client, one of which could take it while the API server is away; nor is it given to
/// another control plane of this process then.
pub(super) fn lasting_port() -> Result<u16, String> {
    const FIRST: u32 = 28_000;
    const COUNT: u32 = 4_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Others on this machine begin elsewhere.
    let begin = std::process::id().wrapping_mul(37);
    for _ in 0..COUNT {
        let next = begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + next % COUNT).map_err(|e| e.to_string())?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("all ports are taken".to_owned())
}

impl ControlPlane {
    /// SIGKILLs the API server. Its address stays its own.
    ///
    /// # Errors
    /// It could not be done, for people.
    pub fn kill_api_server(&self) -> Result<(), String> {
        let log = self.log("kube-apiserver");
        self.keeper().kill(&log)
    }

    /// Starts the API server again. It answers a few seconds later: [`ControlPlane::answers`].
    ///
    /// # Errors
    /// It could not be done, for people.
    pub fn start_api_server(&self) -> Result<(), String> {
        self.api_server()
    }

    /// Waits until the API server answers.
    ///
    /// # Errors
    /// It did not.
    pub fn answers(&self) -> Result<(), String> {
        self.wait("the API server", || self.ask(&["get", "--raw", "/readyz"]))
    }

    /// etcd stands still from now on, as one does whose disk or machine does.
    ///
    /// # Errors
    /// It could not be done, for people.
    pub fn stop_etcd(&self) -> Result<(), String> {
        signal(&self.log("etcd"), Signal::STOP).map(drop)
    }

    /// etcd goes on.
    ///
    /// # Errors
    /// It could not be done, for people.
    pub fn continue_etcd(&self) -> Result<(), String> {
        signal(&self.log("etcd"), Signal::CONT).map(drop)
    }
}
