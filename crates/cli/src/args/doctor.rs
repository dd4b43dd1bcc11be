//! Whether what Belay depends on is as it should be: `doctor`.

use super::{Gitops, Place};
use clap::Args as Group;

/// Say whether what Belay depends on is as it should be: the store, its server, its key and its disk, or what is named; exits 8 if not
#[derive(Debug, Group)]
#[command(
    before_help = "\
Examples:
  belay doctor                                          the store
  belay doctor kubernetes -e production                 whether I may do on the cluster what Belay does there
  belay doctor kubernetes -e production --print-rbac    a Role that allows just that
  belay doctor kubernetes -e production --print-rbac --service-account ci:deployer | kubectl apply -f -
  belay doctor kubernetes kubernetes://prod/shop/deployment/api --read-only",
    after_help = "
The Role has what a deployment and its way back need with the strategy of the environment, for the kinds in its manifests or its chart
and in the releases that the store knows. Nothing is changed, and nobody is granted anything, until you apply it."
)]
pub(crate) struct Doctor {
    /// What to look at [default: the store]
    #[arg(value_enum, value_name = "WHAT")]
    pub(crate) about: Option<About>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Print what has to be allowed, as a Role with its binding for `kubectl apply -f -`
    #[arg(long, requires = "about")]
    pub(crate) print_rbac: bool,
    /// Who is allowed it [default: an account `belay` in the namespace, which is made]
    #[arg(long, value_name = "NAMESPACE:NAME", requires = "print_rbac", value_parser = account)]
    pub(crate) service_account: Option<(String, String)>,
    /// The same: somebody whom the cluster knows by this name
    #[arg(
        long,
        value_name = "NAME",
        requires = "print_rbac",
        conflicts_with = "service_account"
    )]
    pub(crate) user: Option<String>,
    /// With a URI: what it takes to look, and not to go back
    #[arg(long, requires = "about")]
    pub(crate) read_only: bool,
    /// With a URI: what is done about those that would undo a way back (Argo CD, Flux); to hold them takes rights, too
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        requires = "about",
        conflicts_with = "read_only"
    )]
    pub(crate) gitops: Option<Gitops>,
    /// Without a configuration: where Deployments with their Services, ConfigMaps and Secrets are put out
    #[arg(long, requires = "print_rbac", conflicts_with_all = ["service", "env", "read_only", "gitops"])]
    pub(crate) namespace: Option<String>,
    /// The same: how
    #[arg(
        long,
        value_enum,
        value_name = "STRATEGY",
        requires = "namespace",
        default_value_t
    )]
    pub(crate) strategy: Strategy,
}

/// What can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum About {
    /// What may be done on a cluster.
    Kubernetes,
}

/// How releases are put out, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Strategy {
    #[default]
    Basic,
    Rolling,
    Canary,
    BlueGreen,
}

fn account(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("write it as NAMESPACE:NAME".to_owned()),
    }
}
