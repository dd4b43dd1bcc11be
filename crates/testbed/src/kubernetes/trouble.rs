//! Servers of a control plane that are gone, or stand still, for a while: only for one that a test has for itself.

use super::ControlPlane;
use crate::keeper::signal;
use rustix::process::Signal;

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
