//! Promotion: a release goes to an environment because it is good in another one of the service.

use crate::config::FromStanding;
use crate::environment::{Known, Standing, View};
use crate::id::{EnvironmentName, RecordHash};
use crate::release::Record;
use serde::{Deserialize, Serialize};

/// Where a release had proved itself when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// In which environment.
    pub from: EnvironmentName,
    /// As which record.
    pub record: RecordHash,
}

/// Why a release may not go on from an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unproved {
    /// It was never there.
    Unknown,
    /// It is a candidate; what was said of it, if anything was.
    Unverified(Option<String>),
    /// It is good, and has to bake as well.
    Unbaked,
    /// It was rolled back; why.
    Quarantined(String),
}

impl Promotion {
    /// Looks whether a release is good in an environment. `is_it`: whether a record is that release; with other settings of
    /// the environment's own it may have been several. What was verified or rolled back last counts.
    ///
    /// # Errors
    /// Why it is not.
    pub fn of(
        from: &EnvironmentName,
        view: &View,
        is_it: impl Fn(&Record) -> bool,
        standing: FromStanding,
    ) -> Result<Self, Unproved> {
        let mut known: Vec<&Known> = view.records.values().collect();
        known.retain(|known| is_it(&known.record));
        known.sort_by_key(|known| std::cmp::Reverse(known.since_us));
        let is_decided = |known: &&&Known| known.standing != Standing::Candidate;
        let last = known.iter().find(is_decided).or(known.first());
        let last = last.ok_or(Unproved::Unknown)?;
        match (last.standing, standing) {
            (Standing::Baked, _) | (Standing::Good, FromStanding::Good) => Ok(Self {
                from: from.clone(),
                record: last.record.hash(),
            }),
            (Standing::Good, FromStanding::Baked) => Err(Unproved::Unbaked),
            (Standing::Candidate, _) => Err(Unproved::Unverified(last.reason.clone())),
            (Standing::Quarantined, _) => Err(Unproved::Quarantined(why(last))),
        }
    }

    /// Why it does not hold any more, looked at once more when the deployment has the lock. `view`: of where it came from.
    pub fn withdrawn(&self, view: &View) -> Option<String> {
        let known = view.records.get(&self.record)?;
        let from = &self.from;
        match known.standing {
            Standing::Good | Standing::Baked => None,
            Standing::Candidate => Some(format!("it is not good in {from} any more")),
            Standing::Quarantined => Some(format!("it was quarantined in {from}: {}", why(known))),
        }
    }
}

fn why(known: &Known) -> String {
    let why = known.reason.as_deref();
    why.unwrap_or("it was rolled back").to_owned()
}
