//! A registry of OCI artifacts, over plain HTTP on loopback; what it is given is in its memory.

use crate::go;
use crate::keeper::Keeper;
use crate::postgres::pause;
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest time that it may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct Registry {
    /// It listens there: `127.0.0.1:PORT`.
    pub address: String,
    _keeper: Keeper,
}

impl Registry {
    /// Starts one; building it takes some seconds, once.
    ///
    /// # Errors
    /// Why it is not to be had, for people.
    pub fn start() -> Result<Self, String> {
        let program = go::registry()?.join("registry");
        let dir = tempfile::Builder::new().prefix("belay-registry-").tempdir();
        let dir = dir.map_err(|e| e.to_string())?.keep();
        let log = dir.join("log");
        let mut keeper = Keeper::of(&dir)?;
        keeper.start(Command::new(program).args(["-port", "0"]), &log)?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            // The port is its own choice, so that nobody else has it.
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let port = said.split("serving on port ").nth(1);
            if let Some((port, _)) = port.and_then(|rest| rest.split_once('\n')) {
                return Ok(Self {
                    address: format!("127.0.0.1:{port}"),
                    _keeper: keeper,
                });
            }
            pause();
        }
        Err("the registry does not begin".to_owned())
    }
}
