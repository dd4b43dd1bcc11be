//! Processes that outlive a command: the worker, the proxy, supervisors.

use crate::{Belay, Error};

impl Belay {
    /// Sees to it that a worker is at work on this store. Answers whether one had to be started.
    ///
    /// # Errors
    /// It did not start; its log says why.
    pub async fn ensure_worker(&self) -> Result<bool, Error> {
        unimplemented!()
    }

    /// Sees to it that the proxy runs under its supervisor.
    ///
    /// # Errors
    /// It did not start.
    pub async fn ensure_proxy(&self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Gives everything that shall run its supervisor back: instances, and the proxy where there is one.
    /// Answers what could not be done, one line each.
    ///
    /// # Errors
    /// The directories cannot be read.
    pub async fn sweep(&self) -> Result<Vec<String>, Error> {
        unimplemented!()
    }
}
