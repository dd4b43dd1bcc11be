//! What every verb needs: where the store and the configuration are, who asks, and how to open the store.
//!
//! The process's environment is read here and in `args`, nowhere else.

use crate::args::{Global, Place, StoreUrl};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use belay_model::id::Scope;
use belay_runtime::config::{self, Diagnostic, Loaded};
use belay_runtime::uri::{self, Uri};
use belay_runtime::{Belay, Options, PostgresOptions, Retention, Shared, Tables};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FILE: &str = "belay.yaml";
const STORE: &str = ".belay";

/// Of one run of the command.
#[derive(Clone, Debug)]
pub(crate) struct Cx {
    pub(crate) output: Output,
    file: Option<PathBuf>,
    dir: PathBuf,
    /// The store that machines share, if that is used.
    shared: Option<StoreUrl>,
}

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// To look, or to say something to a deployment: a store that is not there is not made.
    Found,
    /// To begin something.
    Made,
    /// To bring its tables up to date.
    Migrated,
    /// To restore it, though it was lost.
    Restored,
    /// To work, with leases that live so long.
    Work(Duration),
}

impl Cx {
    pub(crate) fn new(global: &Global, output: Output) -> Self {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let file = global.file.clone().or_else(|| nearest(&here));
        let beside = |file: &Path| here.join(file).parent().map(|dir| dir.join(STORE));
        let dir = global.dir.clone().map(|dir| here.join(dir));
        let dir = dir
            .or_else(|| file.as_deref().and_then(beside))
            .unwrap_or_else(|| here.join(STORE));
        // An empty variable is none.
        let shared = global.store.clone().filter(|url| !url.0.is_empty());
        Self {
            output,
            file,
            dir,
            shared,
        }
    }

    /// This machine's directory, absolute; without a shared store it is the store's.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens the store, making it when there is none: for verbs that begin something.
    pub(crate) async fn open_or_make(&self) -> Result<Belay, Failure> {
        self.open_for(Use::Made).await
    }

    /// Opens the store.
    pub(crate) async fn open_for(&self, usage: Use) -> Result<Belay, Failure> {
        Ok(Belay::open(self.options(usage)?).await?)
    }

    pub(crate) fn options(&self, usage: Use) -> Result<Options, Failure> {
        let exe = std::env::current_exe().map_err(|error| {
            Failure::new(
                Exit::Unusable,
                "E0302",
                format!("failed to find this executable: {error}"),
            )
        })?;
        Ok(Options {
            dir: self.dir.clone(),
            shared: self.shared.as_ref().map(|url| shared(url, usage)),
            host: variable("BELAY_HOST"),
            exe,
            key: std::env::var("BELAY_KEY")
                .ok()
                .filter(|key| !key.is_empty()),
            actor: actor(),
            retention: Retention::default(),
            lost: usage == Use::Restored,
        })
    }

    /// The store that another one is moved to.
    pub(crate) fn goal(&self, to: &StoreUrl) -> Shared {
        shared(to, Use::Migrated)
    }

    /// Opens a store that is there: looking does not make one.
    pub(crate) async fn open(&self) -> Result<Belay, Failure> {
        let belay = self.open_alone().await?;
        if let Err(error) = belay.attend().await {
            // Looking works all the same.
            self.output
                .say(&format!("what was interrupted does not go on: {error}"));
        }
        Ok(belay)
    }

    /// The same, and starts nothing.
    pub(crate) async fn open_alone(&self) -> Result<Belay, Failure> {
        let moved = self.dir.join("belay.db.moved").exists();
        if self.shared.is_some() || moved || self.dir.join("belay.db").exists() {
            return self.open_for(Use::Found).await;
        }
        let message = format!("there is no store at {}", self.dir.display());
        Err(Failure::new(Exit::Usage, "E0302", message)
            .next("belay deploy -e ENV    makes it with the first deployment")
            .next("name the store with --dir or BELAY_DIR if it is elsewhere"))
    }

    /// The configuration, which has to be there and right.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        self.load_or_found()?
            .map_err(|found| belay_runtime::Error::Configuration(found).into())
    }

    /// The configuration, or everything that is wrong with it.
    pub(crate) fn load_or_found(&self) -> Result<Result<Loaded, Vec<Diagnostic>>, Failure> {
        let file = self.file.as_deref().ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "E0303",
                "there is no belay.yaml here or in a directory above",
            )
            .next("name it with -f FILE or BELAY_FILE")
        })?;
        Ok(config::load(file))
    }

    /// The configuration if there is one that can be read: for verbs that work without.
    pub(crate) fn load_if_any(&self) -> Option<Loaded> {
        config::load(self.file.as_deref()?).ok()
    }

    /// The place that is meant, by the store and, for the service, the configuration.
    pub(crate) async fn scope(&self, belay: &Belay, place: &Place) -> Result<Scope, Failure> {
        if let Some(uri) = self.uri(place)? {
            let scope = uri.scope();
            let (service, environment) = (scope.service.as_str(), scope.environment.as_str());
            return Ok(belay.find_scope(Some(service), Some(environment)).await?);
        }
        let service = self.service(place.service.as_deref());
        let scope = belay
            .find_scope(service.as_deref(), place.env.as_deref())
            .await?;
        Ok(scope)
    }

    /// What is named by a URI, if it is.
    pub(crate) fn uri(&self, place: &Place) -> Result<Option<Uri>, Failure> {
        let Some(text) = place.service.as_deref().filter(|it| uri::is_uri(it)) else {
            return Ok(None);
        };
        if place.env.is_some() {
            return Err(Failure::usage(
                "a URI names the place by itself: leave --env out",
            ));
        }
        Ok(Some(parsed(text)?))
    }

    /// Whether there is a store to look at.
    pub(crate) fn has_store(&self) -> bool {
        self.shared.is_some() || self.dir.join("belay.db").exists()
    }

    /// The service that is meant, unless the store has to tell.
    pub(crate) fn service(&self, named: Option<&str>) -> Option<String> {
        named
            .map(str::to_owned)
            .or_else(|| Some(self.load_if_any()?.config.service))
    }
}

fn shared(url: &StoreUrl, usage: Use) -> Shared {
    let mut postgres = PostgresOptions::new(url.0.clone());
    match usage {
        Use::Work(lease) => postgres.lease = lease,
        // One command does one thing at a time: the server's connections are for workers.
        _ => {
            postgres.writers = 1;
            postgres.readers = 3;
        }
    }
    let tables = match usage {
        Use::Found => Tables::Found,
        Use::Made | Use::Restored | Use::Work(_) => Tables::Made,
        Use::Migrated => Tables::Migrated,
    };
    Shared { postgres, tables }
}

/// A URI that somebody wrote.
pub(crate) fn parsed(text: &str) -> Result<Uri, Failure> {
    let uri = text.parse::<Uri>();
    uri.map_err(|error| belay_runtime::Error::from(error).into())
}

fn nearest(from: &Path) -> Option<PathBuf> {
    let mut files = from.ancestors().map(|dir| dir.join(FILE));
    files.find(|file| file.is_file())
}

/// Who asks, for the history: `BELAY_ACTOR`, or user and host.
fn actor() -> String {
    if let Some(actor) = variable("BELAY_ACTOR") {
        return actor;
    }
    let user = variable("USER")
        .or_else(|| variable("LOGNAME"))
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let names = rustix::system::uname();
    format!("{user}@{}", names.nodename().to_string_lossy())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The caller's environment variables, for secrets of the form `env:NAME`.
pub(crate) fn variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_is_found_upwards() {
        let root = tempfile::tempdir().expect("a directory");
        let deep = root.path().join("a/b");
        std::fs::create_dir_all(&deep).expect("directories");
        let file = root.path().join(FILE);
        std::fs::write(&file, "").expect("a file");
        assert_eq!(nearest(&deep), Some(file));
    }
}
