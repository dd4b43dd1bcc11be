//! Real supervisors of real commands: what a user could see, and what is left after any of them is killed.

mod crash;
mod durable;
mod readiness;
mod stopping;
mod world;
