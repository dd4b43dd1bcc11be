//! Kubernetes as a platform: releases that take each other's place, pod by pod, as manifests or as Helm releases.
//!
//! Normalised state of a target: one resource per object, `KIND.GROUP/NAME` (`deployment.apps/api`, `configmap/api`), with the
//! namespace before the name where it is not the target's own. Its spec is what somebody meant: what the server filled in, or
//! admission put in, is a fact. That of a workload says how far it is rolled out, too. A Helm release adds `release/NAME`.
#![warn(missing_docs)]

mod apply;
mod away;
mod beside;
mod builtin;
mod bundle;
mod capacity;
mod changes;
mod cluster;
mod compare;
mod connection;
mod contexts;
mod defaults;
mod digests;
mod driver;
mod error;
mod evidence;
mod follow;
mod gate;
mod groups;
pub mod helm;
mod history;
mod judge;
mod kinds;
mod kubernetes;
mod look;
mod manifest;
mod mark;
mod object;
mod owners;
mod ownership;
mod params;
mod past;
pub mod permissions;
mod plan;
mod pods;
mod probes;
mod quota;
mod reach;
pub mod render;
mod router;
mod schemas;
mod script;
mod secrets;
mod seen;
mod sending;
mod settings;
mod shares;
mod stall;
mod surroundings;
mod switch;
mod takeover;
mod traffic;
mod words;
mod workload;
mod write;

pub use bundle::Piece;
pub use contexts::contexts;
pub use digests::{digest, hidden};
pub use kubernetes::Kubernetes;
pub use manifest::parse as parse_manifest;
pub use past::{Beside, Given, Marked, Past, Version, Was, has_same_pods};
pub use reach::{Forward, Front, Reached, Side, Unreached};
pub use settings::{Gitops, Layout, Settings};
pub use shares::shares;
