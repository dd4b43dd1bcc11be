//! A step on a release as plain commands for helm and kubectl, which work when Belay is gone.
//!
//! As in the step itself helm applies, without waiting; then what it leaves of fields is taken out, scales are set again, and
//! the workloads are waited for. What is to be taken out is known from what was there when this was written.

use super::chart::Chart;
use super::plan::{How, Step, resource_key, revisions};
use super::record::secret_name;
use super::values::put;
use crate::script::{END, Script, cluster, filled, in_place_of, named, quoted, variable};
use crate::settings::Settings;
use crate::{kinds, object};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use belay_driver::Artifacts;
use belay_model::release::Record;
use belay_model::state::{Resource, State};
use serde_json::json;
use std::path::{Path, PathBuf};

/// A chart to be written out.
pub(crate) struct Written {
    chart: Chart,
    /// By their paths within it.
    files: Vec<(PathBuf, Vec<u8>)>,
}

/// The chart of a record's target; none: it is not there, or cannot be read.
pub(crate) async fn written(
    target: &str,
    record: &Record,
    artifacts: &dyn Artifacts,
) -> Option<Written> {
    let chart = Settings::of(record.target(target)?).ok()?.chart?;
    let directory = artifacts.directory(&record.artifact).await.ok()?;
    let mut files = Vec::new();
    read(&directory.join("chart"), Path::new(""), &mut files).ok()?;
    files.sort();
    Some(Written { chart, files })
}

fn read(from: &Path, at: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let at = at.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => read(&entry.path(), &at, files)?,
            false => files.push((at, std::fs::read(entry.path())?)),
        }
    }
    Ok(())
}

/// None: the chart that the step needs is not given.
pub(crate) fn commands(
    settings: &Settings,
    from: &State,
    step: &Step,
    given: Option<&Written>,
) -> Option<String> {
    let writing = Writing {
        settings,
        from,
        step,
    };
    let mut lines = match &step.how {
        How::Upgrade { .. } => writing.upgrade(given?),
        How::RollBack { revision } => writing.roll_back(*revision, ""),
        // It has the values of Secrets, which nobody else has to give then.
        How::PutRight => writing.roll_back(writing.at()?, " --no-hooks"),
        How::Uninstall => {
            let helm = writing.helm("uninstall");
            return Some(format!(
                "{helm}{} --cascade foreground --wait",
                writing.timeout()
            ));
        }
    };
    writing.what_helm_leaves(&mut lines);
    Some(lines.join("\n"))
}

struct Writing<'a> {
    settings: &'a Settings,
    from: &'a State,
    step: &'a Step,
}

impl Writing<'_> {
    fn there(&self) -> Option<&Resource> {
        self.from.resources.get(&resource_key(&self.step.release))
    }

    /// The revision that is what the release is.
    fn at(&self) -> Option<u32> {
        u32::try_from(self.there()?.facts["at"].as_u64()?).ok()
    }

    fn helm(&self, verb: &str) -> String {
        format!(
            "HELM_DRIVER=secret helm {verb} {}{} --namespace {}",
            quoted(&self.step.release),
            cluster(self.settings, "--kube-context"),
            quoted(&self.settings.namespace)
        )
    }

    /// How long its hooks may take.
    fn timeout(&self) -> String {
        let chart = self.settings.chart.as_ref();
        let timeout = chart.and_then(|chart| chart.hook_timeout_ms);
        timeout.map_or_else(String::new, |timeout| format!(" --timeout {timeout}ms"))
    }

    /// Whether helm 4 made a revision so that it is in conflict with whoever changed something.
    fn is_on_server(&self, revision: Option<u32>) -> bool {
        let known = self.there().map(revisions).unwrap_or_default();
        let mut known = known.iter();
        known.any(|it| Some(it.revision) == revision && it.server_side)
    }

    fn roll_back(&self, revision: u32, option: &str) -> Vec<String> {
        let (mut lines, force) = self.force(self.is_on_server(Some(revision)));
        let (helm, timeout) = (self.helm("rollback"), self.timeout());
        // Its number comes last of what has no name.
        lines.push(format!("{helm} {revision}{option}{force}{timeout}"));
        lines
    }

    /// How others are overwritten: only helm 4 has to be told.
    fn force(&self, is_on_server: bool) -> (Vec<String>, &'static str) {
        if !self.step.overwrites || !is_on_server {
            return (Vec::new(), "");
        }
        let ask = "force=\ncase \"$(helm version --template '{{.Version}}')\" in v4*) force=--force-conflicts ;; esac";
        (vec![ask.to_owned()], " $force")
    }

    fn upgrade(&self, given: &Written) -> Vec<String> {
        let chart = &given.chart;
        let mut lines = Vec::new();
        let mut values = chart.values.clone();
        for (path, name) in &chart.secrets {
            let variable = variable(name);
            lines.push(format!(
                ": \"${{{variable}:?set it to the value of the secret {name}}}\""
            ));
            // What a record has was put there once.
            let _ = put(&mut values, path, json!(in_place_of(&variable)));
        }
        let newest = self.there().map(revisions).unwrap_or_default().pop();
        if let Some(newest) = newest
            .as_ref()
            .filter(|it| it.status.starts_with("pending-"))
        {
            lines.push(format!(
                "# Helm goes on only without the record of a client that is gone.\n{} delete secret {}",
                Script::of(self.settings).kubectl,
                secret_name(&self.step.release, newest.revision)
            ));
        }
        lines.push("chart=$(mktemp -d)\ntrap 'rm -rf \"$chart\"' EXIT".to_owned());
        lines.extend(given.files.iter().map(|(path, bytes)| file(path, bytes)));
        let (ask, force) = self.force(self.is_on_server(newest.map(|it| it.revision)));
        lines.extend(ask);
        let history = chart.history_max;
        let history = history.map(|most| format!(" --history-max {most}"));
        let timeout = chart.hook_timeout_ms;
        let timeout = timeout.map(|timeout| format!(" --timeout {timeout}ms"));
        lines.push(format!(
            "{} \"$chart\" --install --reset-values --values -{force}{}{} <<{END}\n{}\n{END}",
            self.helm("upgrade"),
            history.unwrap_or_default(),
            timeout.unwrap_or_default(),
            filled(&values, "!!binary ")
        ));
        lines.push("rm -rf \"$chart\"".to_owned());
        lines
    }

    fn what_helm_leaves(&self, lines: &mut Vec<String>) {
        let objects = self.step.objects.iter();
        let objects = objects.filter(|(key, _)| !key.starts_with("release/"));
        let mut waits = Vec::new();
        for (key, wanted) in objects {
            let resource = wanted.resource();
            let object = object::made(&resource);
            let script = Script::at(self.settings, &object);
            let there = self.from.resources.get(key);
            if self.step.overwrites {
                lines.extend(there.and_then(|it| script.take_out(&object, &resource, it)));
            }
            let Some(kind) = kinds::of_key(key) else {
                continue;
            };
            let name = named(&object);
            if let Some(count) = there.and_then(scaled).filter(|_| kind.is_scalable()) {
                let says = object["spec"]["replicas"].as_i64();
                if says.is_none_or(|says| says < count) {
                    lines.push(format!(
                        "{} scale {name} --replicas={count}",
                        script.kubectl
                    ));
                }
            }
            if self.step.replace_stuck && kind.keeps_stuck_pods() {
                waits.push(script.replace_stuck(&object, &name));
            }
            waits.push(script.rolled_out(&name));
        }
        lines.extend(waits);
    }
}

/// How many pods somebody has set, apart from all else.
fn scaled(there: &Resource) -> Option<i64> {
    let count = there.facts["desired"].as_i64().filter(|count| *count > 0);
    count.filter(|_| there.facts["scaled"] == true)
}

/// A file of the chart: as it is where a shell can write it so, else in base64.
fn file(path: &Path, bytes: &[u8]) -> String {
    let place = format!("\"$chart\"/{}", quoted(&path.display().to_string()));
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    let directory = parent.map_or_else(String::new, |parent| {
        format!(
            "mkdir -p \"$chart\"/{}\n",
            quoted(&parent.display().to_string())
        )
    });
    let is_plain = |text: &&str| {
        let is_whole = text.is_empty() || text.ends_with('\n');
        is_whole && !text.contains('\0') && text.lines().all(|line| line != END)
    };
    match std::str::from_utf8(bytes).ok().filter(is_plain) {
        Some(text) => format!("{directory}cat >{place} <<'{END}'\n{text}{END}"),
        None => {
            let text = STANDARD.encode(bytes);
            format!("{directory}base64 -d >{place} <<'{END}'\n{text}\n{END}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_as_they_are() {
        let check = |bytes: &[u8], expect: &str| {
            assert_eq!(file(Path::new("templates/a.yaml"), bytes), expect);
        };
        let at = "mkdir -p \"$chart\"/templates\n";
        let to = "\"$chart\"/templates/a.yaml";
        check(
            b"a: $x\n",
            &format!("{at}cat >{to} <<'BELAY'\na: $x\nBELAY"),
        );
        for odd in [&b"a: 1"[..], b"\xff\n", b"a\nBELAY\n"] {
            let text = STANDARD.encode(odd);
            check(
                odd,
                &format!("{at}base64 -d >{to} <<'BELAY'\n{text}\nBELAY"),
            );
        }
    }

    #[test]
    fn values_of_secrets_come_from_variables() {
        let written = Written {
            chart: Chart {
                values: json!({ "db": { "host": "a$b" } }),
                secrets: [("db.password".to_owned(), "DB_PASSWORD".to_owned())].into(),
                ..Chart::default()
            },
            files: Vec::new(),
        };
        let settings = Settings {
            namespace: "shop".to_owned(),
            ..Settings::default()
        };
        let step = Step {
            release: "shop".to_owned(),
            how: How::PutRight,
            objects: Default::default(),
            overwrites: true,
            replace_stuck: false,
        };
        let writing = Writing {
            settings: &settings,
            from: &State::default(),
            step: &step,
        };
        let text = writing.upgrade(&written).join("\n");
        assert!(
            text.contains(": \"${DB_PASSWORD:?set it to the value of the secret DB_PASSWORD}\""),
            "{text}"
        );
        let value =
            "\"password\": !!binary \"$(printf %s \"$DB_PASSWORD\" | base64 | tr -d '\\n')\"";
        assert!(text.contains(value), "{text}");
        assert!(text.contains("\"host\": \"a\\$b\""), "{text}");
    }
}
