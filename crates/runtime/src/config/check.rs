//! The order of the rules, and those about names, policy and what environments share. Each rule goes from the configuration to
//! complaints; what looks at the world is in `files` and `ports`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use belay_model::config::{Environment, Place};

use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;
use super::nearest::did_you_mean;
use super::target::listen;

impl Loaded {
    /// What makes the plan impossible: rules that span several keys, and files that are not there. For one environment, or
    /// for all. Empty: nothing is known to be in the way. Ports are asked for by [`Loaded::check_ports`].
    pub fn check(&self, env: Option<&str>) -> Vec<Diagnostic> {
        self.check_with(env, None)
    }

    /// The same for what is in this directory instead of `release.artifact`.
    pub fn check_with(&self, env: Option<&str>, artifact: Option<&Path>) -> Vec<Diagnostic> {
        let environments = match self.environments(env) {
            Ok(environments) => environments,
            Err(unknown) => return vec![*unknown],
        };
        let mut found = Vec::new();
        self.names(&mut found);
        self.release(&mut found);
        for (index, check) in self.config.verify.iter().enumerate() {
            self.one_check(&format!("verify[{index}]"), check, &mut found);
        }
        for (name, environment) in &environments {
            let path = format!("environments.{name}");
            self.from(name, environment, &mut found);
            self.policy(&path, environment, &mut found);
            self.targets(&path, environment, &mut found);
            for place in environment.places() {
                let path = format!("{path}.{}", place.key());
                self.target(&path, place.target, &mut found);
                self.source_of(&path, place.target, &mut found);
            }
            self.phases(&path, environment, &mut found);
            self.approve(&path, environment, &mut found);
            self.capacity(&path, environment, &mut found);
            self.strategy(&path, environment, &mut found);
            self.hotfix(&path, environment, &mut found);
            self.checks_without_traffic(name, environment, &mut found);
            self.checks_through(name, environment, &mut found);
            self.layout(name, environment, &mut found);
            self.checks_on_kubernetes(name, environment, &mut found);
            for (index, check) in environment.verify.iter().enumerate() {
                self.one_check(&format!("{path}.verify[{index}]"), check, &mut found);
            }
        }
        self.shared_addresses(env, &mut found);
        self.files(&environments, artifact, &mut found);
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

    fn hotfix(&self, path: &str, environment: &Environment, found: &mut Vec<Diagnostic>) {
        let path = format!("{path}.hotfix");
        let (hotfix, keep) = (&environment.hotfix, &environment.keep);
        if hotfix.strategy.is_some() {
            let as_hotfix = Environment {
                strategy: hotfix.strategy.clone(),
                ..environment.clone()
            };
            self.strategy(&path, &as_hotfix, found);
        }
        if let Some(bake) = hotfix.bake.filter(|bake| *bake > keep.warm()) {
            let message = format!(
                "the release before is kept for {}, but a hotfix is watched for {bake}",
                keep.warm()
            );
            found.push(
                self.on_value(Code::Contradiction, &format!("{path}.bake"), message)
                    .suggest(format!("make it at most `{}`", keep.warm())),
            );
        }
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

    fn shared_addresses(&self, env: Option<&str>, found: &mut Vec<Diagnostic>) {
        let mut seen: BTreeMap<u16, Vec<(&str, Place<'_>, SocketAddr)>> = BTreeMap::new();
        let environments = self.config.environments.iter();
        let places = environments.flat_map(|(name, environment)| {
            environment
                .places()
                .map(move |place| (name.as_str(), place))
        });
        for (name, place) in places {
            let Some(listen) = listen(place.target) else {
                continue;
            };
            let others = seen.entry(listen.port()).or_default();
            for (other, its, address) in others
                .iter()
                .filter(|(_, _, address)| overlap(*address, listen))
            {
                if env.is_some_and(|env| env != name && env != *other) {
                    continue;
                }
                let path = format!("environments.{name}.{}.process.listen", place.key());
                let (who, each) = match its.name.filter(|_| *other == name) {
                    Some(its) => (format!("target `{its}`"), "target"),
                    None => (format!("environment `{other}`"), "environment"),
                };
                let message = format!("{who} listens on {address} already");
                let complaint = self.on_value(Code::Contradiction, &path, message);
                found.push(complaint.suggest(format!("give each {each} its own port")));
            }
            others.push((name, place, listen));
        }
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
pub(super) fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The nearest proper name, if there is one.
pub(super) fn proper_name(name: &str) -> Option<String> {
    let proper: String = name
        .to_lowercase()
        .chars()
        .map(|it| if it.is_ascii_alphanumeric() { it } else { '-' })
        .take(63)
        .collect();
    let proper = proper.trim_matches('-');
    is_name(proper).then(|| format!("did you mean `{proper}`?"))
}
