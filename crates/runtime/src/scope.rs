//! Names that people type: scopes and deployments, with help when they are not exact. What is ambiguous is asked back,
//! never guessed: the guess would one day be production.

use crate::{Belay, Error};
use belay_model::id::{DeploymentId, Scope};
use std::collections::BTreeSet;

/// Most deployments of a scope that are looked through.
const HISTORY: usize = 10_000;

impl Belay {
    /// The scope that is meant. What is left out is found if there is one candidate only.
    ///
    /// # Errors
    /// There is none, with the nearest name; or several, and it is not guessed.
    pub async fn find_scope(
        &self,
        service: Option<&str>,
        environment: Option<&str>,
    ) -> Result<Scope, Error> {
        let mut scopes = self.scopes().await?;
        if let Some(wanted) = service {
            let known: BTreeSet<String> = scopes
                .iter()
                .map(|scope| scope.service.to_string())
                .collect();
            require("service", wanted, &known)?;
            scopes.retain(|scope| scope.service.as_str() == wanted);
        }
        if let Some(wanted) = environment {
            let known: BTreeSet<String> = scopes
                .iter()
                .map(|scope| scope.environment.to_string())
                .collect();
            require("environment", wanted, &known)?;
            scopes.retain(|scope| scope.environment.as_str() == wanted);
        }
        match scopes.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(Error::NotFound {
                what: "anything that was deployed".to_owned(),
                known: Vec::new(),
                nearest: None,
            }),
            several => Err(Error::Ambiguous {
                what: if service.is_some() {
                    "environment"
                } else {
                    "service and environment"
                }
                .to_owned(),
                candidates: several.iter().map(ToString::to_string).collect(),
            }),
        }
    }

    /// The deployment whose id begins or ends like that, with or without `dep_`.
    ///
    /// # Errors
    /// There is none, or several.
    pub async fn resolve_deployment(&self, text: &str) -> Result<DeploymentId, Error> {
        let exact = DeploymentId::new(text);
        if self.store().summary(&exact).await?.is_some() {
            return Ok(exact);
        }
        let part = text.strip_prefix("dep_").unwrap_or(text);
        let mut found = Vec::new();
        for scope in self.scopes().await? {
            for summary in self.store().history(&scope, HISTORY).await? {
                let id = summary.id.as_str();
                let bare = id.strip_prefix("dep_").unwrap_or(id);
                if !part.is_empty() && (bare.starts_with(part) || bare.ends_with(part)) {
                    found.push(summary.id);
                }
            }
        }
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(no_deployment(text)),
            several => Err(Error::Ambiguous {
                what: "deployment".to_owned(),
                candidates: several.iter().map(ToString::to_string).collect(),
            }),
        }
    }
}

pub(crate) fn no_deployment(text: &str) -> Error {
    Error::NotFound {
        what: format!("the deployment `{text}`"),
        known: vec!["see `belay history`".to_owned()],
        nearest: None,
    }
}

fn require(what: &str, wanted: &str, known: &BTreeSet<String>) -> Result<(), Error> {
    if known.contains(wanted) {
        return Ok(());
    }
    Err(Error::NotFound {
        what: format!("the {what} `{wanted}`"),
        known: known.iter().cloned().collect(),
        nearest: nearest(wanted, known),
    })
}

/// The known name that was probably meant.
pub(crate) fn nearest<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a String>,
) -> Option<String> {
    let known = known.into_iter().map(String::as_str);
    crate::config::nearest(wanted, known).map(str::to_owned)
}
