//! A workload that Belay may never have deployed: as it runs, and as each of the platform's own versions would have it, ready to
//! be a release. Only looks.

pub(crate) mod available;
mod given;

pub use given::{Given, Was};

use crate::cluster::List;
use crate::history::{self, CAUSE, Versions};
use crate::kinds::Kind;
use crate::kubernetes::{Kubernetes, in_time};
use crate::mark;
use crate::settings::Settings;
use crate::{defaults, helm, object, workload};
use belay_driver::{Context, Error, Revision};
use belay_model::error::Class;
use serde_json::{Value, json};

/// A workload, its versions, and who has it.
#[derive(Clone, Debug)]
pub struct Past {
    /// As somebody meant it, without what the server wrote: what `kubectl apply` takes.
    pub object: Value,
    /// The platform's own versions, newest first.
    pub versions: Vec<Version>,
    /// Marks of Belay on it, of whichever store.
    pub marks: Vec<Marked>,
    /// The platform rolls out nothing of it for now.
    pub is_paused: bool,
}

/// One of the platform's own versions.
#[derive(Clone, Debug)]
pub struct Version {
    /// What is known of it.
    pub revision: Revision,
    /// The workload with the pods of that version, and all else as it is now.
    pub object: Value,
}

/// What is not a workload's own and matters to it.
#[derive(Clone, Debug)]
pub struct Beside {
    /// Services that select its pods, without what the server wrote.
    pub services: Vec<Value>,
    /// Autoscalers of it, by their keys.
    pub autoscalers: Vec<String>,
}

/// A target of Belay that an object was made for, or taken into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// Its name: `shop/production`.
    pub target: String,
    /// The store that has it.
    pub store: String,
    /// It is the store of this driver.
    pub is_ours: bool,
    /// The Lease that says so.
    pub lease: String,
}

impl Kubernetes {
    /// The only workload of these settings; none: it is not there.
    ///
    /// # Errors
    /// By class: who we are, what we may, whether the server answers, and in time.
    pub async fn past(&self, cx: &Context, settings: &Settings) -> Result<Option<Past>, Error> {
        in_time(cx, async {
            let cluster = self.clusters.connect(settings).await?;
            let home = &settings.namespace;
            let Some(workload) = settings.workloads()?.into_iter().next() else {
                return Ok(None);
            };
            let Some(found) = history::versions(&cluster, home, &workload).await? else {
                return Ok(None);
            };
            let marks = mark::all_on(&cluster, home, &found.object, &self.store).await?;
            Ok(Some(self.told(workload.kind, found, marks)))
        })
        .await
    }

    fn told(&self, kind: &dyn Kind, found: Versions, marks: Vec<Marked>) -> Past {
        let Versions { object, all } = found;
        let is_paused = object["spec"]["paused"] == true;
        let meant = object::made(&object::live(&object, &self.digests, true));
        let versions = all.into_iter().map(|(revision, it)| {
            let object = with_pods_of(&meant, kind, &it, &revision);
            Version { revision, object }
        });
        Past {
            versions: versions.collect(),
            object: meant,
            marks,
            is_paused,
        }
    }

    /// What pods of a template are given, and whether it is as it was at a time (Unix microseconds).
    ///
    /// # Errors
    /// As above.
    pub async fn given(
        &self,
        cx: &Context,
        settings: &Settings,
        template: &Value,
        since_us: Option<i64>,
    ) -> Result<Vec<Given>, Error> {
        in_time(cx, async {
            let cluster = self.clusters.connect(settings).await?;
            given::given(&cluster, &settings.namespace, template, since_us).await
        })
        .await
    }

    /// What sends traffic to a workload, as somebody meant it, and what scales it.
    ///
    /// # Errors
    /// As above.
    pub async fn beside(
        &self,
        cx: &Context,
        settings: &Settings,
        object: &Value,
    ) -> Result<Beside, Error> {
        in_time(cx, async {
            let cluster = self.clusters.connect(settings).await?;
            let home = &settings.namespace;
            let (services, _) = cluster.list(List::of("v1", "Service", home)).await?;
            let own = services
                .iter()
                .filter(|it| workload::is_served_by(it, object));
            let meant = own.map(|it| object::made(&object::live(it, &self.digests, true)));
            let services = meant.collect();
            let kind = "HorizontalPodAutoscaler";
            let scalers = match cluster.list(List::of("autoscaling/v2", kind, home)).await {
                Ok((scalers, _)) => scalers,
                Err(error) if error.class == Class::Authorisation => Vec::new(),
                Err(error) => return Err(error),
            };
            let own = scalers
                .iter()
                .filter(|it| workload::is_scaled_by(it, object));
            let autoscalers = own.map(|it| object::key(it, home)).collect();
            Ok(Beside {
                services,
                autoscalers,
            })
        })
        .await
    }

    /// The revisions that helm keeps of the release of these settings, newest first.
    ///
    /// # Errors
    /// As above.
    pub async fn release_history(
        &self,
        cx: &Context,
        settings: &Settings,
    ) -> Result<Vec<Revision>, Error> {
        let Some(release) = &settings.helm else {
            return Ok(Vec::new());
        };
        in_time(cx, async {
            let cluster = self.clusters.connect(settings).await?;
            helm::history(&self.look(&cluster, settings), release, &self.contents).await
        })
        .await
    }
}

/// The workload as it is, but for its pods and why it is so.
fn with_pods_of(meant: &Value, kind: &dyn Kind, version: &Value, revision: &Revision) -> Value {
    let mut object = meant.clone();
    let mut template = kind.template(version).clone();
    // What the platform writes into its versions: the label that tells them apart, and how to patch.
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(kind.label());
    }
    if let Some(fields) = template.as_object_mut() {
        fields.remove("$patch");
    }
    if let Some(metadata) = template["metadata"].as_object_mut() {
        metadata.remove("creationTimestamp");
    }
    defaults::strip(&mut template);
    object["spec"]["template"] = template;
    // It is asked for so that it is rolled out.
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.remove("paused");
    }
    let annotations = object["metadata"]["annotations"].as_object_mut();
    if let Some(annotations) = annotations {
        annotations.remove(CAUSE);
    }
    if let Some(cause) = &revision.cause {
        object["metadata"]["annotations"][CAUSE] = json!(cause);
    }
    object
}

/// Whether two workloads have the same pods, whatever the server fills in.
pub fn has_same_pods(one: &Value, other: &Value) -> bool {
    let template = |object: &Value| {
        let mut template = object["spec"]["template"].clone();
        defaults::strip(&mut template);
        crate::compare::flatten(&template)
    };
    template(one) == template(other)
}
