//! The contexts of a kubeconfig, for whoever has to choose one.

use kube::config::Kubeconfig;
use std::path::Path;

/// Their names, in the order of the file.
///
/// # Errors
/// Why the file is no kubeconfig, for people.
pub fn contexts(kubeconfig: &Path) -> Result<Vec<String>, String> {
    let read = Kubeconfig::read_from(kubeconfig).map_err(|error| crate::error::causes(&error))?;
    Ok(read.contexts.into_iter().map(|it| it.name).collect())
}
