//! A step as plain commands for kubectl, which work when Belay is gone. Pure.
//!
//! What they come to is what the step itself would come to, with two differences: nobody looks whether somebody was there in
//! between, and what others have added is taken out in a request of its own, so that pods may be replaced twice.

use crate::params::{Need, Params, Wanted};
use crate::settings::Settings;
use crate::write::MANAGER;
use crate::{
    builtin, capacity, digests::Digests, kinds, object, owners, router, sending, workload,
};
use belay_model::state::{Resource, State};
use serde_json::{Value, json};

/// Ends the objects that are written into the script; no line of JSON is like it.
pub(crate) const END: &str = "BELAY";

/// How long a rollout is waited for, as kubectl takes it.
const PATIENCE: &str = "10m";

pub(crate) fn commands(settings: &Settings, from: &State, params: &Params) -> String {
    let script = Script::of(settings);
    let commands = match params {
        Params::Put { objects } => {
            let put = objects.iter();
            put.map(|(key, it)| script.put(key, it, from)).collect()
        }
        Params::Roll {
            key,
            object,
            replace_stuck,
        } => script.roll(key, object, from, *replace_stuck),
        Params::Scale {
            object, replicas, ..
        } => script.scale(object, *replicas),
        Params::Switch { key, object, needs } => script.switch(key, object, needs, from),
        Params::Remove { objects, .. } => objects
            .values()
            .map(|it| script.remove(it))
            .collect::<Vec<_>>(),
    };
    commands.join("\n")
}

/// Those that apply the same objects, held or let go.
pub(crate) fn gitops(settings: &Settings, step: &owners::Step) -> String {
    let script = Script::of(settings);
    let patch = |it: &owners::Meant, fields: &Value| {
        let (kind, api) = (&it.named["kind"], &it.named["apiVersion"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let group = text(api).split('/').next().unwrap_or_default().to_owned();
        let metadata = &it.named["metadata"];
        let object = quoted(&format!(
            "{}.{group}/{}",
            text(kind).to_lowercase(),
            text(&metadata["name"])
        ));
        let namespace = quoted(&text(&metadata["namespace"]));
        let fields = quoted(&fields.to_string());
        format!(
            "{} -n {namespace} patch {object} --type merge -p {fields}",
            script.kubectl
        )
    };
    let line = |it: &owners::Meant| match step {
        owners::Step::Hold { .. } => patch(it, &it.held()),
        // Nobody here can tell what its source says.
        owners::Step::Lift { .. } => {
            let command = patch(it, &it.free(&it.was));
            format!(
                "# When the source of {} says what runs:\n#   {command}",
                it.title
            )
        }
    };
    step.owners()
        .iter()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

pub(crate) struct Script {
    /// `kubectl` with the cluster and the namespace.
    pub(crate) kubectl: String,
}

/// Which cluster, as options of a client: helm calls the context by another name.
pub(crate) fn cluster(settings: &Settings, option: &str) -> String {
    let file = settings.kubeconfig.as_ref();
    let file = file.map(|file| format!(" --kubeconfig {}", quoted(&file.display().to_string())));
    let context = settings.context.as_ref();
    let context = context.map(|context| format!(" {option} {}", quoted(context)));
    file.unwrap_or_default() + &context.unwrap_or_default()
}

impl Script {
    pub(crate) fn of(settings: &Settings) -> Self {
        let cluster = cluster(settings, "--context");
        let namespace = quoted(&settings.namespace);
        Self {
            kubectl: format!("kubectl{cluster} -n {namespace}"),
        }
    }

    /// The same for what is in another namespace.
    pub(crate) fn at(settings: &Settings, object: &Value) -> Self {
        let mut settings = settings.clone();
        if let Some(namespace) = object["metadata"]["namespace"].as_str() {
            namespace.clone_into(&mut settings.namespace);
        }
        Self::of(&settings)
    }

    fn put(&self, key: &str, wanted: &Wanted, from: &State) -> String {
        let object = object::made(&wanted.resource());
        let there = from.resources.get(key);
        if lacks_values(&object) {
            return self.secret(&object, there.is_none());
        }
        let mut lines = Vec::new();
        lines.extend(there.and_then(|there| self.take_out(&object, &wanted.resource(), there)));
        lines.push(self.apply(&object));
        lines.join("\n")
    }

    fn roll(&self, key: &str, wanted: &Wanted, from: &State, replace_stuck: bool) -> Vec<String> {
        let mut object = object::made(&wanted.resource());
        let there = from.resources.get(key);
        if let Some(there) = there {
            replicas(&mut object, key, there, from);
        }
        let mut lines = Vec::new();
        lines.extend(there.and_then(|there| self.take_out(&object, &wanted.resource(), there)));
        lines.push(self.apply(&object));
        let name = named(&object);
        if replace_stuck {
            lines.push(self.replace_stuck(&object, &name));
        }
        lines.push(self.rolled_out(&name));
        lines
    }

    fn scale(&self, wanted: &Wanted, replicas: u32) -> Vec<String> {
        let object = object::made(&wanted.resource());
        // As the step does it: `kubectl scale` would take a right more.
        let change = json!({ "spec": { "replicas": replicas } });
        let scale = self.patch("merge", &object, &change);
        vec![scale, self.rolled_out(&named(&object))]
    }

    pub(crate) fn rolled_out(&self, name: &str) -> String {
        format!(
            "{} rollout status {name} --timeout={PATIENCE}",
            self.kubectl
        )
    }

    /// Nothing moves before there is enough to move to.
    fn switch(&self, key: &str, wanted: &Wanted, needs: &[Need], from: &State) -> Vec<String> {
        let mut lines: Vec<String> = needs.iter().map(|it| self.enough(it)).collect();
        let wanted = wanted.resource();
        let mut object = object::made(&wanted);
        let there = from.resources.get(key);
        let live = there.map(|there| json!({ "spec": there.spec["spec"] }));
        if let Err(why) = sending::as_sent(&mut object, &wanted, live.as_ref(), from) {
            let message = format!("change {key}: {why}");
            lines.push(format!("echo {} >&2; exit 1", quoted(&message)));
            return lines;
        }
        let is_route = !wanted.facts[router::SERVICES].is_null();
        match (wanted.facts[object::ONLY].as_str(), &live) {
            (Some(only), Some(live)) => {
                let mut change = sending::change(&object, only, live);
                change.as_object_mut().map(|it| it.remove("metadata"));
                lines.push(self.patch("merge", &object, &change));
            }
            // Rules are one list, which is set whole.
            _ if is_route => lines.push(self.apply(&object)),
            _ => {
                lines.extend(there.and_then(|there| self.take_out(&object, &wanted, there)));
                lines.push(self.apply(&object));
            }
        }
        lines
    }

    fn enough(&self, need: &Need) -> String {
        let labels = need.labels.iter();
        let labels: Vec<String> = labels
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let ready =
            "{range .items[*]}{.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
        format!(
            "ready=$({} get pods -l {} -o 'jsonpath={ready}' | grep -c True || true)\n\
             [ \"$ready\" -ge {} ] || {{ echo \"{}: $ready of {2} pods ready, so that no traffic was moved\" >&2; exit 1; }}",
            self.kubectl,
            quoted(&labels.join(",")),
            need.pods,
            need.key,
        )
    }

    fn remove(&self, wanted: &Wanted) -> String {
        let object = object::made(&wanted.resource());
        let cascade = kinds::of(&object).map_or("", |_| " --cascade=foreground");
        format!(
            "{} delete {} --ignore-not-found{cascade}",
            self.kubectl,
            named(&object)
        )
    }

    fn apply(&self, object: &Value) -> String {
        format!("{} <<'{END}'\n{object:#}\n{END}", self.apply_from_stdin())
    }

    fn apply_from_stdin(&self) -> String {
        format!(
            "{} apply --server-side --field-manager {MANAGER} --force-conflicts -f -",
            self.kubectl
        )
    }

    /// Server-side apply never removes what others have put there.
    pub(crate) fn take_out(
        &self,
        object: &Value,
        wanted: &Resource,
        there: &Resource,
    ) -> Option<String> {
        let text = |name: &str| object[name].as_str().unwrap_or_default();
        let is_known = builtin::kind(text("apiVersion"), text("kind")).is_some();
        let mut patch = match is_known {
            true => surplus::strategic("", &wanted.spec, &there.spec)?,
            false => surplus::plain(&wanted.spec, &there.spec)?,
        };
        if let Some(fields) = patch.as_object_mut() {
            fields.retain(|name, _| name != "metadata" && name != "rollout");
            if let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) {
                spec.remove("replicas");
            }
            fields.retain(|name, value| name != "spec" || *value != json!({}));
        }
        if patch == json!({}) {
            return None;
        }
        let how = if is_known { "strategic" } else { "merge" };
        Some(self.patch(how, object, &patch))
    }

    fn patch(&self, how: &str, object: &Value, patch: &Value) -> String {
        format!(
            "{} patch {} --type={how} --field-manager {MANAGER} -p {}",
            self.kubectl,
            named(object),
            quoted(&patch.to_string())
        )
    }

    /// The values come from variables: they are shown nowhere, and are no part of a command line.
    fn secret(&self, object: &Value, is_gone: bool) -> String {
        let name = named(object);
        let mut document = object.clone();
        let mut needs = Vec::new();
        for (key, value) in document["data"].as_object_mut().into_iter().flatten() {
            let is_value = !value.as_str().is_some_and(Digests::is_one);
            if is_value {
                continue;
            }
            let variable = variable(key);
            needs.push(format!(
                ": \"${{{variable}:?set it to the value of {key} in {name}}}\""
            ));
            *value = json!(in_place_of(&variable));
        }
        let text = filled(&document, "");
        let apply = format!(
            "{}\n{} <<{END}\n{text}\n{END}",
            needs.join("\n"),
            self.apply_from_stdin()
        );
        if !is_gone {
            return apply;
        }
        format!(
            "if {} get {name} >/dev/null 2>&1; then\n  echo {} >&2\nelse\n{apply}\nfi",
            self.kubectl,
            quoted(&format!("{name} still stands and is used as it is")),
        )
    }

    /// Pods that do not get ready and are of another template are in the way of those that would.
    pub(crate) fn replace_stuck(&self, object: &Value, name: &str) -> String {
        let kubectl = &self.kubectl;
        let field = |path: &str| format!("$({kubectl} get {name} -o 'jsonpath={{{path}}}')");
        let (asked, seen) = (
            field(".metadata.generation"),
            field(".status.observedGeneration"),
        );
        let newest = field(".status.updateRevision");
        let selector = workload::selector(object);
        let ready = "{range .items[*]}{.metadata.name} {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
        format!(
            "until [ \"{asked}\" = \"{seen}\" ]; do sleep 1; done\n\
             newest=\"{newest}\"\n\
             {kubectl} get pods -l {}\"$newest\" -o 'jsonpath={ready}' |\n\
             while read -r pod ready; do\n  [ \"$ready\" = True ] || {kubectl} delete pod \"$pod\" </dev/null\ndone",
            quoted(&format!("{selector},controller-revision-hash!="))
        )
    }
}

/// As the step does it: how many pods there are is kept with whoever scales them.
fn replicas(object: &mut Value, key: &str, there: &Resource, from: &State) {
    if !kinds::of(object).is_some_and(|kind| kind.is_scalable()) {
        return;
    }
    let desired = there.facts["desired"].as_i64().unwrap_or(1);
    let wanted = object["spec"]["replicas"].as_i64();
    let least = capacity::bounds(from, key).map(|(least, _)| i64::from(least));
    let is_enough = wanted.is_none_or(|wanted| {
        desired >= least.map_or(wanted, |least| least.min(wanted)) && desired > 0
    });
    if there.facts["scaled"] == true && is_enough {
        if let Some(spec) = object["spec"].as_object_mut() {
            spec.remove("replicas");
        }
    } else if wanted.is_none() {
        object["spec"]["replicas"] = json!(desired);
    }
}

fn lacks_values(object: &Value) -> bool {
    let mut values = object["data"].as_object().into_iter().flatten();
    object["kind"] == "Secret"
        && values.any(|(_, value)| value.as_str().is_some_and(Digests::is_one))
}

/// `deployment.apps/api`, as kubectl takes it.
pub(crate) fn named(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]).to_lowercase();
    let name = text(&object["metadata"]["name"]);
    match text(&object["apiVersion"]).split_once('/') {
        Some((group, _)) => quoted(&format!("{kind}.{group}/{name}")),
        None => quoted(&format!("{kind}/{name}")),
    }
}

/// What stands in a document for the value of a variable, until it is [`filled`].
pub(crate) fn in_place_of(variable: &str) -> String {
    format!("\u{1}{variable}\u{1}")
}

/// A document with the values of variables in base64, for an unquoted here-document: the shell puts them in, and makes nothing of
/// the rest. `tag`: before each of them.
pub(crate) fn filled(document: &Value, tag: &str) -> String {
    let text = format!("{document:#}");
    let text = text
        .replace('\\', "\\\\")
        .replace('$', "\\$")
        .replace('`', "\\`");
    let parts = text.split("\\\\u0001").enumerate();
    parts.fold(String::new(), |mut text, (at, part)| {
        if at % 2 == 0 {
            return text + part;
        }
        // Its quote is there already.
        text.pop();
        text + &format!("{tag}\"$(printf %s \"${part}\" | base64 | tr -d '\\n')")
    })
}

/// A variable of the shell that is called like a key of a Secret.
pub(crate) fn variable(key: &str) -> String {
    let allowed = |it: char| if it.is_ascii_alphanumeric() { it } else { '_' };
    let name: String = key.chars().map(allowed).collect();
    match name.starts_with(|it: char| it.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}

/// As one word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_./:@".contains(it);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

mod surplus;
#[cfg(test)]
mod tests;
