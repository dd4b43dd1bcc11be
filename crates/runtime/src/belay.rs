//! One store opened, with everything put together around it.

use crate::Error;
use crate::artifacts::StoredArtifacts;
use crate::clock::SystemClock;
use crate::counters::ProxyCounters;
use crate::kubernetes::{Late, OnKubernetes};
use crate::launch::{Launcher, make_directory};
use crate::retention::{Collector, Retention};
use crate::secrets::{Sealed, SealedSecrets};
use belay_driver::{Driver, Router};
use belay_engine::ports::{Drivers, Ports, Store, StoreError};
use belay_sources::{Programs, Sources};
use belay_store::{
    AnyStore, ArtifactOptions, Artifacts, Blobs, PostgresOptions, PostgresStore, SqliteStore,
    Tables,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the command line knows.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory `.belay` of this machine. Made when it is missing, mode 0700.
    pub dir: PathBuf,
    /// The store that machines share; absent: it is in the directory.
    pub shared: Option<Shared>,
    /// How this machine is called (`BELAY_HOST`), instead of what the directory says.
    pub host: Option<String>,
    /// This executable: run as `exe worker`, `exe proxy run`, `exe supervise`.
    pub exe: PathBuf,
    /// Key for sealed values (`BELAY_KEY`), instead of the file `.belay/key`.
    pub key: Option<String>,
    /// Who asks, for the journal: `alice@host`.
    pub actor: String,
    /// What is kept.
    pub retention: Retention,
    /// A database that was lost may be made anew although something runs from the directory: to restore it.
    pub lost: bool,
}

/// A store on PostgreSQL, for several machines.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Where, and how it is used. Its URL is never printed, and given to processes of Belay's own in their environment.
    pub postgres: PostgresOptions,
    /// What is done about tables that are missing or old.
    pub tables: Tables,
}

/// What the database's file is called once it was moved.
pub(crate) const MOVED: &str = "belay.db.moved";

/// One store opened. Cheap to clone.
#[derive(Clone)]
pub struct Belay(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    actor: String,
    host: String,
    is_shared: bool,
    store: Arc<AnyStore>,
    sealed: Arc<Sealed>,
    artifacts: Artifacts,
    retention: Retention,
    launcher: Launcher,
    kubernetes: Arc<Late>,
    ports: Ports,
}

impl Belay {
    /// Opens the store, making it when there is none.
    ///
    /// # Errors
    /// The directory or the store cannot be used.
    pub async fn open(options: Options) -> Result<Self, Error> {
        let io = |source| Error::Io {
            what: format!("use the directory {}", options.dir.display()),
            source,
        };
        let is_shared = options.shared.is_some();
        let url = options
            .shared
            .as_ref()
            .map(|shared| shared.postgres.url.clone());
        // Before anything is made here: it may be the wrong one.
        let shared = match options.shared {
            Some(Shared { postgres, tables }) => {
                Some(PostgresStore::connect(postgres, tables).await?)
            }
            None => None,
        };
        make_directory(&options.dir).map_err(io)?;
        // Detached processes have another working directory, and a path with links is not the same path twice.
        let dir = std::fs::canonicalize(&options.dir).map_err(io)?;
        let exe = std::path::absolute(&options.exe).map_err(io)?;
        let host = crate::host::id(&dir, options.host, is_shared).map_err(io)?;
        let bounds = artifact_options(&options.retention);
        let (store, artifacts) = match shared {
            Some(store) => {
                let artifacts = Artifacts::shared(&dir, bounds, &store);
                (store.any(), artifacts)
            }
            None => {
                require_database(&dir, options.lost)?;
                let store = SqliteStore::open(&dir, belay_store::Options::default());
                (store.await?.any(), Artifacts::open(&dir, bounds))
            }
        };
        let store = Arc::new(store);
        let artifacts = artifacts.map_err(|error| Error::Io {
            what: format!("use the artifacts of {}", dir.display()),
            source: std::io::Error::other(error),
        })?;
        let sealed = Arc::new(Sealed::new(store.clone(), options.key.clone(), &dir));
        let launcher = Launcher::new(dir.clone(), exe, options.key, url);
        let clock = Arc::new(SystemClock);
        let stored = Arc::new(StoredArtifacts(artifacts.clone()));
        let runner = Programs {
            artifacts: stored.clone(),
            clock: clock.clone(),
        };
        let kubernetes = Arc::new(Late::new(store.clone(), sealed.clone(), stored.clone()));
        let verifier = Sources {
            addresses: Arc::new(OnKubernetes(kubernetes.clone())),
            clock: clock.clone(),
            counters: Arc::new(ProxyCounters::new(launcher.client())),
            artifacts: stored.clone(),
        };
        let retention = Collector {
            store: store.clone(),
            artifacts: artifacts.clone(),
            clock: clock.clone(),
            rule: options.retention,
        };
        let journal: Arc<dyn Store> = store.clone();
        #[cfg(debug_assertions)]
        let journal = crate::crash::store(journal);
        let ports = Ports {
            store: journal,
            clock,
            retention: Arc::new(retention),
            verifier: Arc::new(verifier),
            runner: Arc::new(runner),
            secrets: Arc::new(SealedSecrets(sealed.clone())),
            drivers: Arc::new(Registry::new(&launcher, stored, kubernetes.clone())),
        };
        Ok(Self(Arc::new(Inner {
            dir,
            actor: options.actor,
            host,
            is_shared,
            store,
            sealed,
            artifacts,
            retention: options.retention,
            launcher,
            kubernetes,
            ports,
        })))
    }

    /// This machine's directory, absolute. Without a shared store it is the store's.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Who asks.
    pub fn actor(&self) -> &str {
        &self.0.actor
    }

    /// The durable places.
    pub fn store(&self) -> Arc<dyn Store> {
        self.0.ports.store.clone()
    }

    /// The same with what the engine does not need: checks, retention.
    pub fn database(&self) -> &AnyStore {
        &self.0.store
    }

    /// Whether other machines use the store, too.
    pub fn is_shared(&self) -> bool {
        self.0.is_shared
    }

    /// How this machine is called: its workers alone touch targets that name it.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// Bytes that are free where the store is; absent: that is not on this machine.
    pub fn free_bytes(&self) -> Option<u64> {
        let local = !self.is_shared();
        let disk = local
            .then(|| rustix::fs::statvfs(self.dir()).ok())
            .flatten()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Makes sure that something can be begun: the store takes a write, and the key that is here is the store's.
    ///
    /// # Errors
    /// Neither was changed.
    pub(crate) async fn require_writable(&self) -> Result<(), Error> {
        self.require_key().await?;
        Ok(self.0.store.require_writable().await?)
    }

    /// Makes the store ready to be written while the caller still looks: the first write of a process costs more than
    /// the next. Whether it can be written, the write itself tells.
    pub fn expect_write(&self) {
        let store = self.0.store.clone();
        tokio::spawn(async move { store.require_writable().await });
    }

    /// What releases run.
    pub fn artifacts(&self) -> &Artifacts {
        &self.0.artifacts
    }

    pub(crate) fn artifact_options(&self) -> ArtifactOptions {
        artifact_options(&self.0.retention)
    }

    /// What the engine needs.
    pub fn ports(&self) -> Ports {
        self.0.ports.clone()
    }

    /// Closes the store's files. Nothing of this value can be used afterwards.
    pub async fn close(&self) {
        self.0.store.close().await;
    }

    /// See [`Belay::require_writable`].
    pub(crate) async fn require_key(&self) -> Result<(), Error> {
        self.0.sealed.check().await.map_err(Error::Key)
    }

    /// The driver of Kubernetes, for what is no part of the contract of drivers.
    pub(crate) fn kubernetes(&self) -> &Late {
        &self.0.kubernetes
    }

    pub(crate) fn launcher(&self) -> &Launcher {
        &self.0.launcher
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.0.ports.clock.now_us()
    }

    pub(crate) async fn blobs(&self) -> Result<&Blobs, Error> {
        self.0.sealed.blobs().await.map_err(Error::Key)
    }
}

impl std::fmt::Debug for Belay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Belay").field("dir", &self.0.dir).finish()
    }
}

fn artifact_options(retention: &Retention) -> ArtifactOptions {
    ArtifactOptions {
        grace: retention.grace,
        ..ArtifactOptions::default()
    }
}

/// The drivers of this build.
struct Registry(BTreeMap<&'static str, Arc<dyn Driver>>);

impl Registry {
    #[cfg_attr(not(feature = "process"), allow(unused_variables, unused_mut))]
    fn new(
        launcher: &Launcher,
        artifacts: Arc<dyn belay_driver::Artifacts>,
        kubernetes: Arc<Late>,
    ) -> Self {
        let mut drivers: BTreeMap<&'static str, Arc<dyn Driver>> = BTreeMap::new();
        let kubernetes: Arc<dyn Driver> = kubernetes;
        #[cfg(debug_assertions)]
        let kubernetes = crate::crash::driver(kubernetes);
        drivers.insert("kubernetes", kubernetes);
        #[cfg(feature = "process")]
        {
            let options = belay_driver_process::Options {
                root: launcher.instances(),
                exe: launcher.exe().to_owned(),
                key_file: launcher.key_file(),
            };
            let router: Arc<dyn Router> =
                Arc::new(crate::router::ProxyRouter::new(launcher.clone()));
            #[cfg(debug_assertions)]
            let (router, artifacts) = (
                crate::crash::router(router),
                crate::crash::artifacts(artifacts),
            );
            let driver: Arc<dyn Driver> = Arc::new(belay_driver_process::Process::new(
                options, router, artifacts,
            ));
            #[cfg(debug_assertions)]
            let driver = crate::crash::driver(driver);
            drivers.insert("process", driver);
        }
        Self(drivers)
    }
}

impl Drivers for Registry {
    fn driver(&self, name: &str) -> Option<Arc<dyn Driver>> {
        self.0.get(name).cloned()
    }
}

/// A directory without a database is a new store, unless something runs from it: then the database was lost, and a new one
/// would know nothing of that.
fn require_database(dir: &Path, lost: bool) -> Result<(), Error> {
    if dir.join("belay.db").exists() {
        return Ok(());
    }
    if dir.join(MOVED).exists() {
        let why = "it was moved to PostgreSQL: set BELAY_STORE to its URL".to_owned();
        return Err(Error::Store(StoreError::Unwritable(why)));
    }
    if lost {
        return Ok(());
    }
    let instances = std::fs::read_dir(dir.join("instances"))
        .into_iter()
        .flatten();
    let count = instances.flatten().count();
    if count == 0 {
        return Ok(());
    }
    let why = format!(
        "{} has {count} instances but no belay.db, which says what they are; nothing was changed: restore belay.db from a backup",
        dir.display()
    );
    Err(Error::Store(StoreError::Damaged(why)))
}
