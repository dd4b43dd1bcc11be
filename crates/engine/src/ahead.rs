//! The fold of a journal with what is about to be appended to it. Pure.
//!
//! What is pending is folded once, when it is added. That it became durable changes nothing then but the position, unless
//! someone appended in between: then everything is folded again, in the order in which it stands.

use crate::fold::Deployment;
use belay_model::event::{Entry, Event};

/// See the module.
pub(crate) struct Ahead {
    state: Deployment,
    /// Events with their times, Unix microseconds.
    pending: Vec<(i64, Event)>,
}

impl Ahead {
    /// Nothing is pending.
    pub(crate) fn new(state: Deployment) -> Self {
        let pending = Vec::new();
        Self { state, pending }
    }

    /// What is durable and what is pending, folded. Its position is that of what is durable.
    pub(crate) fn state(&self) -> &Deployment {
        &self.state
    }

    pub(crate) fn pending(&self) -> &[(i64, Event)] {
        &self.pending
    }

    /// One more is pending.
    pub(crate) fn push(&mut self, at_us: i64, event: Event) {
        self.state.take(at_us, &event);
        self.pending.push((at_us, event));
    }

    /// What was pending is durable, and the journal ends there.
    pub(crate) fn appended(&mut self, seq: u64) {
        self.state.seq = seq;
        self.pending.clear();
    }

    /// Behind which position the journal has to be read when others appended: what is pending comes after all of it.
    pub(crate) fn after(&self) -> u64 {
        if self.pending.is_empty() {
            self.state.seq
        } else {
            0
        }
    }

    /// Takes in what stands behind [`Ahead::after`]. `keep`: how many of those that are pending still count.
    pub(crate) fn moved(&mut self, entries: &[Entry], keep: usize) {
        if !self.pending.is_empty() {
            self.state = Deployment::new(self.state.id.clone());
        }
        self.pending.truncate(keep);
        for entry in entries {
            self.state.apply(entry);
        }
        if self.state.ended.is_some() {
            // It had not begun, and someone ended it: nothing of what was about to be said is true any more.
            self.pending.clear();
        }
        for (at_us, event) in &self.pending {
            self.state.take(*at_us, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::tests::Story;
    use belay_model::back::Back;
    use belay_model::event::{self, Ask};

    /// However own events and those of others come in between each other.
    #[test]
    fn the_fold_is_that_of_the_whole_journal_with_what_is_pending() {
        for seed in 0..200 {
            let mut story = Story::new(seed);
            let mut journal: Vec<Entry> = Vec::new();
            let mut ahead = Ahead::new(Deployment::new(story.id()));
            for at_us in 0..100 {
                match story.pick(4) {
                    0 => {
                        append(&mut journal, ahead.pending().to_vec());
                        ahead.appended(journal.len() as u64);
                    }
                    1 if !journal.is_empty() => {
                        let signal = Event::Signal {
                            actor: "ada".to_owned(),
                            ask: [Ask::Pause, Ask::Resume][story.pick(2)].clone(),
                            reason: None,
                            back: Back::default(),
                        };
                        append(&mut journal, vec![(at_us, signal)]);
                        let after = usize::try_from(ahead.after()).expect("small");
                        ahead.moved(&journal[after..], usize::MAX);
                    }
                    _ => ahead.push(at_us, story.next(ahead.state())),
                }
                let mut whole = Deployment::of(story.id(), &journal);
                for (at_us, event) in ahead.pending() {
                    whole.take(*at_us, event);
                }
                assert_eq!(*ahead.state(), whole, "seed {seed}, event {at_us}");
            }
        }
    }

    fn append(journal: &mut Vec<Entry>, events: Vec<(i64, Event)>) {
        for (at_us, event) in events {
            journal.push(Entry {
                seq: journal.len() as u64 + 1,
                at_us,
                format: event::FORMAT,
                event,
            });
        }
    }
}
