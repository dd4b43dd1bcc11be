//! A Role that grants just what something takes, as `kubectl apply -f -` takes it.

use super::rights::{Right, Rights};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Who is granted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An account of a namespace.
    Account {
        /// Where it is.
        namespace: String,
        /// What it is called.
        name: String,
        /// It is made, too.
        made: bool,
    },
    /// Somebody whom the cluster knows by this name.
    User(String),
}

const GROUP: &str = "rbac.authorization.k8s.io";

/// In YAML: a Role and its binding for each namespace, a ClusterRole and its binding where something has no namespace, and the
/// account if it is to be made. `name`: what all of them are called; `title`: what it is for.
pub fn role(rights: &Rights, subject: &Subject, name: &str, title: &str) -> String {
    let mut text = format!("# The least that Belay needs for {title}.\n");
    if !rights.guessed.is_empty() {
        let kinds: Vec<&str> = rights.guessed.iter().map(String::as_str).collect();
        text += &format!(
            "# The cluster did not say what these kinds are called in requests; look at it: {}.\n",
            kinds.join(", ")
        );
    }
    if let Subject::Account {
        namespace,
        name,
        made: true,
    } = subject
    {
        text += &format!(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}, namespace: {namespace}}}\n---\n"
        );
    }
    let mut places: BTreeMap<Option<&str>, Vec<&Right>> = BTreeMap::new();
    for right in &rights.all {
        let place = right.namespace.as_deref();
        places.entry(place).or_default().push(right);
    }
    let documents = places
        .into_iter()
        .map(|(place, rights)| documents(place, &rights, subject, name));
    text + &documents.collect::<Vec<_>>().join("---\n")
}

fn documents(place: Option<&str>, rights: &[&Right], subject: &Subject, name: &str) -> String {
    let kind = if place.is_some() {
        "Role"
    } else {
        "ClusterRole"
    };
    // Names without a namespace belong to everybody.
    let metadata = match (place, subject) {
        (Some(place), _) => format!("{{name: {name}, namespace: {place}}}"),
        (None, Subject::Account { namespace, .. }) => format!("{{name: {name}-{namespace}}}"),
        (None, Subject::User(_)) => format!("{{name: {name}}}"),
    };
    let called = match (place, subject) {
        (None, Subject::Account { namespace, .. }) => format!("{name}-{namespace}"),
        _ => name.to_owned(),
    };
    let subject = match subject {
        Subject::Account {
            namespace, name, ..
        } => format!("{{kind: ServiceAccount, name: {name}, namespace: {namespace}}}"),
        Subject::User(name) => format!("{{kind: User, name: {name:?}, apiGroup: {GROUP}}}"),
    };
    let rules: String = merged(rights).iter().map(Rule::text).collect();
    format!(
        "apiVersion: {GROUP}/v1\nkind: {kind}\nmetadata: {metadata}\nrules:\n{rules}---\n\
         apiVersion: {GROUP}/v1\nkind: {kind}Binding\nmetadata: {metadata}\n\
         roleRef: {{apiGroup: {GROUP}, kind: {kind}, name: {called}}}\nsubjects:\n- {subject}\n"
    )
}

/// All that may be done to one resource.
struct Rule<'a> {
    group: &'a str,
    resource: &'a str,
    verbs: Vec<&'static str>,
    whys: Vec<String>,
}

fn merged<'a>(rights: &[&'a Right]) -> Vec<Rule<'a>> {
    let mut rules: Vec<Rule<'a>> = Vec::new();
    for right in rights {
        let is_it = |it: &&mut Rule<'_>| (it.group, it.resource) == (&right.group, &right.resource);
        let why = match right.without {
            Some(without) => format!("{}; else {without}", right.why),
            None => right.why.to_owned(),
        };
        let rule = match rules.iter_mut().find(is_it) {
            Some(rule) => rule,
            None => {
                rules.push(Rule {
                    group: &right.group,
                    resource: &right.resource,
                    verbs: Vec::new(),
                    whys: Vec::new(),
                });
                rules.last_mut().expect("just put there")
            }
        };
        if !right.verbs.iter().all(|it| rule.verbs.contains(it)) {
            rule.whys.push(why);
        }
        for verb in &right.verbs {
            if !rule.verbs.contains(verb) {
                rule.verbs.push(verb);
            }
        }
    }
    rules
}

impl Rule<'_> {
    fn text(&self) -> String {
        let mut text = String::new();
        for why in &self.whys {
            let _ = writeln!(text, "# {why}");
        }
        let (group, resource) = (self.group, self.resource);
        let verbs = self.verbs.join(", ");
        let _ = writeln!(
            text,
            "- {{apiGroups: [\"{group}\"], resources: [{resource}], verbs: [{verbs}]}}"
        );
        text
    }
}
