//! Breaks of the core, at least one for each invariant, to show that the simulator sees them: `make sim MUTANTS=1`. Without the feature
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
    /// A hotfix takes what it finds for the baseline.
    CapturesAnew,
    /// A hotfix does not know what had been begun before it.
    ForgetsWhatWasBegun,
    /// The one that makes way for a hotfix ends before that has the lock.
    LetsGoFirst,
    /// A hotfix turns round what goes back.
    TurnsItRound,
    /// What made way for a hotfix during its bake counts as good.
    CountsItAsGood,
    /// What a hotfix finds half-way is never removed.
    LeavesItStanding,
    /// A hotfix takes what was there before both for what is there.
    LooksAtTheBaseline,
    /// What was run before a hotfix is not taken back with it.
    PaysNoDebts,
    /// Where someone says to go back to is not heard.
    GoesElsewhere,
    /// What was never verified is gone to although nobody took that upon them.
    AcceptsAll,
    /// A word to go back that comes at the last moment is lost.
    MissesTheWord,
    /// Phases go back side by side, whatever the order says.
    AllAtOnce,
    /// What provisions goes back last and in reverse, whatever the order says.
    OneOrderForAll,
    /// Where only the phase shall go back everything does.
    TakesAllBack,
    /// A phase goes back to what was there before it, whatever that is worth by now.
    PutsTheBadBack,
    /// What a platform accepted counts as not done when it cannot be followed.
    ForgetsWhatWasAccepted,
    /// Rules of the deployment come before those of its steps.
    OuterFirst,
    /// What was run is not taken back.
    LeavesCommands,
    /// What a clean-up asked for may still happen when a deployment begins.
    SettlesNothing,
    /// Clean-ups replace what serves where it is sick.
    Rebuilds,
    /// What a rollback needed stands for ever once the rollback is turned round.
    ForgetsWhatItKept,
    /// What fails once is given up.
    GivesUpSoon,
    /// What was lost sight of once is given up.
    AsksAtOnce,
    /// A clock that leaps ahead has a worker claim for ever what is over.
    TurnsInCircles,
    /// The end does not name the failures that it went past.
    PassesInSilence,
    /// Where moves were left out nobody looks whether the release is there.
    TakesItsWord,
    /// The way back brings up what the goal has, however many there are now.
    ForgetsTheScale,
    /// What people scaled is taken away again.
    TakesTheScaleAway,
    /// In proportion users are moved before their instances are there.
    MovesUsersFirst,
    /// Nobody is asked whether what is ready will do.
    NeverAsks,
    /// A foreign change is overwritten whatever policy says.
    AsksNobody,
    /// What was good elsewhere once goes out.
    PromotesAnything,
}

impl Mutant {
    /// All of them, with the invariant that each breaks.
    pub const ALL: [(Mutant, &'static str); 48] = [
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
        (Mutant::CapturesAnew, "I12"),
        (Mutant::ForgetsWhatWasBegun, "I12"),
        (Mutant::LetsGoFirst, "I12"),
        (Mutant::TurnsItRound, "I12"),
        (Mutant::CountsItAsGood, "P5"),
        (Mutant::LeavesItStanding, "I12"),
        (Mutant::LooksAtTheBaseline, "I10"),
        (Mutant::PaysNoDebts, "I2"),
        (Mutant::GoesElsewhere, "I5"),
        (Mutant::AcceptsAll, "P5"),
        (Mutant::MissesTheWord, "I12"),
        (Mutant::AllAtOnce, "order"),
        (Mutant::OneOrderForAll, "order"),
        (Mutant::TakesAllBack, "rules"),
        (Mutant::PutsTheBadBack, "P5"),
        (Mutant::ForgetsWhatWasAccepted, "I4"),
        (Mutant::OuterFirst, "rules"),
        (Mutant::LeavesCommands, "I2"),
        (Mutant::SettlesNothing, "I4"),
        (Mutant::Rebuilds, "I7"),
        (Mutant::ForgetsWhatItKept, "warm"),
        (Mutant::GivesUpSoon, "P2"),
        (Mutant::AsksAtOnce, "P2"),
        (Mutant::TurnsInCircles, "time"),
        (Mutant::PassesInSilence, "rules"),
        (Mutant::TakesItsWord, "rules"),
        (Mutant::ForgetsTheScale, "scale"),
        (Mutant::TakesTheScaleAway, "scale"),
        (Mutant::MovesUsersFirst, "scale"),
        (Mutant::NeverAsks, "scale"),
        (Mutant::AsksNobody, "I10"),
        (Mutant::PromotesAnything, "P5"),
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
