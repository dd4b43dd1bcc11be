//! Charts from where they lie to an artifact: the chart in a folder `chart`, and the release's own values beside it, so that the
//! same release goes from one environment to the next.

use super::Error;
use crate::Belay;
use crate::artifacts::chain;
use belay_driver_kubernetes::helm::{Program, put};
use belay_driver_kubernetes::parse_manifest;
use belay_driver_kubernetes::render::Images;
use belay_model::config::{ReleaseKind, ReleaseSource, ValueSource};
use belay_model::id::ArtifactDigest;
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Where the chart lies in the artifact.
pub(super) const CHART: &str = "chart";
/// Values that belong to the release.
const VALUES: &str = "values.json";
/// Larger ones are no values (bytes).
const LARGEST: u64 = 4 << 20;

impl Belay {
    /// Takes in a chart with the release's values and these images, later ones over earlier ones. `base`: what paths in the
    /// configuration are relative to.
    pub(crate) async fn add_chart(
        &self,
        release: &ReleaseSource,
        base: &Path,
        images: &[&Images],
    ) -> Result<ArtifactDigest, crate::Error> {
        let failed = |why: String| unreadable(release, why);
        let dir = tempfile::tempdir_in(self.dir()).map_err(|error| failed(error.to_string()))?;
        let values = gather(release, base, images, dir.path()).await?;
        std::fs::write(dir.path().join(VALUES), values.to_string())
            .map_err(|error| failed(error.to_string()))?;
        let added = self.artifacts().add(dir.path()).await;
        added.map_err(|error| failed(chain(&error)))
    }

    /// Where the chart of such an artifact lies, and the values of the release.
    pub(super) async fn chart(
        &self,
        artifact: &ArtifactDigest,
    ) -> Result<(PathBuf, Value), crate::Error> {
        let directory = self.artifacts().directory(artifact).await;
        let directory = directory.map_err(|error| crate::Error::Artifact {
            path: PathBuf::from(artifact.as_str()),
            why: chain(&error),
        })?;
        let values = std::fs::read_to_string(directory.join(VALUES)).ok();
        let values = values.and_then(|text| serde_json::from_str(&text).ok());
        let chart = directory.join(CHART);
        match values {
            Some(values) if chart.is_dir() => Ok((chart, values)),
            _ => Err(Error::NoChart.into()),
        }
    }
}

fn unreadable(release: &ReleaseSource, why: String) -> crate::Error {
    let path = PathBuf::from(release.chart.as_deref().unwrap_or_default());
    crate::Error::Artifact { path, why }
}

/// Puts a chart into a folder, as [`CHART`]; answers the release's values.
pub(super) async fn gather(
    release: &ReleaseSource,
    base: &Path,
    images: &[&Images],
    dir: &Path,
) -> Result<Value, crate::Error> {
    let chart = dir.join(CHART);
    match release.kind() {
        Ok(ReleaseKind::Chart(path)) => copy(&base.join(path), &chart)
            .map_err(|error| unreadable(release, error.to_string()))?,
        Ok(ReleaseKind::RemoteChart(name, version)) => pull(name, version, dir, &chart).await?,
        _ => unreachable!("it is no chart"),
    }
    let mut values = json!({});
    for file in &release.values {
        merge(&mut values, read(&base.join(file))?);
    }
    for (path, source) in &release.values_from {
        let ValueSource::Image(name, part) = source else {
            continue;
        };
        let found = images.iter().rev().find_map(|it| match name {
            None => it.only.as_ref(),
            Some(name) => it.named.get(name),
        });
        // The one that the chart has by itself.
        let Some(image) = found else { continue };
        put_at(&mut values, path, json!(part.of(image)))?;
    }
    for given in images {
        fits(release, given)?;
    }
    Ok(values)
}

/// What is given on the command line has to reach the chart.
fn fits(release: &ReleaseSource, given: &Images) -> Result<(), Error> {
    let sources = || release.values_from.values();
    let lost = |what: &str, source: &str| Error::Values {
        what: format!("give the chart {what}: nothing in `values_from` takes it"),
        next: format!("write `release: {{ values_from: {{ PATH: {source} }} }}`"),
    };
    let has_only = sources().any(|it| matches!(it, ValueSource::Image(None, _)));
    if given.only.is_some() && !has_only {
        return Err(lost("the image", "image"));
    }
    for name in given.named.keys() {
        if !sources().any(|it| matches!(it, ValueSource::Image(Some(of), _) if of == name)) {
            return Err(lost(
                &format!("the image `{name}`"),
                &format!("images.{name}"),
            ));
        }
    }
    Ok(())
}

/// Values as a file has them.
pub(super) fn read(file: &Path) -> Result<Value, Error> {
    let wrong = |why: String| Error::Values {
        what: format!("read the values in {}: {why}", file.display()),
        next: "correct `values:`, or the file".to_owned(),
    };
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|it| it.take(LARGEST + 1).read_to_string(&mut text))
        .map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > LARGEST {
        return Err(wrong("it is larger than 4 MiB".to_owned()));
    }
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(json!({}));
    }
    let mut parsed = parse_manifest(&text).map_err(|error| wrong(error.message))?;
    match (parsed.pop(), parsed.is_empty()) {
        (Some(values @ Value::Object(_)), true) => Ok(values),
        _ => Err(wrong("it is no mapping".to_owned())),
    }
}

/// Lays values over others, as helm does with several files: mappings are merged, all else is replaced.
pub(super) fn merge(values: &mut Value, more: Value) {
    match (values, more) {
        (Value::Object(values), Value::Object(more)) => {
            for (name, value) in more {
                merge(values.entry(name).or_insert(Value::Null), value);
            }
        }
        (values, more) => *values = more,
    }
}

pub(super) fn put_at(values: &mut Value, path: &str, value: Value) -> Result<(), Error> {
    put(values, path, value).map_err(|error| Error::Values {
        what: error.to_string(),
        next: "correct the path in `values_from`, or what lies there in the values".to_owned(),
    })
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        // What a link leads to is part of the chart, as helm reads it.
        match std::fs::metadata(&source)?.is_dir() {
            true => copy(&source, &target)?,
            false => std::fs::copy(&source, &target).map(|_| ())?,
        }
    }
    Ok(())
}

/// Fetches a chart: what comes is named by its files, so that a version that is made anew is another release.
async fn pull(name: &str, version: &str, dir: &Path, to: &Path) -> Result<(), Error> {
    let program = Program::find(None).await?;
    let what = format!("fetch the chart {name} {version}");
    let failed = |why: &str| {
        Error::Chart {
        what: format!("{what}: {why}"),
        next: "see what `helm pull` says of it; a registry may want `helm registry login`, a repository `helm repo add`".to_owned(),
    }
    };
    let into = dir.join("pulled");
    let mut command = Command::new(program.path());
    command
        .args(["pull", name, "--version", version, "--untar", "--untardir"])
        .arg(&into)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command
        .output()
        .await
        .map_err(|error| failed(&error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim()));
    }
    let entries = std::fs::read_dir(&into).map_err(|error| failed(&error.to_string()))?;
    let folders: Vec<PathBuf> = entries
        .flatten()
        .map(|it| it.path())
        // For a place of its own helm makes an empty one, too, that is called like the file.
        .filter(|it| it.join("Chart.yaml").is_file())
        .collect();
    let [folder] = folders.as_slice() else {
        return Err(failed("there is no chart in it"));
    };
    // A place of its own (https://...) has one version, whatever is asked for.
    let is_place = name.contains("://") && !name.starts_with("oci://");
    let found = read(&folder.join("Chart.yaml"))?["version"].clone();
    if is_place && found != version {
        return Err(failed(&format!("its version is {}", plain(&found))));
    }
    std::fs::rename(folder, to)
        .and_then(|()| std::fs::remove_dir_all(&into))
        .map_err(|error| failed(&error.to_string()))
}

fn plain(value: &Value) -> String {
    let text = value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_laid_over_others() {
        let mut values = json!({ "image": { "name": "api", "tag": "1" }, "list": [1, 2] });
        merge(
            &mut values,
            json!({ "image": { "tag": "2" }, "list": [3], "more": { "a": 1 } }),
        );
        let expect =
            json!({ "image": { "name": "api", "tag": "2" }, "list": [3], "more": { "a": 1 } });
        assert_eq!(values, expect);
    }
}
