//! Who has which share of the traffic, for whoever shows it.

use crate::traffic;
use belay_model::state::State;
use std::collections::BTreeMap;

/// Shares per mille by group (`r7-1a2b3c4d`), or by the name of a Deployment that is in none. Empty: nothing takes traffic, or
/// releases take each other's place. Where pods are what shares, it is those that are ready.
pub fn shares(state: &State) -> BTreeMap<String, u32> {
    traffic::shares(state)
}
