//! What helm is told.

use super::apply::Work;
use super::plan::{How, Step, revisions};
use super::program::Program;
use super::record;
use super::values::put;
use crate::settings::Settings;
use belay_driver::{Error, Material};
use belay_model::error::Class;
use belay_model::state::Resource;
use serde_json::{Value, json};
use std::ffi::OsString;

impl Work<'_> {
    /// What helm is told, and the values that it reads.
    pub(super) async fn command(
        &self,
        step: &Step,
        program: &Program,
        there: Option<&Resource>,
    ) -> Result<(Vec<OsString>, Value), Error> {
        let release = &step.release;
        let known = there.map(revisions).unwrap_or_default();
        let mut arguments = Vec::new();
        let mut values = json!({});
        // Who sends whole objects overwrites anyway; on the server it has to be said.
        let is_on_server = |revision: u32| {
            let method = known.iter().find(|it| it.revision == revision);
            program.is_four() && method.is_some_and(|it| it.server_side)
        };
        let (chart, timeout) = match &step.how {
            How::Upgrade { record } => {
                let material = self.cx().material.get(record).ok_or_else(|| {
                    let message = format!(
                        "upgrade {release}: the step came without the record {}",
                        record.short()
                    );
                    Error::not_applied(Class::Unknown, message)
                })?;
                let (directory, chart) = self.chart(material).await?;
                values = chart.1;
                let description = record::mark(
                    self.cx().deployment.as_str(),
                    self.cx().epoch,
                    record.as_str(),
                );
                arguments.extend(words(["upgrade", release]));
                arguments.push(directory.into());
                arguments.extend(words([
                    "--install",
                    "--reset-values",
                    "--values",
                    "-",
                    "--description",
                    &description,
                ]));
                if let Some(most) = chart.0.history_max {
                    arguments.extend(words(["--history-max", &most.to_string()]));
                }
                let newest = known.last().map_or(0, |it| it.revision);
                if step.overwrites && is_on_server(newest) {
                    arguments.extend(words(["--force-conflicts"]));
                }
                (None, chart.0.hook_timeout_ms)
            }
            How::RollBack { revision } => {
                arguments.extend(words(["rollback", release, &revision.to_string()]));
                if step.overwrites && is_on_server(*revision) {
                    arguments.extend(words(["--force-conflicts"]));
                }
                (self.settings.chart.as_ref(), None)
            }
            How::Uninstall => {
                arguments.extend(words(["uninstall", release, "--cascade", "foreground"]));
                (self.settings.chart.as_ref(), None)
            }
            How::PutRight => unreachable!("helm has no part in it"),
        };
        let timeout = timeout.or_else(|| chart?.hook_timeout_ms);
        if let Some(timeout) = timeout {
            arguments.extend(words(["--timeout", &format!("{timeout}ms")]));
        }
        arguments.extend(words(["--namespace", self.home()]));
        if let Some(file) = &self.settings.kubeconfig {
            arguments.push("--kubeconfig".into());
            arguments.push(file.into());
        }
        if let Some(context) = &self.settings.context {
            arguments.extend(words(["--kube-context", context]));
        }
        Ok((arguments, values))
    }

    /// A record's chart, and what it is given, secrets in clear.
    async fn chart(
        &self,
        material: &Material,
    ) -> Result<(std::path::PathBuf, (super::Chart, Value)), Error> {
        let target = &self.base.target.name;
        let unknown = |why: String| Error::not_applied(Class::Application, why);
        let own = material.record.target(target);
        let own =
            own.ok_or_else(|| unknown(format!("find {target} in {}", material.record.title())))?;
        let chart = Settings::of(own)?.chart;
        let chart = chart
            .ok_or_else(|| unknown(format!("find the chart of {}", material.record.title())))?;
        let mut values = chart.values.clone();
        for (path, name) in &chart.secrets {
            let value = material.secrets.get(name);
            let value = value.ok_or_else(|| {
                unknown(format!(
                    "give the chart the secret {name}: nobody knows its value"
                ))
            })?;
            put(&mut values, path, json!(value)).map_err(|error| unknown(error.to_string()))?;
        }
        let artifacts = self
            .artifacts
            .ok_or_else(|| unknown("find charts: this driver was given none".to_owned()))?;
        let directory = artifacts.directory(&material.record.artifact).await?;
        Ok((directory.join("chart"), (chart, values)))
    }
}

fn words<const N: usize>(words: [&str; N]) -> [OsString; N] {
    words.map(OsString::from)
}
