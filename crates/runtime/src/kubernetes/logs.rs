//! Where pods' output is: on the platform, which shows it itself.

use super::groups::GROUP;
use crate::{Belay, Error};
use belay_driver_kubernetes::{Layout, Settings};
use belay_model::id::Scope;
use serde::Deserialize;

impl Belay {
    /// The commands that show what the instances of a scope write, where it is not here but on its platform; none: it is here.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn log_commands(&self, scope: &Scope) -> Result<Vec<String>, Error> {
        let view = self.view(scope).await?;
        let newest = || view.records.values().max_by_key(|known| known.since_us);
        let Some(known) = view.serving().or_else(newest) else {
            return Ok(Vec::new());
        };
        let targets = known.record.targets.iter();
        let targets = targets.filter(|target| target.driver == "kubernetes");
        let settings = targets.filter_map(|target| Settings::deserialize(&target.settings).ok());
        let group = known.record.group();
        Ok(settings.flat_map(|it| commands(&it, &group)).collect())
    }
}

fn commands(settings: &Settings, group: &str) -> Vec<String> {
    let file = settings.kubeconfig.as_ref();
    let file = file.map(|file| format!(" --kubeconfig {}", file.display()));
    let context = settings.context.as_ref();
    let context = context.map(|context| format!(" --context {context}"));
    let (file, context) = (file.unwrap_or_default(), context.unwrap_or_default());
    let namespace = &settings.namespace;
    if settings.layout == Layout::SideBySide {
        let prefix = "--all-containers --prefix";
        let command =
            format!("kubectl{file}{context} -n {namespace} logs -l {GROUP}={group} {prefix}");
        return vec![command];
    }
    let command = |workload: &String| {
        format!("kubectl{file}{context} -n {namespace} logs {workload} --all-pods --all-containers")
    };
    settings.workloads.iter().map(command).collect()
}
