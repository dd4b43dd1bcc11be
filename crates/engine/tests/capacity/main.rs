//! How many instances a move brings up, on every kind of platform that has such a number (ADR 0017).

mod asked;
mod back;
mod half_way;
mod hotfix;
mod in_proportion;

use belay_testkit::Scene;

/// Instances of a release, where nothing else is said.
pub(crate) const USUAL: u32 = 4;

/// Who has all of the users, or does all of the work.
pub(crate) fn serving(scene: &Scene) -> Option<String> {
    let users = scene.world.users();
    let alone = users.iter().find(|(_, share)| **share == 1000);
    alone.map(|(name, _)| name.clone())
}
