//! One small process per supervised command: started once, it survives Belay, restarts the command with back-off, rotates its
//! output, reaps it, records how it ended, and stops it gracefully, then hard.
//!
//! The problem: every process here can be killed at any moment, alone or with all the others, and each of the following has to
//! stay true.
//! - **At most one copy runs.** A supervisor holds an exclusive `flock` on its directory: the kernel frees it with the process,
//!   however that ended. A new supervisor *adopts* a command that is still alive before it would start one.
//! - **A command is more than a pid**, which may be used again: it is pid, start time and boot id ([`Identity`]), and signals go
//!   through a pidfd. A command that was started but not yet written down when its supervisor was killed is found by its
//!   environment (`BELAY_INSTANCE`, `BELAY_INSTANCE_DIR`).
//! - **A command never depends on its supervisor being alive.** Its output goes straight to a file opened for appending: a pipe
//!   would break (SIGPIPE, or a write that blocks for ever) the moment the supervisor is killed. So rotation is copy and
//!   truncate, and lines written between the two are lost: the price of not being in the way.
//!   Nobody rotates while no supervisor is alive.
//! - **What was asked lasts.** `desired` is made durable before anything is signalled: a stop that was interrupted is finished,
//!   not forgotten, by whoever comes next.
//! - **A port stays its command's** while that starts, or is down between two starts: other Belays of the machine respect a [`Claim`].
//!
//! SIGTERM to a supervisor is what SIGKILL is: it goes, the command stays. To stop the command is a request on the socket.
//!
//! What the supervisor must not do: know deployments or releases, restart a command because it is unready (taking it out of
//! traffic is the router's job, replacing it the driver's), or keep a secret in clear on disk.
//!
//! The directory, one per command, mode 0700:
//!
//! | file | what | written by |
//! |---|---|---|
//! | `spec.json` | [`Spec`], never changed; its presence says that the directory is complete | [`Supervised::create`] |
//! | `secrets.sealed` | the secret environment, sealed with the key that `spec.json` names; absent without secrets | [`Supervised::create`] |
//! | `desired` | `running` or `stopped` | whoever starts or stops |
//! | `status.json` | [`Status`] as last seen | the holder of the lock |
//! | `supervisor.lock`, `s.sock` | the lock, the [protocol](Request) | the supervisor |
//! | `output.log`, `output.log.1`, .. | standard output and error of the command | the command |
//! | `supervisor.log` | what the supervisor did | the supervisor |

mod adopt;
mod backoff;
mod child;
mod claim;
mod client;
mod directory;
mod identity;
mod launch;
mod lifecycle;
mod listener;
mod output;
mod probe;
mod protocol;
mod seal;
mod serve;
mod spec;
mod status;
mod sweep;

pub(crate) use claim::Claim;
pub use client::Supervised;
pub use identity::Identity;
pub use launch::Ensured;
pub use lifecycle::{main, run};
pub use protocol::{Answer, Cause, NotReady, Request};
pub use seal::{KeyFile, Sealer};
pub use spec::{Readiness, Spec, Timing};
pub use status::{Desired, Ended, Exit, Phase, Status};
pub use sweep::{Found, Swept, is_unattended, lacks_supervisor, sweep};
