//! Whether what begins now may be done on the cluster: asked before anything changes, and beside what is asked anyway. Where the cluster does
//! not say, it goes on, and each step is told.

use super::Error;
use super::rights::{asked, on_kubernetes};
use crate::targets::looking;
use crate::uri::Uri;
use crate::{Belay, kubernetes::Late};
use belay_driver_kubernetes::Settings;
use belay_driver_kubernetes::permissions::{Purpose, Rights};
use belay_model::config::Check;
use belay_model::id::Scope;
use belay_model::release::Record;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A cluster, and as whom.
type At = (Option<PathBuf>, Option<String>);

/// What people should know although it goes on, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// What the cluster did not say.
    pub(crate) unknown: Vec<String>,
    /// What is less than it could be.
    less: Vec<String>,
}

impl Allowed {
    pub(crate) fn remarks(self) -> Vec<String> {
        [self.unknown, self.less].concat()
    }
}

impl Belay {
    /// Refuses where a right is missing without which these records cannot be put out or gone back to; answers what people should know.
    /// `checks`: what releases are asked.
    pub(crate) async fn require_rights<'a>(
        &self,
        scope: &Scope,
        records: impl IntoIterator<Item = &'a Record>,
        checks: &[Check],
    ) -> Result<Allowed, crate::Error> {
        let uri = Uri::of(scope);
        let mut takes: BTreeMap<At, (Settings, Rights)> = BTreeMap::new();
        for target in records.into_iter().flat_map(on_kubernetes) {
            let is_elsewhere = target.host.as_deref().is_some_and(|it| it != self.host());
            let Ok(settings) = Settings::deserialize(&target.settings) else {
                continue;
            };
            if is_elsewhere && self.is_shared() {
                continue;
            }
            let purpose = match uri {
                Some(_) => Purpose::Rollback,
                None => Purpose::Deploy(asked(&settings, checks.iter())),
            };
            // Who cannot be reached has nothing to say of kinds, either.
            let Ok(rights) = self.kubernetes().rights(&settings, purpose).await else {
                continue;
            };
            let at = (settings.kubeconfig.clone(), settings.context.clone());
            let (_, all) = takes.entry(at).or_insert((settings, Rights::default()));
            all.add(rights);
        }
        let mut allowed = Allowed::default();
        for (settings, rights) in takes.values() {
            // The step itself says what is wrong with the connection.
            let Ok(checked) = self.kubernetes().check(&looking(), settings, rights).await else {
                continue;
            };
            let lines = |missing: Vec<String>| (!missing.is_empty()).then_some(missing);
            if let Some(missing) = lines(checked.needed().map(ToString::to_string).collect()) {
                return Err(Error::Forbidden {
                    who: checked.who,
                    missing,
                    place: uri
                        .as_ref()
                        .map_or_else(|| format!("-e {}", scope.environment), |it| it.to_string()),
                }
                .into());
            }
            let unknown = checked.unknown.iter();
            allowed.unknown.extend(unknown.map(|why| {
                format!(
                    "whether all of it is allowed is not known, and it goes on: failed to {why}"
                )
            }));
            let less = checked.useful();
            allowed
                .less
                .extend(less.map(|it| format!("not allowed: {it}")));
        }
        Ok(allowed)
    }
}

impl Late {
    async fn rights(
        &self,
        settings: &Settings,
        purpose: Purpose,
    ) -> Result<Rights, belay_driver::Error> {
        Ok(self.ours().await?.rights(settings, purpose).await)
    }

    async fn check(
        &self,
        cx: &belay_driver::Context,
        settings: &Settings,
        rights: &Rights,
    ) -> Result<belay_driver_kubernetes::permissions::Checked, belay_driver::Error> {
        self.ours().await?.check(cx, settings, rights).await
    }
}
