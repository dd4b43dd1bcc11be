//! How often a failed step is tried again, by class. Going back is tried harder than going forward: giving up there
//! means waking a person.

use crate::mutant::{self, Mutant};
use belay_model::error::Class;

/// Attempts of one step, the first included.
pub(crate) fn cap(class: Class, back: bool) -> u32 {
    if mutant::is(Mutant::TriesForEver) {
        return u32::MAX;
    }
    if mutant::is(Mutant::GivesUpSoon) {
        return 1;
    }
    match class {
        Class::Connectivity | Class::Timeout | Class::Quota => {
            if back {
                8
            } else {
                3
            }
        }
        // On the way back the other side is captured anew and overwritten (I10).
        Class::Conflict => {
            if back {
                4
            } else {
                1
            }
        }
        Class::Application | Class::Unknown => {
            if back {
                3
            } else {
                1
            }
        }
        Class::Authentication | Class::Authorisation | Class::Verification => 1,
    }
}

/// Attempts of one step that may be lost sight of, the first included.
pub(crate) fn losses(back: bool) -> u32 {
    if mutant::is(Mutant::AsksAtOnce) {
        return 1;
    }
    cap(Class::Connectivity, back)
}

/// Whether it may well be over soon, whatever is done about it.
pub(crate) fn is_passing(class: Class) -> bool {
    matches!(class, Class::Connectivity | Class::Timeout | Class::Quota)
}

/// Pause before the next attempt, milliseconds: 100 ms doubling to 10 s, or what the platform asks for.
pub(crate) fn pause_ms(failures: u32, retry_after_ms: Option<u64>) -> u64 {
    let own = 100_u64
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(10_000);
    retry_after_ms.unwrap_or(0).clamp(own, 600_000)
}
