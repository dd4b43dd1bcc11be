//! A Helm release as a target, and where the values of its chart come from.

use std::{borrow::Cow, collections::BTreeMap, fmt, path::PathBuf, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Duration;
use super::text::from_text;

/// A Helm release in a namespace of a Kubernetes cluster, moved by the `helm` (3.12 or newer, or 4) on the `PATH` of the machine that
/// works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HelmTarget {
    /// The context of the kubeconfig, by name. Default: none, which is possible only within a cluster: the current context is
    /// never taken, as it may be another one tomorrow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The namespace, which has to be there.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    pub namespace: String,
    /// The kubeconfig; a relative path is relative to `belay.yaml`. Only this machine works on the target then. Default: the one
    /// file that `KUBECONFIG` names, else `~/.kube/config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// The release's name, as `helm list` has it: at most 53 characters. Default: the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$"))]
    pub release: Option<String>,
    /// Files of values for this environment, laid over the release's own, later ones over earlier ones; a relative path is relative
    /// to `belay.yaml`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<PathBuf>,
    /// Values for this environment, laid over the files. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, serde_json::Value>,
    /// How many revisions helm keeps, at least 2. Default: helm's own (10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub history_max: Option<u32>,
    /// How long one hook may take. Default: helm's own (`5m`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_timeout: Option<Duration>,
    /// How long a client that is not Belay's may be at work on the release before it counts as gone. Default: `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned_after: Option<Duration>,
    /// What is done about those that move the same release by themselves, as a repository says (Argo CD, Flux). Default: a release is
    /// refused where one of them would undo it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitops: Option<super::Gitops>,
}

/// Where a value of a chart comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// The release's image, or that of a name among `images`: all of it, or a part.
    Image(Option<String>, ImagePart),
    /// All settings, as a mapping.
    Config,
    /// One setting.
    Setting(String),
    /// One secret.
    Secret(String),
}

/// What of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImagePart {
    /// `registry/name:tag`.
    Whole,
    /// What stands before the tag or the digest.
    Repository,
    /// What stands behind it: `1.2.3`, or `sha256:...`.
    Tag,
}

/// A text is no [`ValueSource`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a value comes from `image`, `image.repository`, `image.tag`, `images.NAME` (with the same endings), `config`, `config.NAME` or \
     `secrets.NAME`"
)]
pub struct ParseValueSourceError;

impl ImagePart {
    /// That part of an image.
    pub fn of(self, image: &str) -> &str {
        let name_at = image.rfind('/').map_or(0, |at| at + 1);
        let split = image
            .find('@')
            .or_else(|| image[name_at..].find(':').map(|at| name_at + at));
        match (self, split) {
            (Self::Whole, _) | (Self::Repository, None) => image,
            (Self::Repository, Some(at)) => &image[..at],
            (Self::Tag, Some(at)) => &image[at + 1..],
            (Self::Tag, None) => "latest",
        }
    }
}

impl FromStr for ValueSource {
    type Err = ParseValueSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (base, part) = match text.rsplit_once('.') {
            Some((base, "repository")) => (base, ImagePart::Repository),
            Some((base, "tag")) => (base, ImagePart::Tag),
            _ => (text, ImagePart::Whole),
        };
        match (base.split_once('.'), text.split_once('.')) {
            (None, _) if base == "image" => Ok(Self::Image(None, part)),
            (Some(("images", name)), _) if !name.is_empty() => {
                Ok(Self::Image(Some(name.to_owned()), part))
            }
            (_, None) if text == "config" => Ok(Self::Config),
            (_, Some(("config", name))) if !name.is_empty() => Ok(Self::Setting(name.to_owned())),
            (_, Some(("secrets", name))) if !name.is_empty() => Ok(Self::Secret(name.to_owned())),
            _ => Err(ParseValueSourceError),
        }
    }
}

impl fmt::Display for ValueSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(name, part) => {
                match name {
                    None => f.write_str("image")?,
                    Some(name) => write!(f, "images.{name}")?,
                }
                f.write_str(match part {
                    ImagePart::Whole => "",
                    ImagePart::Repository => ".repository",
                    ImagePart::Tag => ".tag",
                })
            }
            Self::Config => f.write_str("config"),
            Self::Setting(name) => write!(f, "config.{name}"),
            Self::Secret(name) => write!(f, "secrets.{name}"),
        }
    }
}

impl Serialize for ValueSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ValueSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(
            deserializer,
            "where the value comes from, such as `image.tag` or `config.NAME`",
        )
    }
}

impl JsonSchema for ValueSource {
    fn schema_name() -> Cow<'static, str> {
        "ValueSource".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Where a value of the chart comes from: `image.tag`, `config.NAME`, `secrets.NAME`.",
            "pattern": r"^(image(\.repository|\.tag)?|images\..+|config(\..+)?|secrets\..+)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_as_they_are_written() {
        for text in [
            "image",
            "image.tag",
            "images.web.repository",
            "images.web",
            "config",
            "config.LEVEL",
            "config.a.tag",
            "secrets.KEY",
        ] {
            let source: ValueSource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        for text in [
            "",
            "images",
            "secrets",
            "config.",
            "imag",
            "secrets.",
            "image.name",
        ] {
            assert_eq!(
                text.parse::<ValueSource>(),
                Err(ParseValueSourceError),
                "{text}"
            );
        }
    }

    #[test]
    fn images_have_parts() {
        let check = |image: &str, repository: &str, tag: &str| {
            let parts = (ImagePart::Repository.of(image), ImagePart::Tag.of(image));
            assert_eq!(parts, (repository, tag), "{image}");
        };
        check("host:5000/shop/api:1.2", "host:5000/shop/api", "1.2");
        check("shop/api@sha256:ab", "shop/api", "sha256:ab");
        check("host:5000/api", "host:5000/api", "latest");
    }
}
