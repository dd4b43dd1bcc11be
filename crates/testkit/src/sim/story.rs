//! What happens: plain data, so that it can be repeated, made smaller and printed.

use crate::{Fault, Hints, Kind};
use belay_model::back::Risk;
use belay_model::config::BackOrder;
use belay_model::error::Class;
use belay_model::event::Ask;
use belay_model::plan::Look;
use belay_model::verdict::Outcome as Said;

/// What can go wrong in a story; each allows what those before it allow, apart from the last three, which are each their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weather {
    /// Nothing.
    Calm,
    /// Workers are killed.
    Killing,
    /// The store is out of reach for a while, clocks are set, machines sleep, hints are late or lost.
    Cutting,
    /// Platforms fail in ways that pass before anyone gives up.
    Passing,
    /// Platforms fail for longer.
    Hard,
    /// Someone else changes the platforms.
    Foreign,
    /// People stop and give up what runs, and want to be asked.
    People,
}

impl Weather {
    /// All of them.
    pub const ALL: [Weather; 7] = [
        Weather::Calm,
        Weather::Killing,
        Weather::Cutting,
        Weather::Passing,
        Weather::Hard,
        Weather::Foreign,
        Weather::People,
    ];

    /// Whether nothing in it may ever need a person.
    pub fn is_gentle(self) -> bool {
        self <= Weather::Passing
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// What can go wrong in it.
    pub weather: Weather,
    /// Services in environments, each with its targets.
    pub places: Vec<Place>,
    /// Workers, and how each hears of news.
    pub workers: Vec<Hints>,
    /// What people do and what befalls the platforms, in order.
    pub acts: Vec<Act>,
    /// What befalls workers.
    pub incidents: Vec<Incident>,
    /// What is answered when something waits for a person, in order; then it is tried again, and then given up.
    pub answers: Vec<Ask>,
}

/// A service in an environment. Even ones share their environment with the next, odd ones their service.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its targets.
    pub targets: Vec<Kind>,
    /// Instances of a release on each.
    pub instances: u32,
    /// Releases that never become ready.
    pub broken: Vec<u32>,
    /// What verification says of releases, apart from yes.
    pub said: Vec<(u32, Look, Said)>,
    /// What calls of effects meet: target, how-manieth call on it, what.
    pub faults: Vec<(usize, usize, Fault)>,
}

/// Something that happens at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// Milliseconds after the act before it.
    pub after_ms: u64,
    /// Where.
    pub place: usize,
    /// What.
    pub deed: Deed,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// A release shall go out.
    Deploy(Order),
    /// One shall go out that waits for nobody; whether although releases are held up.
    Hotfix(Order, bool),
    /// Back to that release and no other, with what is taken upon oneself: as `abort --to` where something runs.
    GoTo(u32, Vec<Risk>),
    /// Back to what was good: a deployment of its own where nothing runs, else a signal to what runs.
    GoBack,
    /// Back to what the last deployment started from, likewise.
    Undo,
    /// Someone says something to what runs, so many times (0: it gets lost on its way).
    Tell(Ask, u8),
    /// No release goes out: here, in the environment, of the service.
    Freeze(u8),
    /// Releases go out again.
    Thaw,
    /// Newer values of a release's secrets are sealed.
    Reseal(u32),
    /// A stranger changes where the traffic of a target goes.
    Meddle(usize),
    /// What serves on a target is not healthy any more.
    Sicken(usize),
    /// A target cannot be looked at, for so many milliseconds.
    LockOut(usize, Class, u64),
    /// Someone scales what serves on a target to so many instances.
    Scale(usize, u32),
    /// Someone has what serves on a target scaled by itself, to no fewer and no more than that.
    Bound(usize, u32, u32),
    /// Someone says something to one of those that are open, counted from the one that runs.
    TellOne(usize, Ask),
    /// A release goes out because it is good in another place.
    Promote(Order, usize),
}

/// What is asked for with a release.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Which.
    pub release: u32,
    /// How slowly.
    pub way: Way,
    /// Bake, milliseconds.
    pub bake_ms: u64,
    /// Targets side by side.
    pub parallel: u16,
    /// How many people have to say yes, and how long they may take, milliseconds.
    pub approve: Option<(u16, u64)>,
    /// Steps of the user's own: by target, and whether behind the move.
    pub extras: Vec<Extra>,
    /// A first phase gives the first target this share, per mille.
    pub share: Option<u32>,
    /// What is done when something fails: anywhere,
    pub remedies: Vec<(Class, Remedy)>,
    /// in the phase of a target,
    pub of_phases: Vec<(usize, Class, Remedy)>,
    /// or in the group of steps that some of the user's own are in.
    pub of_group: Vec<(Class, Remedy)>,
    /// In which order phases go back.
    pub back: BackOrder,
    /// An inconclusive verdict is for a person.
    pub asks: bool,
    /// A first release that fails stays.
    pub leaves: bool,
    /// It takes the place of those that wait.
    pub replaces: bool,
}

/// A strategy.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// All at once.
    Basic,
    /// Copy by copy.
    Rolling,
    /// A second set beside the first.
    BlueGreen,
    /// Shares in percent, each held for so many milliseconds.
    Canary(Vec<(u32, u64)>),
}

/// A step of the user's own. Where there is one, phases are written out.
#[derive(Clone, Debug, PartialEq)]
pub struct Extra {
    /// The target whose phase it belongs to; none: a phase of its own, before all others.
    pub target: Option<usize>,
    /// Behind the move.
    pub is_late: bool,
    /// It is in the order's group of steps.
    pub is_grouped: bool,
    /// What.
    pub work: Work,
    /// What is done when it fails.
    pub remedies: Vec<(Class, Remedy)>,
}

/// What a step of the user's own does.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// A command, how often it fails, what doubt about it means, and whether something stays behind.
    Run(u32, Doubt, bool),
    /// Time passes.
    Wait(u64),
    /// Someone says yes in so many milliseconds.
    Ask(u64),
}

/// What is done when nobody knows whether a command ran.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doubt {
    /// It is run again.
    RunAgain,
    /// It counts as failed.
    TakeBack,
    /// A person says.
    AskSomeone,
}

/// What is done about a failure.
#[derive(Clone, Debug, PartialEq)]
pub enum Remedy {
    /// Once more, so often.
    TryAgain(u32),
    /// It is asked for so many milliseconds, and then that is done.
    AskFor(u64, Then),
    /// That is done.
    Just(Then),
}

/// What is done in the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Then {
    /// It goes on.
    GoOn,
    /// It goes on, and nobody wants to be told.
    GoOnQuietly,
    /// The phase goes back.
    PhaseBack,
    /// Everything goes back.
    AllBack,
    /// It stays as it is.
    LeaveIt,
}

/// Something that befalls a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// Which worker.
    pub worker: usize,
    /// What.
    pub trouble: Trouble,
}

/// What befalls a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// It is killed at its how-manieth append or call, counted from when it was started.
    Kill(usize),
    /// At a time it does not reach the store, for a while: milliseconds.
    NoStore(u64, u64),
    /// At a time the store's answers do not reach it, for a while.
    NoAnswers(u64, u64),
    /// At a time it does not reach any platform, for a while.
    NoPlatform(u64, u64),
    /// At a time its wall clock is set by so many milliseconds.
    Jump(u64, i64),
    /// At a time its clock that only goes forward is suddenly so many milliseconds ahead.
    Leap(u64, u64),
    /// At a time it stands still for so many milliseconds, as a process that was stopped or a machine that sleeps: what it
    /// had asked for goes on, and so do all clocks.
    Stall(u64, u64),
}
