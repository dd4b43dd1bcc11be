//! The place where artifacts are: takes them in, hands them out verified, and removes those nobody needs.

use super::copy;
use super::depot::Depot;
use super::error::{ArtifactError, at};
use super::manifest::Manifest;
use super::pack;
use super::stream::{Given, Taken};
use super::tree::{Bounds, Entry, Tree};
use crate::PostgresStore;
use belay_model::id::ArtifactDigest;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// Bounds and graces.
#[derive(Clone, Debug)]
pub struct ArtifactOptions {
    /// Files, directories and links of one artifact at most.
    pub max_files: usize,
    /// Bytes of one artifact at most.
    pub max_bytes: u64,
    /// What was added or left unfinished within this time is not collected: it may be about to be named.
    pub grace: Duration,
}

impl Default for ArtifactOptions {
    fn default() -> Self {
        Self {
            max_files: 100_000,
            max_bytes: 4 << 30,
            grace: Duration::from_secs(60 * 60),
        }
    }
}

/// The artifacts of a store.
#[derive(Clone)]
pub struct Artifacts {
    place: Arc<Place>,
    /// Where they are for all machines; absent: here alone.
    depot: Option<Depot>,
}

struct Place {
    /// `.belay`, without links in its path.
    store: PathBuf,
    /// `.belay/artifacts`.
    dir: PathBuf,
    options: ArtifactOptions,
    /// What was verified, as it looked then.
    verified: Mutex<HashMap<ArtifactDigest, Vec<Entry>>>,
}

impl Artifacts {
    /// Artifacts of the store in `dir` (`.belay/`).
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn open(dir: &Path, options: ArtifactOptions) -> Result<Self, ArtifactError> {
        let artifacts = dir.join("artifacts");
        std::fs::create_dir_all(&artifacts).map_err(at(&artifacts))?;
        let store = dir.canonicalize().map_err(at(dir))?;
        let place = Arc::new(Place {
            dir: store.join("artifacts"),
            store,
            options,
            verified: Mutex::default(),
        });
        Ok(Self { place, depot: None })
    }

    /// The same, with a store in which they are for all machines that use it; `dir` keeps copies of those that this one
    /// needs.
    ///
    /// # Errors
    /// As [`Artifacts::open`].
    pub fn shared(
        dir: &Path,
        options: ArtifactOptions,
        store: &PostgresStore,
    ) -> Result<Self, ArtifactError> {
        let depot = Some(Depot::new(store.database.clone()));
        Ok(Self {
            depot,
            ..Self::open(dir, options)?
        })
    }

    /// Keeps a copy of a file or directory; the same content again copies nothing. Belay's own directory inside of it
    /// is left out.
    ///
    /// # Errors
    /// When it is not there, is too large, links to outside of itself, or cannot be copied.
    pub async fn add(&self, path: &Path) -> Result<ArtifactDigest, ArtifactError> {
        let path = path.to_owned();
        let digest = self.blocking(move |place| place.add(&path)).await?;
        self.publish(&digest).await?;
        Ok(digest)
    }

    /// Sees to it that all machines can have an artifact that this one has.
    ///
    /// # Errors
    /// `Missing` or `Altered` here; or the shared store cannot be written.
    pub async fn publish(&self, digest: &ArtifactDigest) -> Result<(), ArtifactError> {
        let Some(depot) = &self.depot else {
            return Ok(());
        };
        if depot.touch(digest).await? {
            return Ok(());
        }
        let wanted = digest.clone();
        let manifest = self.blocking(move |place| place.manifest(&wanted)).await?;
        let files = self.place.home(digest)?.join("files");
        depot.keep(manifest, files).await
    }

    /// All that there are.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn list(&self) -> Result<Vec<ArtifactDigest>, ArtifactError> {
        match &self.depot {
            Some(depot) => Ok(depot.list().await?),
            None => self.blocking(Place::list).await,
        }
    }

    /// One as a stream.
    pub(crate) async fn give(&self, digest: &ArtifactDigest) -> Result<Given, ArtifactError> {
        let files = self.directory(digest).await?;
        let wanted = digest.clone();
        let manifest = self.blocking(move |place| place.manifest(&wanted)).await?;
        Ok(Given::of(manifest, files))
    }

    /// One from a stream.
    ///
    /// # Errors
    /// `Altered`: that is not its manifest.
    pub(crate) fn take(
        &self,
        digest: &ArtifactDigest,
        manifest: String,
    ) -> Result<Taken, ArtifactError> {
        let manifest = Manifest::parse(manifest, digest).ok_or_else(|| ArtifactError::Altered {
            digest: digest.clone(),
            what: "its list of files".to_owned(),
        })?;
        let (artifacts, wanted) = (self.clone(), digest.clone());
        Ok(Taken::by(move |mut stream| async move {
            let digest = wanted.clone();
            let unpack =
                move |files: &Path, bounds| pack::unpack(&manifest, files, bounds, &mut stream);
            let make = move |place: &Place| match place.is_here(&digest)? {
                true => Ok(()),
                false => place.make(unpack, Some(&digest)).map(drop),
            };
            artifacts.blocking(make).await?;
            artifacts.publish(&wanted).await
        }))
    }

    /// Where an artifact's files are, verified: all of them are what was added.
    ///
    /// # Errors
    /// `Missing`, or `Altered` with the first file that is.
    pub async fn directory(&self, digest: &ArtifactDigest) -> Result<PathBuf, ArtifactError> {
        let wanted = digest.clone();
        let found = self.blocking(move |place| place.directory(&wanted)).await;
        let is_lost = matches!(
            found,
            Err(ArtifactError::Missing(_) | ArtifactError::Altered { .. })
        );
        match &self.depot {
            Some(depot) if is_lost => self.fetch(depot, digest).await,
            _ => found,
        }
    }

    /// Brings a copy here.
    async fn fetch(
        &self,
        depot: &Depot,
        digest: &ArtifactDigest,
    ) -> Result<PathBuf, ArtifactError> {
        let manifest = depot.manifest(digest).await?;
        let manifest = manifest.ok_or_else(|| ArtifactError::Missing(digest.clone()))?;
        let wanted = digest.clone();
        let (chunks, mut stream) = depot.chunks(digest);
        let made = self.blocking(move |place| {
            place.make(
                |files, bounds| pack::unpack(&manifest, files, bounds, &mut stream),
                Some(&wanted),
            )
        });
        let (sent, made) = tokio::join!(chunks, made);
        // A store that failed is why the stream ended too soon.
        sent?;
        made?;
        let wanted = digest.clone();
        self.blocking(move |place| place.directory(&wanted)).await
    }

    /// Removes all artifacts that are not in `keep` (see [`crate::SqliteStore::kept`]); answers which.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub async fn collect(
        &self,
        keep: &BTreeSet<ArtifactDigest>,
    ) -> Result<Vec<ArtifactDigest>, ArtifactError> {
        let mut gone = BTreeSet::new();
        if let Some(depot) = &self.depot {
            gone.extend(depot.collect(keep, self.place.options.grace).await?);
        }
        let keep = keep.clone();
        gone.extend(self.blocking(move |place| place.collect(&keep)).await?);
        Ok(gone.into_iter().collect())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> Result<T, ArtifactError> + Send + 'static,
    ) -> Result<T, ArtifactError> {
        let place = self.place.clone();
        let done = tokio::task::spawn_blocking(move || work(&place)).await;
        done.unwrap_or_else(|e| Err(at(&self.place.dir)(io::Error::other(e))))
    }
}

impl Place {
    fn add(&self, source: &Path) -> Result<ArtifactDigest, ArtifactError> {
        let tree = Tree::of_source(source, &self.store, self.bounds())?;
        let digest = Manifest::of(&tree)?.digest();
        if self.is_here(&digest)? {
            return Ok(digest);
        }
        self.make(|files, _| copy::copy(&tree, files), None)
    }

    /// Makes an artifact's files by `fill`, whole or not at all; it has to become `wanted`, if that is known. Answers what
    /// it is: the digest is that of the copy, as the source may be changing under our hands.
    fn make(
        &self,
        fill: impl FnOnce(&Path, Bounds) -> Result<(), ArtifactError>,
        wanted: Option<&ArtifactDigest>,
    ) -> Result<ArtifactDigest, ArtifactError> {
        let draft = self.unnamed("new");
        std::fs::create_dir(&draft).map_err(at(&draft))?;
        let named = fill(&draft.join("files"), self.bounds())
            .and_then(|()| self.seal(&draft))
            .and_then(|digest| match wanted {
                Some(wanted) if *wanted != digest => Err(ArtifactError::Altered {
                    digest: wanted.clone(),
                    what: "what the shared store has of it".to_owned(),
                }),
                _ => self.name(&draft, digest),
            });
        if draft.exists() {
            let removed = copy::remove(&draft);
            return named.and_then(|digest| removed.map(|()| digest));
        }
        named
    }

    /// Makes what is in a draft durable and read-only, and lists it.
    fn seal(&self, draft: &Path) -> Result<ArtifactDigest, ArtifactError> {
        let files = draft.join("files");
        let copied = Tree::below(&files, None, self.bounds())?;
        let manifest = Manifest::of(&copied)?;
        copy::protect(&copied)?;
        copy::sync(&copied)?;
        let list = draft.join("manifest");
        std::fs::write(&list, manifest.text()).map_err(at(&list))?;
        copy::sync_one(&list)?;
        copy::sync_one(draft)?;
        Ok(manifest.digest())
    }

    /// Gives the draft its name, unless another process was faster.
    fn name(&self, draft: &Path, digest: ArtifactDigest) -> Result<ArtifactDigest, ArtifactError> {
        if self.is_here(&digest)? {
            return Ok(digest);
        }
        let _lock = self.lock()?;
        let home = self.home(&digest)?;
        match std::fs::rename(draft, &home) {
            // Taken meanwhile: an artifact is never empty of files and manifest.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(digest),
            Err(error) => Err(at(&home)(error)),
            Ok(()) => copy::sync_one(&self.dir).map(|()| digest),
        }
    }

    /// Whether an artifact is there and whole. One that was altered is set aside, to be copied again; who runs it
    /// keeps its files.
    fn is_here(&self, digest: &ArtifactDigest) -> Result<bool, ArtifactError> {
        let verdict = self.directory(digest);
        let _lock = self.lock()?;
        let home = self.home(digest)?;
        match verdict {
            Err(ArtifactError::Altered { .. }) => {
                let aside = self.unnamed("altered");
                std::fs::rename(&home, &aside).map_err(at(&home))?;
                copy::remove(&aside).map(|()| false)
            }
            Err(ArtifactError::Missing(_)) => Ok(false),
            Err(error) => Err(error),
            // Young since it was looked at, so that no collection takes it before it is named; gone: one just did.
            Ok(_) => Ok(home.is_dir()),
        }
    }

    fn directory(&self, digest: &ArtifactDigest) -> Result<PathBuf, ArtifactError> {
        let home = self.home(digest)?;
        let files = home.join("files");
        if !files.is_dir() {
            return Err(ArtifactError::Missing(digest.clone()));
        }
        let altered = |what: String| ArtifactError::Altered {
            digest: digest.clone(),
            what,
        };
        let tree = match Tree::below(&files, None, self.bounds()) {
            Err(ArtifactError::Io(path, error)) => return Err(ArtifactError::Io(path, error)),
            Err(other) => return Err(altered(other.to_string())),
            Ok(tree) => tree,
        };
        // Asked for now, named soon: a collection leaves it for the grace. Not load-bearing: the disk may be full.
        let _ = File::open(&home).and_then(|dir| dir.set_modified(SystemTime::now()));
        if self.verified().get(digest) == Some(&tree.entries) {
            return Ok(files);
        }
        let actual = Manifest::of(&tree)?;
        if actual.digest() != *digest {
            let expected = Manifest::read(&home.join("manifest"), digest);
            let difference = expected.and_then(|expected| expected.difference(&actual));
            return Err(altered(difference.unwrap_or_else(|| {
                "something in it, and its list of files, too".to_owned()
            })));
        }
        self.verified().insert(digest.clone(), tree.entries);
        Ok(files)
    }

    /// The list of an artifact that is here and whole.
    fn manifest(&self, digest: &ArtifactDigest) -> Result<Manifest, ArtifactError> {
        let files = self.directory(digest)?;
        // Made from the files where the list beside them was altered: they were verified.
        match Manifest::read(&self.home(digest)?.join("manifest"), digest) {
            Some(manifest) => Ok(manifest),
            None => Manifest::of(&Tree::below(&files, None, self.bounds())?),
        }
    }

    fn list(&self) -> Result<Vec<ArtifactDigest>, ArtifactError> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(at(&self.dir))? {
            let name = entry.map_err(at(&self.dir))?.file_name();
            let digest = ArtifactDigest::new(format!("sha256:{}", name.to_string_lossy()));
            if self.home(&digest).is_ok() {
                found.push(digest);
            }
        }
        Ok(found)
    }

    fn collect(
        &self,
        keep: &BTreeSet<ArtifactDigest>,
    ) -> Result<Vec<ArtifactDigest>, ArtifactError> {
        let mut gone = Vec::new();
        let mut rubbish = Vec::new();
        let lock = self.lock()?;
        for found in std::fs::read_dir(&self.dir).map_err(at(&self.dir))? {
            let path = found.map_err(at(&self.dir))?.path();
            if !path.is_dir() || !self.is_old(&path) {
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') {
                rubbish.push(path);
                continue;
            }
            let digest = ArtifactDigest::new(format!("sha256:{name}"));
            if keep.contains(&digest) || self.home(&digest).is_err() {
                continue;
            }
            let aside = self.unnamed("gone");
            std::fs::rename(&path, &aside).map_err(at(&path))?;
            self.verified().remove(&digest);
            gone.push(digest);
            rubbish.push(aside);
        }
        drop(lock);
        for path in rubbish {
            copy::remove(&path)?;
        }
        Ok(gone)
    }

    /// Where an artifact is if it is anywhere. A digest that is none leads nowhere, and not out of here either.
    fn home(&self, digest: &ArtifactDigest) -> Result<PathBuf, ArtifactError> {
        let hex = digest.as_str().strip_prefix("sha256:").filter(|hex| {
            hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        let hex = hex.ok_or_else(|| ArtifactError::Missing(digest.clone()))?;
        Ok(self.dir.join(hex))
    }

    /// A name that no artifact has.
    fn unnamed(&self, what: &str) -> PathBuf {
        self.dir
            .join(format!(".{what}-{:016x}", rand::random::<u64>()))
    }

    /// Whether it was left alone for longer than the grace.
    fn is_old(&self, path: &Path) -> bool {
        let modified = path.symlink_metadata().and_then(|data| data.modified());
        let age = modified.ok().and_then(|at| at.elapsed().ok());
        age.is_some_and(|age| age >= self.options.grace)
    }

    /// Names are given and taken one process at a time.
    fn lock(&self) -> Result<File, ArtifactError> {
        let path = self.dir.join(".lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.map_err(at(&path))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|e| at(&path)(e.into()))?;
        Ok(file)
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, HashMap<ArtifactDigest, Vec<Entry>>> {
        self.verified.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            files: self.options.max_files,
            bytes: self.options.max_bytes,
        }
    }
}
