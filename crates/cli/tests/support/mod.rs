//! What tests of the real binary share.
#![allow(dead_code)] // several tests use it, and none needs all of it

pub(crate) mod bookstore;
pub(crate) mod disk;
pub(crate) mod project;
