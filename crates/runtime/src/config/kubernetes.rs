//! The rules of a target on Kubernetes.

use belay_model::config::{
    At, BackCapacity, Check, Environment, KubernetesTarget, Place, Strategy, Target,
};

use super::check::{is_name, proper_name};
use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;

impl Loaded {
    /// `path`: where it is written. Whether the cluster is there is asked when something goes to it.
    pub(super) fn kubernetes(
        &self,
        path: &str,
        target: &KubernetesTarget,
        found: &mut Vec<Diagnostic>,
    ) {
        if !is_name(&target.namespace) {
            let message = "a namespace's name is 1 to 63 characters of a-z, 0-9 and `-`";
            let complaint = self.on_value(Code::WrongValue, &format!("{path}.namespace"), message);
            found.push(complaint.suggest(proper_name(&target.namespace)));
        }
        if target.context.as_deref() == Some("") {
            let message = "a context has a name";
            let complaint = self.on_value(Code::WrongValue, &format!("{path}.context"), message);
            found.push(complaint.suggest("`kubectl config get-contexts` names them".to_owned()));
        }
        for (number, name) in target.service.0.iter().enumerate() {
            let path = match target.service.0.len() {
                1 => format!("{path}.service"),
                _ => format!("{path}.service[{number}]"),
            };
            self.of_an_object(&path, name, found);
        }
        if let Some(preview) = &target.preview {
            let path = format!("{path}.preview");
            self.of_an_object(&path, preview, found);
            if target.service.0.contains(preview) {
                let message = format!("users reach the release by `{preview}`");
                let complaint = self.on_value(Code::Contradiction, &path, message);
                found.push(complaint.suggest("name another Service".to_owned()));
            }
        }
        if let Some(route) = &target.route {
            let is_route = |(kind, name): (&str, &str)| {
                matches!(kind, "httproute" | "grpcroute") && !name.is_empty() && !name.contains('/')
            };
            if !route.split_once('/').is_some_and(is_route) {
                let message = "a route is written as `httproute/NAME` or `grpcroute/NAME`";
                found.push(self.on_value(Code::WrongValue, &format!("{path}.route"), message));
            }
        }
        for (number, name) in target.workloads.iter().enumerate() {
            if target.workloads[..number].contains(name) {
                let path = format!("{path}.workloads[{number}]");
                let message = format!("`{name}` has its turn already");
                found.push(self.on_value(Code::Contradiction, &path, message));
            }
        }
    }

    fn of_an_object(&self, path: &str, name: &str, found: &mut Vec<Diagnostic>) {
        if !is_name(name) {
            let message = "a Service's name is 1 to 63 characters of a-z, 0-9 and `-`";
            let complaint = self.on_value(Code::WrongValue, path, message);
            let bare = name.strip_prefix("service/").unwrap_or(name);
            found.push(complaint.suggest(proper_name(bare)));
        }
    }

    /// What only goes with the layout that the strategies of an environment give a target.
    pub(super) fn layout(
        &self,
        name: &str,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        for place in environment.places() {
            let Target::Kubernetes(target) = place.target else {
                continue;
            };
            let path = format!("environments.{name}.{}.kubernetes", place.key());
            let ways = [false, true].map(|hotfix| environment.is_side_by_side(place.name, hotfix));
            if ways.contains(&true) {
                self.only_deployments(&path, target, found);
                self.not_running(&path, found);
            } else {
                self.needs_two(&path, target, environment, found);
            }
        }
    }

    fn only_deployments(&self, path: &str, target: &KubernetesTarget, found: &mut Vec<Diagnostic>) {
        for (number, workload) in target.workloads.iter().enumerate() {
            let why = match workload.as_str().split_once('/') {
                Some(("statefulset", _)) => {
                    "its pods have names and volumes that there is one of each"
                }
                Some(("daemonset", _)) => "there is one pod of it on each node",
                _ => continue,
            };
            let message = format!("`{workload}` cannot stand beside the one before: {why}");
            let path = format!("{path}.workloads[{number}]");
            let complaint = self.on_value(Code::ImpossibleStrategy, &path, message);
            found.push(complaint.suggest(IN_PLACE.to_owned()));
        }
    }

    /// What runs is there once, under the name that its owner has given it.
    fn not_running(&self, path: &str, found: &mut Vec<Diagnostic>) {
        if self.config.release.running {
            let message =
                "a release of what is running takes its place: its manifests are somebody else's";
            let complaint = self.on_key(Code::ImpossibleStrategy, path, message);
            let advice = format!("{IN_PLACE}; or take it over with `belay adopt kubernetes://...`");
            found.push(complaint.suggest(advice));
        }
    }

    fn needs_two(
        &self,
        path: &str,
        target: &KubernetesTarget,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        let strategy = word(&environment.strategy());
        for (key, is_there) in [
            ("preview", target.preview.is_some()),
            ("route", target.route.is_some()),
        ] {
            if is_there {
                let message = format!(
                    "`{key}` tells two releases apart, and with `{strategy}` one takes the place of the other"
                );
                let complaint = self.on_key(Code::Contradiction, &format!("{path}.{key}"), message);
                found.push(
                    complaint.suggest("use `blue_green` or `canary`, or leave it out".to_owned()),
                );
            }
        }
        if environment.rollback.capacity == BackCapacity::Proportional {
            let message = format!(
                "capacity in proportion needs a share of the traffic to move, and with `{strategy}` one release takes the place of the other"
            );
            let key = path
                .split_once(".target")
                .map_or(path, |(before, _)| before);
            let key = format!("{key}.rollback.capacity");
            let complaint = self.on_value(Code::Contradiction, &key, message);
            found.push(complaint.suggest("use `full` or `ask`".to_owned()));
        }
    }

    /// Checks of an environment, and of the service in it, that nobody could ask.
    pub(super) fn checks_on_kubernetes(
        &self,
        name: &str,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        let kubernetes =
            |place: &Place<'_>| matches!(place.target, Target::Kubernetes(_) | Target::Helm(_));
        let places: Vec<Place<'_>> = environment.places().filter(kubernetes).collect();
        if places.is_empty() {
            return;
        }
        let both = [false, true];
        let in_place = both.iter().find_map(|hotfix| {
            let is_so = |place: &Place<'_>| !environment.is_side_by_side(place.name, *hotfix);
            let own = environment.hotfix.strategy.clone().filter(|_| *hotfix);
            places
                .iter()
                .any(is_so)
                .then(|| own.unwrap_or_else(|| environment.strategy()))
        });
        for (path, check) in self.checks_at(name, environment) {
            found.extend(self.no_traffic_on_kubernetes(&path, check));
            let is_staged = check.traffic.is_none() && check.at() == At::Staged;
            if let Some(strategy) = in_place.as_ref().filter(|_| is_staged) {
                let strategy = word(strategy);
                let message = format!(
                    "a check at `staged` asks a release that no user reaches yet, and with `{strategy}` one takes the place of the other"
                );
                let (path, is_written) = match check.at {
                    Some(_) => (format!("{path}.at"), true),
                    None => (path, false),
                };
                let complaint = self.on_value(Code::Contradiction, &path, message);
                let instead = if is_written { "use" } else { "add" };
                let advice = format!("{instead} `at: live`, or use `strategy: blue_green`");
                found.push(complaint.suggest(advice));
            }
        }
    }

    /// `path`: where the check is written.
    pub(super) fn no_traffic_on_kubernetes(&self, path: &str, check: &Check) -> Option<Diagnostic> {
        check.traffic?;
        let message = "a `traffic` check reads what Belay's proxy has counted, and on Kubernetes no request comes by it";
        let complaint = self.on_key(Code::Contradiction, &format!("{path}.traffic"), message);
        let advice = "use `http` or `command` with `at: live`";
        Some(complaint.suggest(advice.to_owned()))
    }
}

/// What helps where two releases cannot stand side by side.
const IN_PLACE: &str = "use `rolling`, or a target of its own";

fn word(strategy: &Strategy) -> &'static str {
    match strategy {
        Strategy::Basic => "basic",
        Strategy::Rolling => "rolling",
        Strategy::BlueGreen => "blue_green",
        Strategy::Canary(_) => "canary",
    }
}
