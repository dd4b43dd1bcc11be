//! The rules of `approve:`.

use belay_model::config::{Approve, Duration, Environment};

use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;

impl Loaded {
    pub(super) fn approve(
        &self,
        path: &str,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        if let Some(approve) = &environment.approve {
            self.approval(&format!("{path}.approve"), approve, found);
        }
    }

    pub(super) fn approval(&self, path: &str, approve: &Approve, found: &mut Vec<Diagnostic>) {
        let people = approve.by.len();
        if approve.count == 0 {
            let complaint = self.on_value(
                Code::WrongValue,
                &format!("{path}.count"),
                "without anyone who says yes nothing is asked",
            );
            found.push(complaint.suggest("did you mean `1`?".to_owned()));
        } else if people > 0 && usize::from(approve.count) > people {
            let message = format!("only {people} may say yes");
            found.push(self.on_value(Code::WrongValue, &format!("{path}.count"), message));
        }
        if approve.within == Some(Duration::default()) {
            let message = "nobody answers within no time";
            found.push(self.on_value(Code::WrongValue, &format!("{path}.within"), message));
        }
    }
}
