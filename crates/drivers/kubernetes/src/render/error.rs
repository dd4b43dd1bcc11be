//! Why manifests are no release.

/// Messages read well after "failed to"; objects are named as `kubectl` names them, `deployment/api`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No YAML.
    #[error("read {file}: {why}")]
    Syntax {
        /// Which file.
        file: String,
        /// Where, and why not.
        why: String,
    },
    /// A document that is no object of Kubernetes, or has no name of its own.
    #[error("read {file}: document {number} {lacks}")]
    NoObject {
        /// Which file.
        file: String,
        /// Which of its documents, from 1.
        number: usize,
        /// What is amiss: `has no kind`.
        lacks: &'static str,
    },
    /// There is no object at all, or none that runs anything.
    #[error("make a release of the manifests: there is no {0} in them")]
    Nothing(&'static str),
    /// Two objects of one name.
    #[error(
        "make a release of the manifests: {object} is in them twice, in {first} and in {second}"
    )]
    Twice {
        /// Which object.
        object: String,
        /// Where.
        first: String,
        /// And where.
        second: String,
    },
    /// The value of a secret would lie in clear in the store.
    #[error("make a release of the manifests: {0} has values in it, and would be kept in clear")]
    SecretValue(String),
    /// Taking the release away would take data with it.
    #[error("make a release of the manifests: going back could remove {0}, and what is kept in it")]
    Keeps(String),
    /// It would be put elsewhere.
    #[error("put the manifests into the namespace {target}: {object} says the namespace {says}")]
    Namespace {
        /// Which object.
        object: String,
        /// What it says.
        says: String,
        /// Where the target is.
        target: String,
    },
    /// A workload that the target names is not there.
    #[error("find {name} in the manifests")]
    NoWorkload {
        /// As it is named.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A workload that nobody would wait for.
    #[error("put the manifests in order: {0} is in them, and not in `workloads`")]
    Unordered(String),
    /// No container of that name, or none at all.
    #[error("give container {name} another image: no workload has one of that name")]
    NoContainer {
        /// As it is named.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// An image for one of several containers.
    #[error("give the container another image: there are several")]
    WhichContainer {
        /// Which.
        known: Vec<String>,
    },
    /// A name that no ConfigMap can have as a key.
    #[error(
        "make an environment variable of `{0}`: only letters, digits, `-`, `_` and `.` can be in its name on Kubernetes"
    )]
    Variable(String),
    /// More than a record holds.
    #[error("keep the objects of the release: they are {bytes} bytes, and a record holds {most}")]
    TooLarge {
        /// How much there is.
        bytes: usize,
        /// How much there may be.
        most: usize,
    },
}

impl Error {
    /// What to do next.
    pub fn next(&self) -> String {
        match self {
            Self::Syntax { .. } | Self::NoObject { .. } => {
                "correct it; `kubectl apply --dry-run=client -f FILE` reads it, too".to_owned()
            }
            Self::Nothing(_) => "see that `release.manifests` names the right place".to_owned(),
            Self::Twice { .. } => "remove one of the two".to_owned(),
            Self::SecretValue(_) => {
                "name its values under `secrets:` in belay.yaml, or make it in the cluster and only refer to it".to_owned()
            }
            Self::Keeps(_) => {
                "take it out of the manifests, and make it once with `kubectl apply`".to_owned()
            }
            Self::Namespace { .. } => {
                "leave `namespace` out of the manifests: the target says it".to_owned()
            }
            Self::NoWorkload { known, .. } if known.is_empty() => {
                "add it to the manifests".to_owned()
            }
            Self::NoWorkload { known, .. } => format!("there are: {}", known.join(", ")),
            Self::Unordered(name) => {
                format!("add `{name}` to `workloads`, where it has its turn")
            }
            Self::NoContainer { known, .. } => format!("there are: {}", known.join(", ")),
            Self::WhichContainer { known } => {
                let first = known.first().map_or("NAME", String::as_str);
                format!(
                    "name it, as `--image {first}=IMAGE` or under `images:`; there are: {}",
                    known.join(", ")
                )
            }
            Self::Variable(_) => "call it otherwise".to_owned(),
            Self::TooLarge { .. } => {
                "move large files out of ConfigMaps: into the image, or into a volume".to_owned()
            }
        }
    }
}
