//! The rules of steps that people write, and of what is done when one fails.

use belay_model::config::{
    At, Call, Check, Duration, Environment, FailureAction, HttpCall, OnFailure, SecretText, Step,
    StepError, StepKind, Target,
};

use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;
use super::nearest::nearest;
use super::target::listen;

/// Where steps stand.
#[derive(Clone, Copy)]
pub(super) struct Where<'a> {
    /// The only target that a check can look at, once the release is there.
    pub(super) release_is_there: Option<&'a Target>,
    /// Whose secrets they may name.
    pub(super) environment: &'a Environment,
    /// They are steps of the way back.
    pub(super) is_back: bool,
}

impl Loaded {
    pub(super) fn steps(
        &self,
        path: &str,
        steps: &[Step],
        place: Where<'_>,
        found: &mut Vec<Diagnostic>,
    ) {
        for (number, step) in steps.iter().enumerate() {
            self.step(&format!("{path}[{number}]"), step, place, found);
        }
    }

    fn step(&self, path: &str, step: &Step, place: Where<'_>, found: &mut Vec<Diagnostic>) {
        let inside = |key: &str| format!("{path}.{key}");
        let kind = match step.kind() {
            Ok(kind) => kind,
            Err(error) => {
                let message = error.to_string();
                found.push(match error {
                    StepError::NotOne => self.on_value(Code::Contradiction, path, message),
                    StepError::Needs(key, _) => {
                        self.on_key(Code::Contradiction, &inside(key), message)
                    }
                });
                return;
            }
        };
        if place.is_back {
            self.on_the_way_back(path, step, kind, found);
        }
        match kind {
            StepKind::Run(call) => {
                self.call(&inside("run"), call, place, found);
                if let Some(back) = &step.rollback {
                    self.call(&inside("rollback"), back, place, found);
                }
                if step.timeout == Some(Duration::default()) {
                    let message = "nothing ends within no time";
                    found.push(self.on_value(Code::WrongValue, &inside("timeout"), message));
                }
                if step
                    .residue
                    .as_ref()
                    .is_some_and(|residue| residue.trim().is_empty())
                {
                    let message = "`residue` says what stays behind, in a few words";
                    found.push(self.on_value(Code::WrongValue, &inside("residue"), message));
                }
            }
            StepKind::Wait(time) => {
                if time == Duration::default() {
                    let message = "no time is nothing to wait for";
                    found.push(self.on_value(Code::WrongValue, &inside("wait"), message));
                }
            }
            StepKind::Approve(approve) => self.approval(&inside("approve"), approve, found),
            StepKind::Verify(checks) => {
                self.verify_step(&inside("verify"), checks, step, place, found);
            }
            StepKind::Group(group) => {
                let path = inside("group");
                if group.steps.is_empty() {
                    let message = "a group needs at least one step";
                    let complaint =
                        self.on_key(Code::MissingKey, &format!("{path}.steps"), message);
                    found.push(complaint);
                }
                self.steps(&format!("{path}.steps"), &group.steps, place, found);
                self.on_failure(&format!("{path}.on_failure"), &group.on_failure, found);
            }
        }
        self.on_failure(&inside("on_failure"), &step.on_failure, found);
    }

    /// Nobody is asked there, it is not taken back itself, and it is tried harder than any rule would.
    fn on_the_way_back(
        &self,
        path: &str,
        step: &Step,
        kind: StepKind<'_>,
        found: &mut Vec<Diagnostic>,
    ) {
        let wrong = [
            (
                matches!(kind, StepKind::Approve(_)),
                "approve",
                "a rollback waits for nobody",
            ),
            (
                step.rollback.is_some(),
                "rollback",
                "a step of the way back is not taken back itself",
            ),
            (
                step.residue.is_some(),
                "residue",
                "a step of the way back is not taken back itself",
            ),
            (
                !step.on_failure.is_empty(),
                "on_failure",
                "on the way back every step is tried again, and then a person is asked",
            ),
            (
                matches!(kind, StepKind::Group(_)),
                "group",
                "a group has rules of its own, and on the way back there are none",
            ),
        ];
        for (_, key, message) in wrong.into_iter().filter(|(is_wrong, _, _)| *is_wrong) {
            let path = format!("{path}.{key}");
            found.push(self.on_key(Code::Contradiction, &path, message));
        }
    }

    fn verify_step(
        &self,
        path: &str,
        checks: &[Check],
        step: &Step,
        place: Where<'_>,
        found: &mut Vec<Diagnostic>,
    ) {
        if checks.is_empty() {
            let message = "without checks nothing is verified";
            found.push(self.on_key(Code::MissingKey, path, message));
        }
        if step.hold == Some(Duration::default()) {
            let at = format!("{}.for", path.trim_end_matches(".verify"));
            let message = "what is watched for no time shows nothing";
            found.push(self.on_value(Code::WrongValue, &at, message));
        }
        let Some(target) = place.release_is_there else {
            let message = "checks need one target on which the release is by then";
            let complaint = self.on_key(Code::Contradiction, path, message);
            let advice = "put `verify` under `after` of a phase with one target";
            found.push(complaint.suggest(advice.to_owned()));
            return;
        };
        let is_kubernetes = matches!(target, Target::Kubernetes(_) | Target::Helm(_));
        let has_traffic = is_kubernetes || listen(target).is_some();
        for (number, check) in checks.iter().enumerate() {
            let path = format!("{path}[{number}]");
            self.one_check(&path, check, found);
            if is_kubernetes {
                found.extend(self.no_traffic_on_kubernetes(&path, check));
            }
            if check.at == Some(At::Staged) {
                let message = "by then the release is live";
                let complaint = self.on_value(Code::Contradiction, &format!("{path}.at"), message);
                found.push(complaint.suggest("leave `at` out".to_owned()));
            }
            if !has_traffic && check.command.is_none() {
                let message = "there is no `listen` where anything would answer";
                let complaint = self.on_value(Code::Contradiction, &path, message);
                found.push(complaint.suggest("use `command`".to_owned()));
            }
        }
    }

    fn call(&self, path: &str, call: &Call, place: Where<'_>, found: &mut Vec<Diagnostic>) {
        let Call::Http(HttpCall {
            url,
            method,
            header,
            ..
        }) = call
        else {
            return;
        };
        for (name, value) in header {
            self.header(&format!("{path}.header.{name}"), value, place, found);
        }
        let is_web = ["http://", "https://"].iter().any(|scheme| {
            url.strip_prefix(scheme)
                .is_some_and(|rest| !rest.is_empty())
        });
        if !is_web {
            let message = "a URL begins with `http://` or `https://`";
            let complaint = self.on_value(Code::WrongValue, &format!("{path}.url"), message);
            let scheme = (!url.is_empty() && !url.contains("://"))
                .then(|| format!("did you mean `https://{url}`?"));
            found.push(complaint.suggest(scheme));
        }
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let message = "a method is a word in capitals, such as `POST`";
            let complaint = self.on_value(Code::WrongValue, &format!("{path}.method"), message);
            let capitals = (!method.is_empty()
                && method.bytes().all(|it| it.is_ascii_alphabetic()))
            .then(|| format!("did you mean `{}`?", method.to_uppercase()));
            found.push(complaint.suggest(capitals));
        }
    }

    fn header(&self, path: &str, value: &str, place: Where<'_>, found: &mut Vec<Diagnostic>) {
        let text = match SecretText::parse(value) {
            Ok(text) => text,
            Err(error) => {
                found.push(self.on_value(Code::WrongValue, path, error.to_string()));
                return;
            }
        };
        let known = self.config.secrets_in(place.environment);
        for name in text.names().filter(|name| !known.contains_key(*name)) {
            let message = format!("there is no `{name}` under `secrets`");
            let near = nearest(name, known.keys().map(String::as_str));
            let near = near.map(|near| format!("did you mean `${{{near}}}`?"));
            found.push(self.on_value(Code::WrongValue, path, message).suggest(near));
        }
    }

    pub(super) fn on_failure(&self, path: &str, rules: &[OnFailure], found: &mut Vec<Diagnostic>) {
        let mut all: Option<usize> = None;
        for (number, rule) in rules.iter().enumerate() {
            let at = format!("{path}[{number}]");
            if let Some(before) = all {
                let message = format!(
                    "this rule is never reached: rule {} fits every failure already",
                    before + 1
                );
                found.push(self.on_value(Code::Contradiction, &at, message));
            }
            let is_retry = matches!(rule.action, FailureAction::Retry(_));
            if rule.class.is_empty() && !is_retry {
                all.get_or_insert(number);
            }
            self.reaction(&format!("{at}.do"), rule.action, found);
        }
    }

    fn reaction(&self, path: &str, action: FailureAction, found: &mut Vec<Diagnostic>) {
        match action {
            FailureAction::Retry(retry) if retry.times == 0 => {
                let message = "a step that is tried again is so at least once";
                let complaint =
                    self.on_value(Code::WrongValue, &format!("{path}.retry.times"), message);
                found.push(complaint.suggest("did you mean `1`?".to_owned()));
            }
            FailureAction::Retry(retry) if !(1..=10).contains(&retry.factor) => {
                let message = "each pause is once to ten times as long as the one before";
                let path = format!("{path}.retry.factor");
                found.push(self.on_value(Code::WrongValue, &path, message));
            }
            FailureAction::Retry(retry) if retry.longest() < retry.pause => {
                let message = "the longest pause is shorter than the first";
                let path = format!("{path}.retry.longest");
                found.push(self.on_value(Code::Contradiction, &path, message));
            }
            FailureAction::Ask(ask) if ask.within.is_none() && ask.then.is_some() => {
                let message = "without `within` people are asked as long as it takes";
                let complaint =
                    self.on_key(Code::Contradiction, &format!("{path}.ask.then"), message);
                found.push(complaint.suggest("add `within: 1h`".to_owned()));
            }
            FailureAction::Ask(ask) if ask.within == Some(Duration::default()) => {
                let message = "nobody answers within no time";
                let path = format!("{path}.ask.within");
                found.push(self.on_value(Code::WrongValue, &path, message));
            }
            _ => {}
        }
    }
}

/// Every command of the steps, with its path.
pub(super) fn commands<'a>(
    path: &str,
    steps: &'a [Step],
    commands: &mut Vec<(String, &'a belay_model::config::CommandLine)>,
) {
    for (number, step) in steps.iter().enumerate() {
        let path = format!("{path}[{number}]");
        for (key, call) in [("run", &step.run), ("rollback", &step.rollback)] {
            if let Some(Call::Command(line)) = call {
                commands.push((format!("{path}.{key}"), line));
            }
        }
        let checks = step.verify.iter().flatten().enumerate();
        commands.extend(checks.filter_map(|(number, check)| {
            let line = check.command.as_ref()?;
            Some((format!("{path}.verify[{number}].command"), line))
        }));
        if let Some(group) = &step.group {
            self::commands(&format!("{path}.group.steps"), &group.steps, commands);
        }
    }
}
