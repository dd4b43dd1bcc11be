//! What somebody needs who looks into trouble, gathered while it is there: events by time, what each container wrote and had
//! written before it was started anew, and how workloads and pods are. No value of a Secret is in it, and none of a variable.

use crate::cluster::{Cluster, List, Name};
use crate::history::moment;
use crate::kinds;
use crate::kubernetes::{Kubernetes, in_time};
use crate::look::revisions;
use crate::pods::{said, text};
use crate::settings::Settings;
use crate::workload::{references, selector};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use belay_driver::{Context, Error};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How much of each container's output.
const LINES: i64 = 200;
/// What is shorter is found everywhere.
const SHORTEST: usize = 4;

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its name below the bundle, with slashes.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl Kubernetes {
    /// What there is to say of the workloads of a target. What cannot be had says why in its place.
    ///
    /// # Errors
    /// By class, where nothing at all can be had.
    pub async fn bundle(&self, cx: &Context, settings: &Settings) -> Result<Vec<Piece>, Error> {
        in_time(cx, async {
            let cluster = self.clusters.connect(settings).await?;
            let home = settings.namespace.as_str();
            let mut gathered = Gathered::default();
            for workload in settings.workloads()? {
                let found = cluster.get(Name {
                    api_version: kinds::API,
                    kind: workload.kind.name(),
                    namespace: home,
                    name: &workload.name,
                });
                let kind = workload.kind.name().to_lowercase();
                let path = format!("workloads/{kind}-{}.json", workload.name);
                let Some(found) = found.await? else {
                    gathered.add(path, "it is not there".to_owned());
                    continue;
                };
                gathered.about(&found);
                gathered
                    .learn(&cluster, home, &found["spec"]["template"])
                    .await;
                gathered.add(path, shown(&found));
                for it in revisions(&cluster, workload.kind, home, &found).await? {
                    gathered.about(&it);
                }
                let pods = List {
                    labels: &selector(&found),
                    ..List::of("v1", "Pod", home)
                };
                for pod in cluster.list(pods).await?.0 {
                    gathered.pod(&cluster, home, &pod).await;
                }
            }
            let (events, _) = cluster.list(List::of("v1", "Event", home)).await?;
            gathered.events(events);
            Ok(gathered.hidden())
        })
        .await
    }
}

#[derive(Default)]
struct Gathered {
    pieces: Vec<Piece>,
    /// Names of objects whose events are told.
    names: BTreeSet<String>,
    /// Values that nobody shall see.
    secrets: BTreeSet<String>,
}

impl Gathered {
    fn add(&mut self, name: String, text: String) {
        self.pieces.push(Piece { name, text });
    }

    fn about(&mut self, object: &Value) {
        self.names.insert(text(&object["metadata"]["name"]));
    }

    /// Values that pods are given, so that they can be hidden wherever they turn up.
    async fn learn(&mut self, cluster: &Cluster, home: &str, template: &Value) {
        for (kind, name) in references(template)
            .into_iter()
            .filter(|(kind, _)| *kind == "Secret")
        {
            let secret = cluster.get(Name {
                api_version: "v1",
                kind,
                namespace: home,
                name: &name,
            });
            // Who may not read it cannot hide it, either, and has been given none of it.
            let Ok(Some(secret)) = secret.await else {
                continue;
            };
            for value in secret["data"].as_object().into_iter().flatten() {
                let encoded = text(value.1);
                let plain = STANDARD.decode(&encoded).unwrap_or_default();
                self.secrets.insert(encoded);
                let plain = String::from_utf8_lossy(&plain).into_owned();
                self.secrets.extend(plain.lines().map(str::to_owned));
            }
        }
        self.secrets.retain(|value| value.len() >= SHORTEST);
    }

    async fn pod(&mut self, cluster: &Cluster, home: &str, pod: &Value) {
        self.about(pod);
        let name = text(&pod["metadata"]["name"]);
        self.add(format!("pods/{name}/pod.json"), shown(pod));
        for list in ["initContainerStatuses", "containerStatuses"] {
            for status in pod["status"][list].as_array().into_iter().flatten() {
                let container = text(&status["name"]);
                let path = format!("pods/{name}/{container}");
                let log = cluster.tail(home, &name, &container, false, LINES).await;
                self.add(format!("{path}.log"), log.unwrap_or_else(|why| why));
                if status["restartCount"].as_i64().unwrap_or(0) > 0 {
                    let log = cluster.tail(home, &name, &container, true, LINES).await;
                    self.add(
                        format!("{path}.previous.log"),
                        log.unwrap_or_else(|why| why),
                    );
                }
            }
        }
    }

    fn events(&mut self, mut events: Vec<Value>) {
        events.retain(|it| self.names.contains(&text(&it["involvedObject"]["name"])));
        events.sort_by_key(|it| moment(time(it)));
        let line = |it: &Value| {
            let about = &it["involvedObject"];
            let count = it["count"].as_i64().filter(|count| *count > 1);
            let times = count.map_or_else(String::new, |count| format!(", {count} times"));
            let (kind, name) = (text(&about["kind"]).to_lowercase(), text(&about["name"]));
            format!("{}  {kind}/{name}  {}{times}\n", text(time(it)), said(it))
        };
        let lines: String = events.iter().map(line).collect();
        self.add("events.txt".to_owned(), lines);
    }

    /// Without the values of secrets.
    fn hidden(mut self) -> Vec<Piece> {
        // The longest first: one may be a part of another.
        let mut secrets: Vec<_> = self.secrets.iter().collect();
        secrets.sort_by_key(|value| std::cmp::Reverse(value.len()));
        for piece in &mut self.pieces {
            for value in &secrets {
                piece.text = piece.text.replace(value.as_str(), "(hidden)");
            }
        }
        self.pieces
    }
}

/// When it happened last.
fn time(event: &Value) -> &Value {
    let places = [
        "/lastTimestamp",
        "/series/lastObservedTime",
        "/eventTime",
        "/firstTimestamp",
    ];
    let found = places
        .iter()
        .filter_map(|place| event.pointer(place))
        .find(|it| it.is_string());
    found.unwrap_or(&Value::Null)
}

/// An object without what nobody reads, and without values of variables.
fn shown(object: &Value) -> String {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    hide_variables(&mut object);
    format!("{object:#}\n")
}

fn hide_variables(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name != "env" {
                    hide_variables(value);
                    continue;
                }
                for variable in value.as_array_mut().into_iter().flatten() {
                    if variable["value"].is_string() {
                        variable["value"] = json!("(hidden)");
                    }
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_variables),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_shown() {
        let object = json!({ "metadata": { "managedFields": [] }, "spec": { "containers": [
            { "name": "app", "env": [{ "name": "A", "value": "one" }, { "name": "B", "valueFrom": { "secretKeyRef": {} } }] },
        ] } });
        let text = shown(&object);
        assert!(
            !text.contains("one")
                && text.contains("secretKeyRef")
                && !text.contains("managedFields"),
            "{text}"
        );
        let mut gathered = Gathered::default();
        gathered
            .secrets
            .extend(["hush".to_owned(), "hush hush".to_owned()]);
        gathered.add("a.log".to_owned(), "it says hush hush, and hush".to_owned());
        assert_eq!(gathered.hidden()[0].text, "it says (hidden), and (hidden)");
    }

    #[test]
    fn events_are_told_by_their_time() {
        let event = |name: &str, time: Value| {
            json!({
                "involvedObject": { "kind": "Pod", "name": name }, "reason": "R", "message": "m", "eventTime": time,
            })
        };
        let mut gathered = Gathered::default();
        gathered.names.extend(["a".to_owned(), "b".to_owned()]);
        let events = [
            ("b", "2026-01-01T10:00:01.5Z"),
            ("a", "2026-01-01T10:00:00Z"),
            ("other", "2026-01-01T09:00:00Z"),
        ];
        gathered.events(events.map(|(name, time)| event(name, json!(time))).to_vec());
        let text = &gathered.pieces[0].text;
        assert_eq!(
            text,
            "2026-01-01T10:00:00Z  pod/a  R (m)\n2026-01-01T10:00:01.5Z  pod/b  R (m)\n"
        );
    }
}
