//! What a user of the proxy can see, over real sockets.

mod drain;
mod forward;
mod health;
mod listening;
mod refusals;
mod restart;
mod split;
mod stats;
mod support;
mod switch;
