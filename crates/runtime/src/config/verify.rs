//! The rules of one check under `verify`: which of its keys go together, and which values leave it without a meaning.

use belay_model::config::{At, Check, CheckError, Duration, Percent};

use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;

impl Loaded {
    pub(super) fn one_check(&self, path: &str, check: &Check, found: &mut Vec<Diagnostic>) {
        if let Err(error) = check.kind() {
            let message = error.to_string();
            found.push(match error {
                CheckError::NotOne => self.on_value(Code::Contradiction, path, message),
                CheckError::TcpFalse => {
                    self.on_value(Code::WrongValue, &format!("{path}.tcp"), message)
                }
                CheckError::NotAPath => {
                    let http = check.http.as_deref().unwrap_or_default();
                    self.on_value(Code::WrongValue, &format!("{path}.http"), message)
                        .suggest(format!("did you mean `/{http}`?"))
                }
                CheckError::NeedsHttp(key) => {
                    self.on_key(Code::Contradiction, &format!("{path}.{key}"), message)
                }
                CheckError::ThroughWhat => {
                    self.on_key(Code::Contradiction, &format!("{path}.through"), message)
                }
                CheckError::ThroughStaged => self
                    .on_value(Code::Contradiction, &format!("{path}.at"), message)
                    .suggest("leave `at` out".to_owned()),
                CheckError::HostOfNothing => {
                    self.on_key(Code::Contradiction, &format!("{path}.host"), message)
                }
                CheckError::NotAHost => {
                    self.on_value(Code::WrongValue, &format!("{path}.host"), message)
                }
                CheckError::TimeoutOnTraffic => {
                    self.on_key(Code::Contradiction, &format!("{path}.timeout"), message)
                }
                CheckError::NoThreshold => {
                    self.on_key(Code::MissingKey, &format!("{path}.traffic"), message)
                }
            });
        }
        if check
            .status
            .is_some_and(|status| !(100..=599).contains(&status))
        {
            let path = format!("{path}.status");
            found.push(self.on_value(
                Code::WrongValue,
                &path,
                "an HTTP status is between 100 and 599",
            ));
        }
        if check.timeout == Some(Duration::default()) {
            found.push(self.on_value(
                Code::WrongValue,
                &format!("{path}.timeout"),
                "no check ends within no time",
            ));
        }
        let Some(traffic) = &check.traffic else {
            return;
        };
        let inside = |key: &str| format!("{path}.traffic.{key}");
        if check.at == Some(At::Staged) {
            let message = "a staged release has no traffic to look at";
            found.push(
                self.on_value(Code::Contradiction, &format!("{path}.at"), message)
                    .suggest("did you mean `live`?".to_owned()),
            );
        }
        if traffic
            .max_errors
            .is_some_and(|share| share >= Percent::WHOLE)
        {
            let message = "no release fails more than all of its requests, so this never fails";
            found.push(self.on_value(Code::WrongValue, &inside("max_errors"), message));
        }
        if traffic
            .max_slower
            .is_some_and(|times| !times.is_finite() || times < 1.0)
        {
            let message = "`max_slower` is how many times as long a request may take, at least 1";
            found.push(self.on_value(Code::WrongValue, &inside("max_slower"), message));
        }
        if traffic.min_requests == 0 {
            let message = "a verdict needs at least one request: no data is never a pass";
            found.push(self.on_value(Code::WrongValue, &inside("min_requests"), message));
        }
        if traffic.within == Duration::default() {
            let message = format!(
                "{} requests never arrive within no time",
                traffic.min_requests
            );
            found.push(self.on_value(Code::Contradiction, &inside("within"), message));
        }
    }
}
