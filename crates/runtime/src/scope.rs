//! Names that people type: scopes and deployments, with help when they are not exact.

use crate::{Belay, Error};
use belay_model::id::{DeploymentId, Scope};

impl Belay {
    /// The scope that is meant. What is left out is found if there is one candidate only.
    ///
    /// # Errors
    /// There is none, with the nearest name; or several, and it is not guessed.
    pub async fn find_scope(
        &self,
        _service: Option<&str>,
        _environment: Option<&str>,
    ) -> Result<Scope, Error> {
        unimplemented!()
    }

    /// The deployment whose id begins like that, with or without `dep_`; also any unique part of the end of it.
    ///
    /// # Errors
    /// There is none, or several.
    pub async fn resolve_deployment(&self, _text: &str) -> Result<DeploymentId, Error> {
        unimplemented!()
    }
}
