//! The rules of a target and of the strategy on it.

use std::net::SocketAddr;

use belay_model::config::{
    At, BackCapacity, Check, CheckKind, Duration, Environment, Percent, Place, ReadyError,
    Strategy, Target,
};

use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;

impl Loaded {
    /// `path`: where the target itself is written.
    pub(super) fn target(&self, path: &str, target: &Target, found: &mut Vec<Diagnostic>) {
        let process = match target {
            Target::Process(process) => process,
            Target::Kubernetes(kubernetes) => {
                return self.kubernetes(&format!("{path}.kubernetes"), kubernetes, found);
            }
            Target::Helm(helm) => return self.helm(&format!("{path}.helm"), helm, found),
        };
        let path = format!("{path}.process");
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
        self.listen(&format!("{path}.listen"), process.listen, found);
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

    fn listen(&self, path: &str, listen: Option<SocketAddr>, found: &mut Vec<Diagnostic>) {
        if listen.is_some_and(|listen| listen.port() == 0) {
            let message = "port 0 is any port, and clients could not know which";
            found.push(self.on_value(Code::WrongValue, path, message));
        }
        let (_, is_written) = self.spans.nearest(path);
        if listen.is_none() && is_written {
            // Whoever forgot the address would lose the route without a word.
            let message =
                "`listen` has no address; processes that take no traffic leave the key out";
            let complaint = self.on_key(Code::WrongValue, path, message);
            found.push(complaint.suggest("write `listen: 127.0.0.1:8080`".to_owned()));
        }
    }

    /// Checks of an environment, and of the service in it, that need traffic where none comes.
    pub(super) fn checks_without_traffic(
        &self,
        name: &str,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        let has_traffic = |place: Place<'_>| match place.target {
            Target::Process(process) => process.listen.is_some(),
            // It has rules of its own.
            Target::Kubernetes(_) | Target::Helm(_) => true,
        };
        if environment.places().all(has_traffic) {
            return;
        }
        for (path, check) in self.checks_at(name, environment) {
            found.extend(self.needs_traffic(&path, name, check));
        }
    }

    /// Checks of an environment, and of the service in it, with the place where each is written.
    pub(super) fn checks_at<'a>(
        &'a self,
        name: &str,
        environment: &'a Environment,
    ) -> impl Iterator<Item = (String, &'a Check)> {
        let service = self.config.verify.iter().enumerate();
        let service = service.map(|(index, check)| (format!("verify[{index}]"), check));
        let own = environment.verify.iter().enumerate();
        let own = own.map(|(index, check)| (format!("environments.{name}.verify[{index}]"), check));
        let all: Vec<_> = service.chain(own).collect();
        all.into_iter()
    }

    /// Checks of an environment, and of the service in it, through what there is only on Kubernetes.
    pub(super) fn checks_through(
        &self,
        name: &str,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        let is_process = |place: Place<'_>| matches!(place.target, Target::Process(_));
        if !environment.places().any(is_process) {
            return;
        }
        for (path, check) in self.checks_at(name, environment) {
            let Some(entrance) = &check.through else {
                continue;
            };
            let message =
                format!("`{entrance}` is an object of Kubernetes, and `{name}` runs processes");
            let path = format!("{path}.through");
            let complaint = self.on_value(Code::Contradiction, &path, message);
            let advice = "write it below the environments that are on Kubernetes";
            found.push(complaint.suggest(advice.to_owned()));
        }
    }

    /// A live command is no such check: it is told the instances, which do not need the proxy.
    fn needs_traffic(&self, path: &str, environment: &str, check: &Check) -> Option<Diagnostic> {
        match check.kind() {
            Ok(CheckKind::Traffic(_)) => {
                let message = format!(
                    "a `traffic` check counts requests, and `{environment}` has no `listen` where they would come"
                );
                let path = format!("{path}.traffic");
                let complaint = self.on_key(Code::Contradiction, &path, message);
                Some(complaint.suggest("use `command`, or add `listen: 127.0.0.1:8080`".to_owned()))
            }
            Ok(CheckKind::Http(_) | CheckKind::Tcp)
                if check.at() == At::Live && check.through.is_none() =>
            {
                let message = format!(
                    "a `live` check asks the address of the service, and `{environment}` has no `listen`"
                );
                let complaint = self.on_value(Code::Contradiction, &format!("{path}.at"), message);
                Some(complaint.suggest("did you mean `staged`?".to_owned()))
            }
            Ok(_) | Err(_) => None,
        }
    }

    pub(super) fn strategy(
        &self,
        path: &str,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        let path = format!("{path}.strategy");
        if let Some(strategy) = &environment.strategy {
            for place in environment.places() {
                self.strategy_on(&path, strategy, place.target, found);
            }
        }
    }

    /// How much capacity going back needs.
    pub(super) fn capacity(
        &self,
        path: &str,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        let order = &environment.rollback;
        let path = format!("{path}.rollback");
        let why_not = |place: Place<'_>| cannot_split(place.target);
        if order.capacity == BackCapacity::Proportional
            && let Some(why) = environment.places().find_map(why_not)
        {
            let message =
                format!("capacity in proportion needs a share of the traffic to move, and {why}");
            let key = format!("{path}.capacity");
            let complaint = self.on_value(Code::Contradiction, &key, message);
            found.push(complaint.suggest("use `full` or `ask`".to_owned()));
        }
        let key = format!("{path}.ask_within");
        if order.ask_within.is_some() && order.capacity != BackCapacity::Ask {
            let message = "nobody is asked for capacity";
            let complaint = self.on_key(Code::Contradiction, &key, message);
            found.push(complaint.suggest("add `capacity: ask`".to_owned()));
        } else if order.ask_within == Some(Duration::default()) {
            let message = "nobody answers within no time";
            found.push(self.on_value(Code::WrongValue, &key, message));
        }
    }

    /// `path`: where the strategy is written.
    pub(super) fn strategy_on(
        &self,
        path: &str,
        strategy: &Strategy,
        target: &Target,
        found: &mut Vec<Diagnostic>,
    ) {
        let why_not = cannot_split(target);
        let steps = match (strategy, why_not) {
            (Strategy::Canary(steps), _) => steps,
            (Strategy::BlueGreen, Some(why)) => {
                let message = format!(
                    "blue/green keeps the release before ready for a switch of the traffic, and {why}"
                );
                let complaint = self.on_value(Code::ImpossibleStrategy, path, message);
                found.push(complaint.suggest(instead(target).to_owned()));
                return;
            }
            _ => return,
        };
        let path = format!("{path}.canary");
        if let Some(why) = why_not {
            let message = format!("a canary needs a share of the traffic, and {why}");
            let complaint = self.on_key(Code::ImpossibleStrategy, &path, message);
            found.push(complaint.suggest(instead(target).to_owned()));
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

/// What helps where a strategy needs shares of the traffic and there are none.
fn instead(target: &Target) -> &'static str {
    match target {
        Target::Process(_) => "add `listen: 127.0.0.1:8080` or use `basic` or `rolling`",
        Target::Kubernetes(_) | Target::Helm(_) => "use `basic` or `rolling`",
    }
}

/// Why a target cannot give a share of the traffic to a release, or all of it at once. Every kind of target has to answer.
pub(super) fn cannot_split(target: &Target) -> Option<&'static str> {
    match target {
        // Belay's proxy stands before processes that have an address.
        Target::Process(process) => match process.listen {
            Some(_) => None,
            None => Some("processes without `listen` get none"),
        },
        // A strategy that needs it has releases stand side by side.
        Target::Kubernetes(_) => None,
        Target::Helm(_) => Some("helm replaces a release whole"),
    }
}

/// The address that Belay's own proxy listens on for a target, if it does.
pub(super) fn listen(target: &Target) -> Option<SocketAddr> {
    match target {
        Target::Process(process) => process.listen,
        Target::Kubernetes(_) | Target::Helm(_) => None,
    }
}
