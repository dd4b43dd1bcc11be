//! Taking over what runs: `adopt`.

use clap::Args as Group;
use std::path::PathBuf;

/// Write belay.yaml and manifests for what runs, so that Belay can take it over without replacing a pod
#[derive(Debug, Group)]
#[command(
    before_help = "\
Examples:
  belay adopt kubernetes://prod/shop/deployment/api
  belay adopt kubernetes://prod/shop/deployment/api --service shop-api --env production --to ./shop",
    after_help = "
Nothing is overwritten, and nothing in the cluster is changed. Values of secrets are not read into files."
)]
pub(crate) struct Adopt {
    /// What runs: kubernetes://CONTEXT/NAMESPACE/deployment/NAME
    pub(crate) uri: String,
    /// How the service is called [default: as the workload]
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// How the environment is called [default: as the namespace]
    #[arg(short, long, value_name = "ENV")]
    pub(crate) env: Option<String>,
    /// The directory that gets belay.yaml and k8s/
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) to: PathBuf,
}
