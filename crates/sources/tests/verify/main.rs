//! What `Sources` answers, seen from the engine: real sockets and processes, a clock that the test owns.

mod combined;
mod command;
mod platform;
mod staged;
mod support;
mod traffic;
