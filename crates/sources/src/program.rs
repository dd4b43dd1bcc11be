//! A program of the user's while it runs: its process group, which nothing may outlive, and the end of its output.

use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::VecDeque;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;

const OUTPUT_LINES: usize = 10;
const OUTPUT_BYTES: usize = 8 * 1024;

/// Waits for the end and for the rest of the output.
pub(crate) async fn finish(
    child: &mut Child,
    tail: &Tail,
    ended: &mut Option<std::io::Result<ExitStatus>>,
) {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let group = child.id();
    let wait = async {
        *ended = Some(child.wait().await);
        // At once: while anything is left in the group, its number cannot be given to anyone else, and if nothing is,
        // nothing happens.
        kill(group);
    };
    tokio::join!(wait, tail.take(stdout), tail.take(stderr));
}

/// Kills the process group when it goes out of scope before the program has ended: it was too slow, or nobody waits.
pub(crate) struct Group(Option<u32>);

impl Group {
    pub(crate) fn of(child: &Child) -> Self {
        Self(child.id())
    }

    /// Once the program has been waited for, its number may become someone else's.
    pub(crate) fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        kill(self.0);
    }
}

fn kill(group: Option<u32>) {
    let pid = group.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        kill_process_group(pid, Signal::KILL).ok();
    }
}

/// The end of what was written to stdout and stderr.
#[derive(Default)]
pub(crate) struct Tail(Mutex<VecDeque<u8>>);

impl Tail {
    pub(crate) async fn take(&self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            bytes.extend(&buffer[..count]);
            let surplus = bytes.len().saturating_sub(OUTPUT_BYTES);
            bytes.drain(..surplus);
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(bytes.make_contiguous()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(OUTPUT_LINES)..].join("\n")
    }
}
