//! A chart as a record has it, and what it comes to.
//!
//! What a chart renders is asked of helm when the record is made, with the versions of the API that the cluster has. It is
//! rendered twice: what comes out differently each time (a password that nobody gave) is meant by nobody, and is not compared.

use super::program::Program;
use crate::compare::flatten;
use crate::digests::Digests;
use crate::manifest;
use crate::object;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What a target is given of a chart. The chart itself is in the record's artifact, in a folder `chart`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// `NAME-VERSION`.
    pub name: String,
    /// As the chart says it.
    #[serde(default)]
    pub app_version: Value,
    /// Values, without those of secrets.
    pub values: Value,
    /// Which secret goes where in the values: its name by its path.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// All values as digests, as helm's own record is read: see [`Chart::digests_of`].
    pub digests: Value,
    /// Paths by object in which a chart says something else each time.
    #[serde(default)]
    pub random: BTreeMap<String, Vec<String>>,
    /// What helm leaves behind when the release is taken back, in words.
    #[serde(default)]
    pub leaves: Vec<String>,
    /// The kinds of what helm makes beside its manifest (hooks, definitions of kinds): `apiVersion` and `kind`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<(String, String)>,
    /// How many revisions helm keeps; absent: as many as it does by itself.
    #[serde(default)]
    pub history_max: Option<u32>,
    /// How long a hook may take, milliseconds; absent: as long as helm gives it.
    #[serde(default)]
    pub hook_timeout_ms: Option<u64>,
    /// Only helm has its files and values: it is gone back to as long as helm keeps it, and is never built again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_kept: bool,
}

impl Chart {
    /// The kinds of these objects, each once.
    pub fn kinds_of(objects: &[Value]) -> Vec<(String, String)> {
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        let kind = |it: &Value| (text(&it["apiVersion"]), text(&it["kind"]));
        let kinds: BTreeSet<(String, String)> = objects.iter().map(kind).collect();
        kinds.into_iter().collect()
    }

    /// What stands for values where they may not stand themselves; `key` is the driver's.
    pub fn digests_of(key: &[u8; 32], values: &Value) -> Value {
        let mut values = values.clone();
        Digests::new(key).hide(&mut values);
        values
    }
}

/// What is to be rendered.
pub struct Rendering<'a> {
    /// By whom.
    pub program: &'a Program,
    /// The chart's folder.
    pub chart: &'a Path,
    /// The release's name.
    pub release: &'a str,
    /// Where it goes.
    pub namespace: &'a str,
    /// All values, those of secrets among them.
    pub values: &'a Value,
    /// Whether there is one before it.
    pub is_upgrade: bool,
    /// Version of the cluster, such as `v1.37.1`; empty: the one that this helm was made for.
    pub kube_version: &'a str,
    /// What its API has: `apps/v1`, `apps/v1/Deployment`.
    pub api_versions: &'a [String],
}

/// What a chart comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// The objects of its manifest, with the marks that helm puts on each.
    pub objects: Vec<Value>,
    /// Its hooks; and where it has definitions of kinds beside its templates, what such a one is.
    pub hooks: Vec<Value>,
    /// Paths by object in which it says something else each time.
    pub random: BTreeMap<String, Vec<String>>,
    /// What helm leaves behind when it is taken back, in words.
    pub leaves: Vec<String>,
    /// `NAME-VERSION`.
    pub name: String,
    /// As the chart says it.
    pub app_version: Value,
}

/// It comes to nothing. Messages read well after "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("render the chart {chart}: {why}")]
pub struct Unrendered {
    chart: String,
    why: String,
}

impl Rendering<'_> {
    /// Renders it.
    ///
    /// # Errors
    /// What helm says.
    pub async fn render(&self) -> Result<Rendered, Unrendered> {
        let metadata = self.metadata()?;
        let (first, second) = (self.once().await?, self.once().await?);
        let digests = Digests::new(&[0; 32]);
        let by_key = |all: &[Value]| -> BTreeMap<String, BTreeMap<String, Value>> {
            let written = |it: &Value| {
                let key = object::key(it, self.namespace);
                (key, flatten(&object::written(it, &digests).spec))
            };
            all.iter().map(written).collect()
        };
        let is_hook = |it: &Value| it["metadata"]["annotations"]["helm.sh/hook"].is_string();
        let (hooks, objects): (Vec<Value>, Vec<Value>) = first.into_iter().partition(is_hook);
        let (one, other) = (by_key(&objects), by_key(&second));
        let mut random = BTreeMap::new();
        for (key, leaves) in &one {
            let Some(others) = other.get(key) else {
                continue;
            };
            let paths: BTreeSet<&String> = leaves.keys().chain(others.keys()).collect();
            let differ = paths
                .into_iter()
                .filter(|path| leaves.get(*path) != others.get(*path));
            let differ: Vec<String> = differ.cloned().collect();
            if !differ.is_empty() {
                random.insert(key.clone(), differ);
            }
        }
        Ok(Rendered {
            leaves: self.leaves(&objects, &hooks),
            objects: marked(objects, self.release, self.namespace),
            hooks: [hooks, self.definitions()].concat(),
            random,
            name: name(&metadata),
            app_version: metadata["appVersion"].clone(),
        })
    }

    fn metadata(&self) -> Result<Value, Unrendered> {
        let text = std::fs::read_to_string(self.chart.join("Chart.yaml"));
        let text = text.map_err(|error| self.failed(&format!("Chart.yaml: {error}")))?;
        let parsed = manifest::parse(&text).map_err(|error| self.failed(&error.message))?;
        let metadata = parsed.into_iter().next();
        let metadata = metadata.filter(|it| it["name"].is_string() && !it["version"].is_null());
        metadata.ok_or_else(|| self.failed("Chart.yaml says no name and version"))
    }

    fn failed(&self, why: &str) -> Unrendered {
        Unrendered {
            chart: self.chart.display().to_string(),
            why: why.to_owned(),
        }
    }

    async fn once(&self) -> Result<Vec<Value>, Unrendered> {
        let mut command = Command::new(self.program.path());
        let version =
            (!self.kube_version.is_empty()).then_some(["--kube-version", self.kube_version]);
        let version = version.into_iter().flatten();
        command
            .args(["template", self.release])
            .arg(self.chart)
            .args([
                "--namespace",
                self.namespace,
                "--values",
                "-",
                "--skip-tests",
            ])
            .args(version)
            .arg(format!("--api-versions={}", self.api_versions.join(",")))
            .args(self.is_upgrade.then_some("--is-upgrade"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let io = |error: std::io::Error| self.failed(&format!("helm: {error}"));
        let mut child = command.spawn().map_err(io)?;
        let mut input = child.stdin.take().expect("piped");
        let values = self.values.to_string();
        let write = async move {
            // One that ends before it has read everything says why.
            let _ = input.write_all(values.as_bytes()).await;
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), write);
        let output = output.map_err(io)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(self.failed(&said));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        manifest::parse(&text).map_err(|error| self.failed(&error.message))
    }

    /// What one is, where there are some, in the chart or in one within it.
    fn definitions(&self) -> Vec<Value> {
        let within = std::fs::read_dir(self.chart.join("charts"));
        let within = within.into_iter().flatten().flatten().map(|it| it.path());
        let mut folders = within.chain([self.chart.to_owned()]);
        let definition =
            json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition" });
        let has_some = folders.any(|it| it.join("crds").is_dir());
        has_some.then_some(definition).into_iter().collect()
    }

    fn leaves(&self, objects: &[Value], hooks: &[Value]) -> Vec<String> {
        let mut leaves = Vec::new();
        let keys = |all: Vec<&Value>| {
            let keys = all.into_iter().map(|it| object::key(it, self.namespace));
            keys.collect::<Vec<_>>().join(", ")
        };
        if !hooks.is_empty() {
            leaves.push(format!(
                "what its hooks did ({})",
                keys(hooks.iter().collect())
            ));
        }
        if self.chart.join("crds").is_dir() {
            leaves.push("the custom resource definitions of its folder crds".to_owned());
        }
        let is_kept =
            |it: &&Value| it["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep";
        let kept: Vec<&Value> = objects.iter().filter(is_kept).collect();
        if !kept.is_empty() {
            leaves.push(format!("what is to be kept when it goes ({})", keys(kept)));
        }
        leaves
    }
}

fn name(metadata: &Value) -> String {
    let text = |it: &Value| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
    format!("{}-{}", text(&metadata["name"]), text(&metadata["version"]))
}

/// With the marks that helm puts on each.
pub(super) fn marked(mut objects: Vec<Value>, release: &str, namespace: &str) -> Vec<Value> {
    for object in &mut objects {
        let metadata = &mut object["metadata"];
        metadata["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
        let annotations = &mut metadata["annotations"];
        annotations["meta.helm.sh/release-name"] = json!(release);
        annotations["meta.helm.sh/release-namespace"] = json!(namespace);
    }
    objects
}
