//! The words of Belay as types: ids, configuration, releases, states, plans, journal events, verdicts

pub mod config;
