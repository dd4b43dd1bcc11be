//! A chart, what it is made into, and releases of it there and back.

use crate::place::{KEY, Place, context, place, said};
use crate::way::{FORWARD, in_time};
use async_trait::async_trait;
use belay_driver::{Applied, Artifacts, Context, Driver, Error, Material, Settled, Stage};
use belay_driver_kubernetes::helm::{Chart, Program, Rendering, put};
use belay_driver_kubernetes::permissions::{Asked, Purpose};
use belay_driver_kubernetes::{Kubernetes, Settings};
use belay_model::id::{ArtifactDigest, RecordHash};
use belay_model::plan::Effect;
use belay_model::release::{Record, SecretUse, Target};
use belay_model::state::{Goal, State, States};
use belay_testbed::Helm;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// The value of the secret that the chart is given.
pub(crate) const TOKEN: &str = "s3cret-token";

const CHART: [(&str, &str); 2] = [
    (
        "Chart.yaml",
        "{apiVersion: v2, name: shop, version: 1.2.3, appVersion: '7'}",
    ),
    (
        "templates/all.yaml",
        "
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
      - name: app
        image: {{ .Values.image }}
        ports: [{containerPort: 8080}]
        {{- with .Values.env }}
        env: {{ toJson . }}
        {{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {GREETING: {{ .Values.greeting | default \"hello\" }}}
---
apiVersion: v1
kind: Secret
metadata: {name: shop}
stringData:
  token: {{ .Values.token }}
  {{- if .Values.random }}
  made: {{ randAlphaNum 20 }}
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: '{{ .Release.Namespace }}'}
rules: []
{{- with .Values.migrate }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations: {helm.sh/hook: 'pre-install,pre-upgrade', helm.sh/hook-delete-policy: before-hook-creation}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: '{{ . }}'}]
{{- end }}
",
    ),
];

/// Artifacts as they lie in a folder.
pub(crate) struct Folder(PathBuf);

#[async_trait]
impl Artifacts for Folder {
    async fn directory(&self, _: &ArtifactDigest) -> Result<PathBuf, Error> {
        Ok(self.0.clone())
    }
}

pub(crate) struct Shop {
    pub(crate) place: Place,
    pub(crate) version: Helm,
    pub(crate) driver: Arc<Kubernetes>,
    /// With the chart, and the kubeconfig.
    pub(crate) dir: tempfile::TempDir,
    /// Only looked at: it has no chart.
    pub(crate) target: Target,
    /// How many revisions helm keeps.
    pub(crate) history_max: Option<u32>,
    pub(crate) abandoned_after_ms: Option<u64>,
}

pub(crate) fn shop(version: Helm) -> Shop {
    let place = place();
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in CHART {
        let path = dir.path().join("chart").join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a directory");
        std::fs::write(path, text).expect("written");
    }
    std::fs::copy(place.account.kubeconfig(), dir.path().join("kubeconfig")).expect("copied");
    let driver = driver(&place, version, dir.path());
    let target = place.release("shop");
    place
        .account
        .may(&chart(), Purpose::Deploy(Asked::default()));
    Shop {
        place,
        version,
        driver: Arc::new(driver),
        dir,
        target,
        history_max: None,
        abandoned_after_ms: None,
    }
}

/// What the chart has, as belay.yaml tells it: the release may be there before Belay is.
fn chart() -> Settings {
    let object =
        |(api_version, kind): &(&str, &str)| json!({ "apiVersion": api_version, "kind": kind });
    let kinds = [
        ("apps/v1", "Deployment"),
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ];
    Settings {
        helm: Some("shop".to_owned()),
        objects: kinds.iter().map(object).collect(),
        chart: Some(Chart {
            hooks: vec![("batch/v1".to_owned(), "Job".to_owned())],
            ..Chart::default()
        }),
        ..Settings::default()
    }
}

fn driver(place: &Place, version: Helm, dir: &Path) -> Kubernetes {
    let program = version.program().expect("helm");
    let driver = place.another_driver().with_helm(program);
    driver.with_artifacts(Arc::new(Folder(dir.to_owned())))
}

impl Shop {
    pub(crate) fn helm(&self, arguments: &[&str]) -> Command {
        let mut helm = self.place.plane.helm(self.version).expect("helm");
        helm.args(["--namespace", &self.place.namespace])
            .args(arguments);
        helm
    }

    /// As somebody does it by hand.
    pub(crate) fn upgrade(&self, values: &[&str], more: &[&str]) -> Command {
        let mut helm = self.helm(&["upgrade", "--install", "shop"]);
        helm.arg(self.dir.path().join("chart")).args(more);
        for value in values.iter().chain(&["token=s3cret-token"]) {
            helm.args(["--set", value]);
        }
        helm
    }

    /// What runs the driver is gone, and another one is there.
    pub(crate) fn another_driver(&self) -> Kubernetes {
        driver(&self.place, self.version, self.dir.path())
    }

    fn settings(&self) -> Settings {
        Settings {
            kubeconfig: Some(self.dir.path().join("kubeconfig")),
            helm: Some("shop".to_owned()),
            abandoned_after_ms: self.abandoned_after_ms,
            ..Settings::default()
        }
    }

    /// A record with these values, as it is made for a deployment.
    pub(crate) async fn record(&self, values: Value) -> Record {
        let mut target = self.place.target_with(self.settings());
        let mut settings: Settings =
            serde_json::from_value(target.settings.clone()).expect("settings");
        let api = self.place.driver.api(&settings).await.expect("an API");
        let program = Program::find(Some(&self.version.program().expect("helm"))).await;
        let mut all = values.clone();
        put(&mut all, "token", json!(TOKEN)).expect("put");
        let rendering = Rendering {
            program: &program.expect("helm"),
            chart: &self.dir.path().join("chart"),
            release: "shop",
            namespace: &self.place.namespace,
            values: &all,
            is_upgrade: api.has_release,
            kube_version: &api.version,
            api_versions: &api.kinds,
        };
        let rendered = rendering.render().await.expect("rendered");
        settings.objects = rendered.objects;
        for object in settings
            .objects
            .iter_mut()
            .filter(|it| it["kind"] == "Secret")
        {
            let plain = object["stringData"].take();
            for (name, value) in plain.as_object().into_iter().flatten() {
                let digest = belay_driver_kubernetes::digest(
                    &KEY,
                    value.as_str().unwrap_or_default().as_bytes(),
                );
                object["data"][name] = json!(digest);
            }
            object
                .as_object_mut()
                .expect("an object")
                .remove("stringData");
        }
        settings.chart = Some(Chart {
            name: rendered.name,
            app_version: rendered.app_version,
            digests: Chart::digests_of(&KEY, &all),
            values,
            secrets: BTreeMap::from([("token".to_owned(), "TOKEN".to_owned())]),
            random: rendered.random,
            leaves: rendered.leaves,
            hooks: Chart::kinds_of(&rendered.hooks),
            history_max: self.history_max,
            hook_timeout_ms: None,
            is_kept: false,
        });
        target.settings = json!(settings);
        let used = SecretUse {
            source: "env:TOKEN".to_owned(),
            digest: belay_driver_kubernetes::digest(&KEY, TOKEN.as_bytes()),
        };
        Record {
            secrets: BTreeMap::from([("TOKEN".to_owned(), used)]),
            ..crate::place::record(&target)
        }
    }

    /// The target as a record of ours has it, with its chart.
    pub(crate) fn goal(&self, record: &Record) -> Goal {
        let target = &record.targets[0];
        Goal {
            want: States::one(&target.name, self.driver.desired(record, target)),
            records: BTreeMap::from([(record.hash(), record.clone())]),
            title: record.title(),
            record: Some(record.hash()),
        }
    }

    /// Back to what was there.
    pub(crate) fn as_before(&self, want: State, records: &[&Record]) -> Goal {
        let known = records.iter().map(|it| (it.hash(), (*it).clone()));
        Goal {
            want: States::one(&self.target.name, want),
            records: known.collect(),
            title: "what was there before".to_owned(),
            record: None,
        }
    }

    pub(crate) async fn observe(&self) -> State {
        let observed = self.driver.observe(&context(), &self.target).await;
        observed.expect("observed")
    }

    pub(crate) async fn planned(&self, goal: &Goal, stage: Stage) -> Vec<Effect> {
        let from = self.observe().await;
        self.driver
            .plan(&self.target, &from, goal, stage)
            .expect("planned")
    }

    /// All of it; the titles of the steps, or how one of them failed.
    pub(crate) async fn go(&self, goal: &Goal, stage: Stage) -> Result<Vec<String>, Error> {
        let mut titles = Vec::new();
        for effect in self.planned(goal, stage).await {
            let seen = self.observe().await;
            perform(&self.driver, &self.target, &effect, &seen, goal).await?;
            titles.push(effect.title.clone());
        }
        Ok(titles)
    }

    /// Forward to a release that works; what is there then.
    pub(crate) async fn deploy(&self, record: &Record) -> State {
        self.go(&self.goal(record), FORWARD)
            .await
            .expect("deployed");
        let there = self.observe().await;
        assert_eq!(
            self.place
                .differences(self.goal(record).want.of(&self.target.name), &there),
            ""
        );
        there
    }

    /// Back to what was there, whatever is now; how.
    pub(crate) async fn back(&self, want: &State, records: &[&Record]) -> Vec<String> {
        let goal = self.as_before(want.clone(), records);
        let titles = self.go(&goal, Stage::BACK).await.expect("gone back");
        assert_eq!(self.place.differences(want, &self.observe().await), "");
        titles
    }

    pub(crate) async fn at(&self, revision: u32) -> State {
        let state = self
            .driver
            .at_revision(&context(), &self.target, revision)
            .await;
        state.expect("read").expect("known")
    }

    pub(crate) async fn differences(&self, revision: u32, have: &State) -> String {
        self.place.differences(&self.at(revision).await, have)
    }

    /// The newest revision, and its status.
    pub(crate) async fn newest(&self) -> (u64, String) {
        let now = self.observe().await;
        let release = &now.resources["release/shop"];
        let status = release.spec["status"].as_str().unwrap_or_default();
        (
            release.facts["revision"].as_u64().unwrap_or(0),
            status.to_owned(),
        )
    }

    /// What helm has been told, and how much of it remains.
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        said(&mut self.helm(arguments), "")
    }
}

pub(crate) async fn perform(
    driver: &Kubernetes,
    target: &Target,
    effect: &Effect,
    seen: &State,
    goal: &Goal,
) -> Result<Settled, Error> {
    let cx = equipped(goal);
    match in_time(driver.apply(&cx, target, effect, seen)).await? {
        Applied::Done { .. } => Ok(Settled::Done),
        Applied::Accepted { handle } => {
            in_time(driver.settle(&cx, target, effect, Some(&handle))).await
        }
    }
}

/// With the secrets of its records.
pub(crate) fn equipped(goal: &Goal) -> Context {
    let material = |(hash, record): (&RecordHash, &Record)| {
        let secrets = BTreeMap::from([("TOKEN".to_owned(), TOKEN.to_owned())]);
        let record = record.clone();
        (hash.clone(), Material { record, secrets })
    };
    Context {
        deployment: belay_model::id::DeploymentId::new("dep_helm"),
        material: Arc::new(goal.records.iter().map(material).collect()),
        ..context()
    }
}
