//! The three effects: grow a group, replace the route, shrink a group. Each may be repeated at any time.

mod grow;
mod route;
mod shrink;

pub(super) use grow::{failed, grow};
pub(super) use route::route;
pub(super) use shrink::shrink;
