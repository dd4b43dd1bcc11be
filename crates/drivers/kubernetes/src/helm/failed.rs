//! Why helm failed: what it said, what it wrote down, and what the platform knows of its hooks.

use super::apply::Work;
use super::plan::{How, Step};
use super::process::Ended;
use super::record;
use crate::cluster::{List, Name};
use crate::evidence;
use belay_driver::Error;
use belay_model::error::Class;
use serde_json::Value;

impl Work<'_> {
    /// The error of a step whose helm has failed; `revision`: the one that it made.
    pub(super) async fn failed(
        &self,
        step: &Step,
        ended: Option<&Ended>,
        revision: Option<u32>,
    ) -> Error {
        let said = ended.map(|it| it.said.clone()).filter(|it| !it.is_empty());
        let mut detail = Vec::new();
        let mut noted = None;
        if let Some(revision) = revision {
            let (cluster, home) = (&self.base.writer.cluster, self.home());
            let found = record::record(cluster, home, &step.release, revision).await;
            if let Ok(Some(found)) = found {
                noted = Some(found.info.description.clone());
                let began = found
                    .info
                    .last_deployed
                    .as_str()
                    .and_then(|it| it.parse().ok());
                for hook in &found.hooks {
                    detail.extend(self.of_hook(hook, began).await);
                }
            }
        }
        let verb = match &step.how {
            How::Upgrade { .. } | How::PutRight => "upgrade",
            How::RollBack { .. } => "roll back",
            How::Uninstall => "uninstall",
        };
        let why = said.clone().or_else(|| noted.clone());
        let why = why.unwrap_or_else(|| "helm ended without a word".to_owned());
        let first = first_line(&why).to_owned();
        detail.extend(why.lines().skip(1).map(str::to_owned));
        detail.extend(noted.filter(|it| *it != why));
        let class = class(&why);
        Error::maybe_applied(class, format!("{verb} {}: {first}", step.release)).with_detail(detail)
    }

    /// What is known of a hook that has run since: the events of its Job, and the last words of its pods.
    async fn of_hook(
        &self,
        hook: &Value,
        since: Option<k8s_openapi::jiff::Timestamp>,
    ) -> Vec<String> {
        let name = hook["name"].as_str().unwrap_or_default();
        if hook["kind"] != "Job" {
            return Vec::new();
        }
        let (cluster, home) = (&self.base.writer.cluster, self.home());
        let job = Name {
            api_version: "batch/v1",
            kind: "Job",
            namespace: home,
            name,
        };
        let Ok(Some(live)) = cluster.get(job).await else {
            return Vec::new();
        };
        let made = live["metadata"]["creationTimestamp"].as_str();
        let made = made.and_then(|it| it.parse::<k8s_openapi::jiff::Timestamp>().ok());
        // The server counts in seconds.
        let is_older = made
            .zip(since)
            .is_some_and(|(made, since)| made.as_second() < since.as_second());
        let is_complete = live["status"]["succeeded"].as_i64().unwrap_or(0) > 0;
        if is_older || is_complete {
            return Vec::new();
        }
        let labels = format!("job-name={name}");
        let pods = List {
            labels: &labels,
            ..List::of("v1", "Pod", home)
        };
        let pods = cluster
            .list(pods)
            .await
            .map(|(pods, _)| pods)
            .unwrap_or_default();
        let mut lines = vec![format!("hook {name}: {}", conditions(&live))];
        lines.extend(evidence::gather(cluster, job, &pods).await);
        lines
    }
}

fn conditions(job: &Value) -> String {
    let all = job["status"]["conditions"].as_array().into_iter().flatten();
    let said: Vec<String> = all
        .filter(|it| it["status"] == "True")
        .map(|it| {
            let text = |name: &str| it[name].as_str().unwrap_or_default();
            format!("{} {} ({})", text("type"), text("reason"), text("message"))
        })
        .collect();
    match said.is_empty() {
        true => "not over".to_owned(),
        false => said.join(", "),
    }
}

/// Warnings come before what went wrong.
fn first_line(said: &str) -> &str {
    let mut lines = said.lines().filter(|it| !it.trim().is_empty());
    let error = said.lines().find(|it| it.starts_with("Error: "));
    let line = error.or_else(|| lines.next()).unwrap_or_default();
    line.strip_prefix("Error: ").unwrap_or(line)
}

fn class(said: &str) -> Class {
    let lower = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|it| lower.contains(it));
    if has(&[
        "connection refused",
        "unreachable",
        "no such host",
        "i/o timeout",
        "tls handshake",
    ]) {
        Class::Connectivity
    } else if has(&["unauthorized", "must be logged in"]) {
        Class::Authentication
    } else if has(&["exceeded quota"]) {
        Class::Quota
    } else if has(&["is forbidden", "cannot be handled as"]) {
        Class::Authorisation
    } else if has(&[
        "conflict with",
        "another operation",
        "already exists",
        "cannot be imported",
    ]) {
        Class::Conflict
    } else if has(&["timed out waiting", "context deadline exceeded"]) {
        Class::Timeout
    } else {
        Class::Application
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helms_words_have_a_class() {
        let check = |said: &str, expect: Class| assert_eq!(class(said), expect, "{said}");
        check(
            "Error: UPGRADE FAILED: pre-upgrade hooks failed: job failed: BackoffLimitExceeded",
            Class::Application,
        );
        check(
            "secrets is forbidden: User \"x\" cannot list",
            Class::Authorisation,
        );
        check(
            "Apply failed with 1 conflict: conflict with \"kubectl-set\"",
            Class::Conflict,
        );
        check(
            "Kubernetes cluster unreachable: dial tcp: connection refused",
            Class::Connectivity,
        );
        check("pods \"a\" is forbidden: exceeded quota: few", Class::Quota);
    }

    #[test]
    fn what_went_wrong_is_told_before_warnings() {
        let said = "W1 warnings\nError: UPGRADE FAILED: why\nmore";
        assert_eq!(first_line(said), "UPGRADE FAILED: why");
        assert_eq!(first_line("\nbare"), "bare");
    }
}
