//! Helm releases: what their own records say, and moving them by the `helm` that people have.
//!
//! Helm applies, we watch. A release is moved by `helm upgrade`, `rollback` or `uninstall` without `--wait`; the workloads of
//! its manifest are followed as all others are, and what helm leaves of a field is put right. Helm never rewinds: each move is
//! a revision with a new number, so that numbers are facts, and contents are what is compared.

mod api;
mod apply;
mod chart;
mod command;
mod failed;
mod history;
mod hold;
mod look;
mod past;
mod plan;
mod process;
mod program;
mod ready;
mod record;
mod script;
mod settle;
mod start;
mod values;

pub use api::Api;
pub use chart::{Chart, Rendered, Rendering, Unrendered};
pub use past::{Kept, Rebuilt, ReleasePast, differences};
pub use program::{Program, Unusable};
pub use values::{WrongPath, put};

pub(crate) use apply::{Handle, Work};
pub(crate) use history::history;
pub(crate) use look::Contents;
pub(crate) use plan::{How, Step, after, desired, plan, to_state};
pub(crate) use process::Processes;
pub(crate) use record::record;
pub(crate) use script::{commands, written};
