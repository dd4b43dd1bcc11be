//! Breaks of the core, one for each invariant, to show that the simulator sees them: `make sim MUTANTS=1`. Without the feature
//! `mutants`, which no binary has, [`is`] is a constant and nothing of this is left.

/// A break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Calls are made before the journal knows of them.
    ActsFirst,
    /// The way back removes before it has grown and switched.
    ShrinksFirst,
    /// The way back leaves out all targets but one.
    ForgetsTargets,
    /// The first plan goes on although a way back has begun.
    GoesOn,
    /// What was lost sight of counts as not done, and nobody asks.
    TrustsSilence,
    /// What fails on the way back counts as done.
    CallsItDone,
    /// Leases never end for who has them.
    HoldsOn,
    /// The way back runs with the secrets of old.
    OldSecrets,
    /// Not knowing counts as passed.
    Shrugs,
    /// A way back that fails begins another.
    TriesAnother,
    /// However many went back by themselves, the next one goes out.
    NeverFreezes,
    /// What someone else changed is not looked for.
    Overwrites,
    /// A step is tried for ever.
    TriesForEver,
    /// The newest of a queue goes first.
    ServesTheNewest,
    /// The way back goes half of the way, and looks, and then the rest.
    GoesBackSlowly,
    /// Nobody is told what cannot be taken back.
    ForgetsResidue,
}

impl Mutant {
    /// All of them, with the invariant that each breaks.
    pub const ALL: [(Mutant, &'static str); 16] = [
        (Mutant::ActsFirst, "I1"),
        (Mutant::ShrinksFirst, "I2"),
        (Mutant::ForgetsTargets, "I2"),
        (Mutant::GoesOn, "I3"),
        (Mutant::TrustsSilence, "I4"),
        (Mutant::CallsItDone, "I5"),
        (Mutant::HoldsOn, "I6"),
        (Mutant::OldSecrets, "I7"),
        (Mutant::Shrugs, "I8"),
        (Mutant::TriesAnother, "I9"),
        (Mutant::NeverFreezes, "I9"),
        (Mutant::Overwrites, "I10"),
        (Mutant::TriesForEver, "I11"),
        (Mutant::ServesTheNewest, "I12"),
        (Mutant::GoesBackSlowly, "I13"),
        (Mutant::ForgetsResidue, "I14"),
    ];
}

#[cfg(feature = "mutants")]
mod armed {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static ARMED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// From now on the core is broken like that on this thread, or it is whole.
    pub fn arm(mutant: Option<Mutant>) {
        ARMED.set(mutant);
    }

    pub(crate) fn is(mutant: Mutant) -> bool {
        ARMED.get() == Some(mutant)
    }
}

#[cfg(feature = "mutants")]
pub use armed::arm;
#[cfg(feature = "mutants")]
pub(crate) use armed::is;

/// Whether the core is broken like that: never.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}
