//! The rules of a target and of the strategy on it.

use belay_model::config::{Duration, Environment, Percent, ReadyError, Strategy, Target};

use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;

impl Loaded {
    pub(super) fn target(
        &self,
        path: &str,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        let Target::Process(process) = &environment.target;
        let path = format!("{path}.target.process");
        if process.instances == 0 {
            found.push(
                self.on_value(
                    Code::WrongValue,
                    &format!("{path}.instances"),
                    "a service needs at least one instance",
                )
                .suggest("did you mean `1`?".to_owned()),
            );
        }
        if process.listen.port() == 0 {
            let message = "port 0 is any port, and clients could not know which";
            found.push(self.on_value(Code::WrongValue, &format!("{path}.listen"), message));
        }
        let Some(ready) = &process.ready else { return };
        let path = format!("{path}.ready");
        if let Err(error) = ready.kind() {
            let message = error.to_string();
            found.push(match error {
                ReadyError::NotOne => self.on_key(Code::Contradiction, &path, message),
                ReadyError::TcpFalse => {
                    self.on_value(Code::WrongValue, &format!("{path}.tcp"), message)
                }
                ReadyError::NotAPath => {
                    let http = ready.http.as_deref().unwrap_or_default();
                    self.on_value(Code::WrongValue, &format!("{path}.http"), message)
                        .suggest(format!("did you mean `/{http}`?"))
                }
            });
        }
        if ready.within == Duration::default() {
            found.push(self.on_value(
                Code::WrongValue,
                &format!("{path}.within"),
                "nothing is ready within no time",
            ));
        }
    }

    pub(super) fn strategy(
        &self,
        path: &str,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        let Some(Strategy::Canary(steps)) = &environment.strategy else {
            return;
        };
        let path = format!("{path}.strategy.canary");
        if let Some(why) = cannot_split(&environment.target) {
            found.push(self.on_key(
                Code::ImpossibleStrategy,
                &path,
                format!("a canary needs a share of the traffic, and {why}"),
            ));
        }
        if steps.is_empty() {
            let message = "a canary needs at least one step";
            found.push(
                self.on_key(Code::ImpossibleStrategy, &path, message)
                    .suggest("add `- { to: 10%, for: 5m }`".to_owned()),
            );
        }
        let mut before = None;
        for (index, step) in steps.iter().enumerate() {
            let to = |message: String| {
                self.on_value(
                    Code::ImpossibleStrategy,
                    &format!("{path}[{index}].to"),
                    message,
                )
            };
            if step.to > Percent::WHOLE {
                found.push(to(format!("{} is more than all of the traffic", step.to)));
            } else if step.to == Percent::default() {
                found.push(to("a step without traffic shows nothing".to_owned()));
            } else if before.is_some_and(|before| step.to <= before) {
                let before = before.unwrap_or_default();
                found.push(to(format!(
                    "the share must grow: the step before has {before} already"
                )));
            }
            before = before.max(Some(step.to));
            let last = index + 1 == steps.len();
            let at = format!("{path}[{index}]");
            if step.hold.is_none() && !(last && step.to == Percent::WHOLE) {
                let message = "a step needs `for`, the time its share is watched";
                found.push(
                    self.on_value(Code::MissingKey, &at, message)
                        .suggest("add `for: 5m`".to_owned()),
                );
            } else if step.hold == Some(Duration::default()) {
                let message = "a share that is watched for no time shows nothing";
                found.push(self.on_value(Code::ImpossibleStrategy, &format!("{at}.for"), message));
            }
        }
    }
}

/// Why a target cannot give a share of the traffic to a release. Every kind of target has to answer.
fn cannot_split(target: &Target) -> Option<&'static str> {
    match target {
        // Belay's proxy stands before the processes.
        Target::Process(_) => None,
    }
}
