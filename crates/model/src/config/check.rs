//! One thing that must hold for a release to be good. What people write is one flat struct, because a mapping with sibling
//! keys is what they expect; [`Check::kind`] is what the code works with.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommandLine, Duration, Entrance, Percent};

/// One check: exactly one of `http`, `tcp`, `command`, `traffic`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What people see in verdicts. Default: made from the check, such as `http /health`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A path that is requested with GET, such as `/health`. Refine with `status`, `contains`, `header`, `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^/"))]
    pub http: Option<String>,
    /// With `http`: the status that is expected. Default: 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 599))]
    pub status: Option<u16>,
    /// With `http`: a text that the body must contain. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// With `http`: response headers by name (case does not matter) and the exact value of each. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<String, String>,
    /// With `http`: places in the JSON body and the exact value of each. A place is names joined by dots, `[n]` for an item
    /// of a list: `status`, `checks.db`, `nodes[0].state`. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, serde_json::Value>,
    /// `true`: the port accepts connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<bool>,
    /// A command line that must end with exit code 0. It runs in the artifact's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandLine>,
    /// What the real traffic says about the new release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// With `http` or `tcp`, on Kubernetes: where users come in from outside the cluster, such as `ingress/api`, `httproute/api` or
    /// `service/api` (of type LoadBalancer), in the namespace of the target. It is asked at the address in its status, by its
    /// host, and with TLS where it has some; whichever release answers. Default: none; the pods are asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Entrance>,
    /// With `through`: which host is asked for. Default: the only one that the entrance names; its address where it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"))]
    pub host: Option<String>,
    /// When the check runs. Default: `live` for `traffic` and with `through`, else `staged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
    /// How long one try of `http`, `tcp` or `command` may take. Default: `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// When a check runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// Before the new release gets traffic, against each new instance.
    Staged,
    /// While it has traffic.
    Live,
}

/// Thresholds on the traffic that the new release served. At least one of `max_errors` and `max_slower`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// The largest share of requests that may fail (status 500 and above, or no answer). Default: not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<Percent>,
    /// How many times as long a request may take as on the release before (95th percentile), at least 1. Default: not looked
    /// at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_slower: Option<f64>,
    /// Below this many requests there is no verdict, at least 1. Default: 50.
    #[serde(default = "min_requests")]
    #[schemars(range(min = 1))]
    pub min_requests: u64,
    /// How long the traffic is watched for `min_requests` before the verdict is inconclusive. Default: `30s`.
    #[serde(default = "traffic_within")]
    pub within: Duration,
}

/// [`Check`] with its rules applied.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckKind {
    /// An HTTP answer.
    Http(HttpCheck),
    /// A connection.
    Tcp,
    /// A command that ends with 0.
    Command(CommandLine),
    /// What the traffic itself shows.
    Traffic(Traffic),
}

/// An HTTP check with its defaults resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpCheck {
    /// Path, with a leading slash.
    pub path: String,
    /// Status that is expected.
    pub status: u16,
    /// Text that the body has to contain.
    pub contains: Option<String>,
    /// Headers that the answer has to have.
    pub header: BTreeMap<String, String>,
    /// Values that the JSON body has to have, by place.
    pub json: BTreeMap<String, serde_json::Value>,
}

/// Why a [`Check`] says nothing, or too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// None, or several.
    #[error("a check needs exactly one of `http`, `tcp`, `command`, `traffic`")]
    NotOne,
    /// `tcp: false` would check nothing.
    #[error("`tcp` can only be `true`")]
    TcpFalse,
    /// The path has no leading slash.
    #[error("the path of an HTTP check starts with `/`")]
    NotAPath,
    /// A key of another kind of check; which one.
    #[error("`{0}` belongs to an `http` check")]
    NeedsHttp(&'static str),
    /// Traffic is watched `within` a time.
    #[error("a `traffic` check has no `timeout`; how long it watches is `within`")]
    TimeoutOnTraffic,
    /// Nobody comes in there for this kind of check.
    #[error("`through` belongs to an `http` or a `tcp` check")]
    ThroughWhat,
    /// A staged release is not reached by its users.
    #[error("users come in to what is live: a check with `through` cannot be at `staged`")]
    ThroughStaged,
    /// A host without an entrance.
    #[error("`host` belongs to `through`: pods are asked by their addresses")]
    HostOfNothing,
    /// It is no name of a host.
    #[error("`host` is the name of a host, without a scheme, a port and wildcards")]
    NotAHost,
    /// Nothing could ever fail.
    #[error("`traffic` needs at least one of `max_errors` and `max_slower`")]
    NoThreshold,
}

impl Check {
    /// How long one try may take unless the check says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// What the check is, or why it is none.
    pub fn kind(&self) -> Result<CheckKind, CheckError> {
        let kind = match (&self.http, self.tcp, &self.command, &self.traffic) {
            (Some(path), None, None, None) => self.http_kind(path)?,
            (None, Some(true), None, None) => CheckKind::Tcp,
            (None, Some(false), None, None) => return Err(CheckError::TcpFalse),
            (None, None, Some(command), None) => CheckKind::Command(command.clone()),
            (None, None, None, Some(traffic)) => CheckKind::Traffic(*traffic),
            _ => return Err(CheckError::NotOne),
        };
        if !matches!(kind, CheckKind::Http(_)) {
            let only_http = [
                ("status", self.status.is_some()),
                ("contains", self.contains.is_some()),
                ("header", !self.header.is_empty()),
                ("json", !self.json.is_empty()),
            ];
            if let Some((key, _)) = only_http.into_iter().find(|(_, present)| *present) {
                return Err(CheckError::NeedsHttp(key));
            }
        }
        self.entrance(&kind)?;
        if let CheckKind::Traffic(traffic) = &kind {
            if self.timeout.is_some() {
                return Err(CheckError::TimeoutOnTraffic);
            }
            if traffic.max_errors.is_none() && traffic.max_slower.is_none() {
                return Err(CheckError::NoThreshold);
            }
        }
        Ok(kind)
    }

    /// `at` with its default resolved.
    pub fn at(&self) -> At {
        let default = if self.traffic.is_some() || self.through.is_some() {
            At::Live
        } else {
            At::Staged
        };
        self.at.unwrap_or(default)
    }

    /// `timeout` with its default resolved.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Self::TIMEOUT)
    }

    /// `name` with its default resolved.
    pub fn name(&self) -> String {
        let name = match (&self.name, &self.http, &self.command) {
            (Some(name), _, _) => return name.clone(),
            (None, Some(path), _) => format!("http {path}"),
            (None, None, Some(command)) => format!("command {}", command.program()),
            (None, None, None) if self.traffic.is_some() => "traffic".to_owned(),
            (None, None, None) => "tcp".to_owned(),
        };
        match &self.through {
            Some(entrance) => format!("{name} through {entrance}"),
            None => name,
        }
    }

    /// Whether what is said of the way in goes together.
    fn entrance(&self, kind: &CheckKind) -> Result<(), CheckError> {
        if self.through.is_some() && !matches!(kind, CheckKind::Http(_) | CheckKind::Tcp) {
            return Err(CheckError::ThroughWhat);
        }
        if self.through.is_some() && self.at == Some(At::Staged) {
            return Err(CheckError::ThroughStaged);
        }
        match &self.host {
            Some(_) if self.through.is_none() => Err(CheckError::HostOfNothing),
            Some(host) if !is_host(host) => Err(CheckError::NotAHost),
            _ => Ok(()),
        }
    }

    fn http_kind(&self, path: &str) -> Result<CheckKind, CheckError> {
        if !path.starts_with('/') {
            return Err(CheckError::NotAPath);
        }
        Ok(CheckKind::Http(HttpCheck {
            path: path.to_owned(),
            status: self.status.unwrap_or(200),
            contains: self.contains.clone(),
            header: self.header.clone(),
            json: self.json.clone(),
        }))
    }
}

/// Whether a text is the name of a host. One that ends in a number would be an address, which needs no name.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |it: char| it.is_ascii_alphanumeric() || it == '-';
        !label.is_empty()
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.split('.').all(is_label) && last.contains(|it: char| !it.is_ascii_digit())
}

fn min_requests() -> u64 {
    50
}

fn traffic_within() -> Duration {
    Duration::from_secs(30)
}
