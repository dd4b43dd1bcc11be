//! The places a service can run in. One variant per driver; the schema is the same whatever drivers a build has.

use std::{borrow::Cow, fmt, net::SocketAddr, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Duration, HelmTarget, KubernetesTarget};

/// The place a service runs in. Exactly one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// Processes on this machine, behind Belay's proxy if they take traffic.
    Process(ProcessTarget),
    /// A namespace of a Kubernetes cluster.
    Kubernetes(KubernetesTarget),
    /// A Helm release.
    Helm(HelmTarget),
}

/// Processes on this machine, behind Belay's proxy if they take traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessTarget {
    /// The command line of one instance, split into words as a shell would, without a shell. It runs in the artifact's
    /// directory; a program with a `/` in its name is looked for there, any other on the `PATH`.
    pub run: CommandLine,
    /// The address that clients use and the proxy listens on, such as `127.0.0.1:8080`. IPv6: `[::1]:8080`. Default: none;
    /// the processes take no traffic (queue workers), there is no route to them, and they need no port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub listen: Option<SocketAddr>,
    /// How many copies run, at least 1. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub instances: u32,
    /// When an instance is ready. Default: as soon as its port accepts connections, within `30s`; without `listen`: when it
    /// has run for one second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// How long an instance may take to stop before it is killed. Default: `10s`.
    #[serde(default = "stop_timeout")]
    pub stop_timeout: Duration,
}

/// When an instance is ready: exactly one of `http` and `tcp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// A path that answers with a status from 200 to 399, such as `/health`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^/"))]
    pub http: Option<String>,
    /// `true`: the port accepts connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<bool>,
    /// How long it may take from the start of the process. Default: `30s`.
    #[serde(default = "ready_within")]
    pub within: Duration,
}

/// [`Ready`] with its rules applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadyKind {
    /// A `GET` answered with a status of 200 to 399.
    Http {
        /// Path, with a leading slash.
        path: String,
    },
    /// A connection.
    Tcp,
}

/// Why a [`Ready`] says nothing, or two things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadyError {
    /// None, or both.
    #[error("`ready` needs exactly one of `http` and `tcp`")]
    NotOne,
    /// `tcp: false` would check nothing.
    #[error("`tcp` can only be `true`")]
    TcpFalse,
    /// The path has no leading slash.
    #[error("the path of an HTTP check starts with `/`")]
    NotAPath,
}

impl Ready {
    /// Which kind.
    ///
    /// # Errors
    /// It says none, or both.
    pub fn kind(&self) -> Result<ReadyKind, ReadyError> {
        match (&self.http, self.tcp) {
            (Some(path), None) if path.starts_with('/') => {
                Ok(ReadyKind::Http { path: path.clone() })
            }
            (Some(_), None) => Err(ReadyError::NotAPath),
            (None, Some(true)) => Ok(ReadyKind::Tcp),
            (None, Some(false)) => Err(ReadyError::TcpFalse),
            _ => Err(ReadyError::NotOne),
        }
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self {
            http: None,
            tcp: Some(true),
            within: ready_within(),
        }
    }
}

impl ProcessTarget {
    /// `ready` with its default resolved. Absent: an instance is ready when it keeps running.
    pub fn ready(&self) -> Option<Ready> {
        let by_default = || self.listen.map(|_| Ready::default());
        self.ready.clone().or_else(by_default)
    }
}

fn one() -> u32 {
    1
}

fn ready_within() -> Duration {
    Duration::from_secs(30)
}

fn stop_timeout() -> Duration {
    Duration::from_secs(10)
}

/// A command line: words, split as a POSIX shell does with quotes, but nothing is expanded and no shell runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CommandLine {
    text: String,
    words: Vec<String>,
}

/// Why a text is not a [`CommandLine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseCommandError {
    /// No words.
    #[error("a command line needs a program")]
    Empty,
    /// A quote that is not closed.
    #[error("a quote in the command line is not closed")]
    OpenQuote,
}

impl CommandLine {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The program and its arguments; never empty.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The first word.
    pub fn program(&self) -> &str {
        &self.words[0]
    }

    /// The words behind it.
    pub fn arguments(&self) -> &[String] {
        &self.words[1..]
    }
}

impl FromStr for CommandLine {
    type Err = ParseCommandError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = shell_words::split(text).map_err(|_| ParseCommandError::OpenQuote)?;
        match words.first() {
            Some(program) if !program.is_empty() => Ok(Self {
                text: text.to_owned(),
                words,
            }),
            _ => Err(ParseCommandError::Empty),
        }
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for CommandLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = CommandLine;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command line")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CommandLine, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for CommandLine {
    fn schema_name() -> Cow<'static, str> {
        "CommandLine".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A command line, split into words as a shell would (quotes work, nothing is expanded), without a shell.",
            "minLength": 1,
        })
    }
}
