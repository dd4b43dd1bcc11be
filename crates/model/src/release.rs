//! Releases, and the records they become in an environment.

use crate::id::{ArtifactDigest, BlobId, RecordHash, ReleaseNumber, Scope, ServiceName};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// An immutable bundle: artifact digest and the service's own configuration. The same release goes to
/// staging and to production; a new digest or a changed service configuration makes a new number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Format of this type, now 1.
    pub format: u16,
    /// Whose release.
    pub service: ServiceName,
    /// Its number, counted per service.
    pub number: ReleaseNumber,
    /// What is run.
    pub artifact: ArtifactDigest,
    /// Where the artifact came from, for people.
    pub source: String,
    /// The service's own configuration.
    pub config: BTreeMap<String, String>,
    /// When it was made, Unix milliseconds.
    pub created_at_ms: i64,
    /// The commit it was built from, if it is known.
    pub commit: Option<String>,
}

/// A secret that a record uses: where it comes from and what it was, without its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretUse {
    /// The reference of the configuration, such as `env:DATABASE_URL`.
    pub source: String,
    /// Keyed digest of the value: equal values can be told without knowing one. Lower-case hex.
    pub digest: String,
}

/// One place a service runs in one environment, as its driver understands it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Which driver: `process`.
    pub driver: String,
    /// Name of the place, unique per store: `SERVICE/ENVIRONMENT` unless there are several.
    pub name: String,
    /// Which host's workers may touch it, where that matters.
    pub host: Option<String>,
    /// The driver's own settings, normalised (defaults filled in).
    pub settings: Value,
}

/// What a release became in one environment. Never changed once made; keyed by its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Format of this type, now 1.
    pub format: u16,
    /// Service and environment.
    pub scope: Scope,
    /// The release it was made from.
    pub release: ReleaseNumber,
    /// What is run.
    pub artifact: ArtifactDigest,
    /// Service configuration with the environment's overlay.
    pub config: BTreeMap<String, String>,
    /// Secrets it uses.
    pub secrets: BTreeMap<String, SecretUse>,
    /// Their values, sealed; absent where there are none.
    pub sealed: Option<BlobId>,
    /// Where it runs, at least one place; in the order in which they are served.
    #[serde(alias = "target", deserialize_with = "one_or_several")]
    pub targets: Vec<Target>,
}

/// A record had one target, and no list, before there could be several (journal format 2).
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Target>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(Target),
        Several(Vec<Target>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::One(target) => vec![target],
        Either::Several(targets) => targets,
    })
}

impl Record {
    /// Hash of the content: everything that decides what runs, and nothing that names it (number, blob id),
    /// so the same content is recognised under another number.
    pub fn hash(&self) -> RecordHash {
        let secrets: BTreeMap<_, _> = self
            .secrets
            .iter()
            .map(|(name, secret)| (name, &secret.digest))
            .collect();
        // Where there is one, as it was when there could not be several: what is quarantined stays quarantined.
        let target = match self.targets.as_slice() {
            [one] => serde_json::json!(one),
            several => serde_json::json!(several),
        };
        let content = serde_json::json!({
            "format": self.format,
            "scope": self.scope,
            "artifact": self.artifact,
            "config": self.config,
            "secrets": secrets,
            "target": target,
        });
        RecordHash::new(hex::encode(Sha256::digest(content.to_string())))
    }

    /// Name of the group of instances that serve this record: release and short hash.
    pub fn group(&self) -> String {
        format!("r{}-{}", self.release, self.hash().short())
    }

    /// Which host's workers may touch its targets, where that matters. Those that name a host all name one.
    pub fn host(&self) -> Option<&str> {
        self.targets
            .iter()
            .find_map(|target| target.host.as_deref())
    }

    /// One of its targets, by name.
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name)
    }

    /// How people call it: `release 3`.
    pub fn title(&self) -> String {
        format!("release {}", self.release)
    }
}
