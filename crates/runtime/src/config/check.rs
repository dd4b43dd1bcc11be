//! What can be said about a configuration without looking at the world, and what only the two of its parts together make
//! impossible. Each rule is a function from the configuration to complaints; nothing here reads a file or opens a socket.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use belay_model::config::{
    At, Check, CheckError, Duration, Environment, Percent, ReadyError, Strategy, Target,
};

use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;
use super::nearest::did_you_mean;

impl Loaded {
    /// What makes the plan impossible: rules that span several keys, and files that are not there. For one environment, or
    /// for all. Empty: nothing is known to be in the way. Ports are asked for by [`Loaded::check_ports`].
    pub fn check(&self, env: Option<&str>) -> Vec<Diagnostic> {
        let environments = match self.environments(env) {
            Ok(environments) => environments,
            Err(unknown) => return vec![*unknown],
        };
        let mut found = Vec::new();
        self.names(&mut found);
        for (index, check) in self.config.verify.iter().enumerate() {
            self.one_check(&format!("verify[{index}]"), check, &mut found);
        }
        for (name, environment) in &environments {
            let path = format!("environments.{name}");
            self.policy(&path, environment, &mut found);
            self.target(&path, environment, &mut found);
            self.strategy(&path, environment, &mut found);
            for (index, check) in environment.verify.iter().enumerate() {
                self.one_check(&format!("{path}.verify[{index}]"), check, &mut found);
            }
        }
        self.shared_addresses(env, &mut found);
        self.files(&environments, &mut found);
        found.sort_by_key(|complaint| (complaint.line, complaint.column));
        // A rule about the service is seen once per environment.
        found.dedup();
        found
    }

    /// The environments that are asked for, or that there is no such one.
    pub(super) fn environments(
        &self,
        env: Option<&str>,
    ) -> Result<Vec<(&str, &Environment)>, Box<Diagnostic>> {
        let all = || {
            self.config
                .environments
                .iter()
                .map(|(name, environment)| (name.as_str(), environment))
        };
        let Some(wanted) = env else {
            return Ok(all().collect());
        };
        let found: Vec<_> = all().filter(|(name, _)| *name == wanted).collect();
        if found.is_empty() {
            let unknown = self.on_key(
                Code::UnknownEnvironment,
                "environments",
                format!("unknown environment `{wanted}`"),
            );
            let known: Vec<_> = all().map(|(name, _)| format!("`{name}`")).collect();
            return Err(Box::new(
                match did_you_mean(wanted, all().map(|(name, _)| name)) {
                    Some(phrase) => unknown.suggest(phrase),
                    None => unknown.note(format!("known environments: {}", known.join(", "))),
                },
            ));
        }
        Ok(found)
    }

    /// A complaint that underlines the value at the path, or what is around it.
    pub(super) fn on_value(
        &self,
        code: Code,
        path: &str,
        message: impl Into<String>,
    ) -> Diagnostic {
        let (place, exact) = self.spans.nearest(path);
        self.source.at(
            code,
            path,
            if exact {
                place.value
            } else {
                place.key_or_value()
            },
            message,
        )
    }

    /// A complaint that underlines the key at the path, or what is around it.
    pub(super) fn on_key(&self, code: Code, path: &str, message: impl Into<String>) -> Diagnostic {
        self.source.at(
            code,
            path,
            self.spans.nearest(path).0.key_or_value(),
            message,
        )
    }

    fn names(&self, found: &mut Vec<Diagnostic>) {
        let service = &self.config.service;
        if !is_name(service) {
            found.push(
                self.on_value(
                    Code::WrongValue,
                    "service",
                    "a service's name is 1 to 63 characters of a-z, 0-9 and `-`",
                )
                .suggest(proper_name(service)),
            );
        }
        if self.config.environments.is_empty() {
            found.push(self.on_key(Code::MissingKey, "environments", "there is no environment"));
        }
        for name in self
            .config
            .environments
            .keys()
            .filter(|name| !is_name(name))
        {
            let path = format!("environments.{name}");
            found.push(
                self.on_key(
                    Code::WrongValue,
                    &path,
                    "an environment's name is 1 to 63 characters of a-z, 0-9 and `-`",
                )
                .suggest(proper_name(name)),
            );
        }
    }

    fn one_check(&self, path: &str, check: &Check, found: &mut Vec<Diagnostic>) {
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

    fn policy(&self, path: &str, environment: &Environment, found: &mut Vec<Diagnostic>) {
        let keep = &environment.keep;
        if keep.warm() < keep.bake {
            let message = format!(
                "the release before is kept for {}, but the new one is watched for {}",
                keep.warm(),
                keep.bake
            );
            found.push(
                self.on_value(Code::Contradiction, &format!("{path}.keep.warm"), message)
                    .suggest(format!("make it at least `{}`", keep.bake)),
            );
        }
        if keep.good == 0 {
            let message =
                "at least one good record is kept: without one there is nothing to go back to";
            found.push(
                self.on_value(Code::WrongValue, &format!("{path}.keep.good"), message)
                    .suggest("did you mean `1`?".to_owned()),
            );
        }
        self.variables(path, environment, found);
    }

    fn variables(&self, path: &str, environment: &Environment, found: &mut Vec<Diagnostic>) {
        let names = |base: &str, names: Vec<&String>| -> Vec<(String, String)> {
            names
                .into_iter()
                .map(|name| (name.clone(), format!("{base}.{name}")))
                .collect()
        };
        let settings = [
            names("config", self.config.config.keys().collect()),
            names(
                &format!("{path}.config"),
                environment.config.keys().collect(),
            ),
        ]
        .concat();
        let secrets = [
            names("secrets", self.config.secrets.keys().collect()),
            names(
                &format!("{path}.secrets"),
                environment.secrets.keys().collect(),
            ),
        ]
        .concat();
        for (name, path) in settings.iter().chain(&secrets) {
            if name.is_empty() || name.contains(['=', '\0']) {
                let message = "the name of an environment variable is not empty and has no `=`";
                found.push(self.on_key(Code::WrongValue, path, message));
            }
        }
        let public: BTreeSet<_> = settings.iter().map(|(name, _)| name).collect();
        for (name, path) in secrets.iter().filter(|(name, _)| public.contains(name)) {
            let message = format!("`{name}` is both a setting and a secret");
            found.push(
                self.on_key(Code::Contradiction, path, message)
                    .suggest("keep one of the two".to_owned()),
            );
        }
    }

    fn target(&self, path: &str, environment: &Environment, found: &mut Vec<Diagnostic>) {
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

    fn strategy(&self, path: &str, environment: &Environment, found: &mut Vec<Diagnostic>) {
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

    fn shared_addresses(&self, env: Option<&str>, found: &mut Vec<Diagnostic>) {
        let mut seen: BTreeMap<u16, Vec<(&str, SocketAddr)>> = BTreeMap::new();
        for (name, environment) in &self.config.environments {
            let Target::Process(process) = &environment.target;
            let others = seen.entry(process.listen.port()).or_default();
            for (other, address) in others
                .iter()
                .filter(|(_, address)| overlap(*address, process.listen))
            {
                if env.is_some_and(|env| env != name && env != *other) {
                    continue;
                }
                let path = format!("environments.{name}.target.process.listen");
                let message = format!("environment `{other}` listens on {address} already");
                let complaint = self.on_value(Code::Contradiction, &path, message);
                found.push(complaint.suggest("give each environment its own port".to_owned()));
            }
            others.push((name, process.listen));
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

/// Whether two listeners on these addresses get in each other's way. `[::]` takes IPv4, too, on most systems.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let all = |address: SocketAddr| {
        address.ip().is_unspecified() && (address.is_ipv6() || other.is_ipv4() && one.is_ipv4())
    };
    one.port() == other.port() && (one.ip() == other.ip() || all(one) || all(other))
}

/// RFC 1123 labels: what every platform takes as a name, and what can stand in a host name.
fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The nearest proper name, if there is one.
fn proper_name(name: &str) -> Option<String> {
    let proper: String = name
        .to_lowercase()
        .chars()
        .map(|it| if it.is_ascii_alphanumeric() { it } else { '-' })
        .take(63)
        .collect();
    let proper = proper.trim_matches('-');
    is_name(proper).then(|| format!("did you mean `{proper}`?"))
}
