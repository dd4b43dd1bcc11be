//! The place where artifacts are: takes them in, hands them out verified, and removes those nobody needs.

use super::copy;
use super::error::{ArtifactError, at};
use super::manifest::Manifest;
use super::tree::{Bounds, Entry, Tree};
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
pub struct Artifacts(Arc<Place>);

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
        Ok(Self(Arc::new(Place {
            dir: store.join("artifacts"),
            store,
            options,
            verified: Mutex::default(),
        })))
    }

    /// Keeps a copy of a file or directory; the same content again copies nothing. Belay's own directory inside of it
    /// is left out.
    ///
    /// # Errors
    /// When it is not there, is too large, links to outside of itself, or cannot be copied.
    pub async fn add(&self, path: &Path) -> Result<ArtifactDigest, ArtifactError> {
        let path = path.to_owned();
        self.blocking(move |place| place.add(&path)).await
    }

    /// Where an artifact's files are, verified: all of them are what was added.
    ///
    /// # Errors
    /// `Missing`, or `Altered` with the first file that is.
    pub async fn directory(&self, digest: &ArtifactDigest) -> Result<PathBuf, ArtifactError> {
        let digest = digest.clone();
        self.blocking(move |place| place.directory(&digest)).await
    }

    /// Removes all artifacts that are not in `keep` (see [`crate::SqliteStore::kept`]); answers which.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub async fn collect(
        &self,
        keep: &BTreeSet<ArtifactDigest>,
    ) -> Result<Vec<ArtifactDigest>, ArtifactError> {
        let keep = keep.clone();
        self.blocking(move |place| place.collect(&keep)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> Result<T, ArtifactError> + Send + 'static,
    ) -> Result<T, ArtifactError> {
        let place = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&place)).await;
        done.unwrap_or_else(|e| Err(at(&self.0.dir)(io::Error::other(e))))
    }
}

impl Place {
    fn add(&self, source: &Path) -> Result<ArtifactDigest, ArtifactError> {
        let tree = Tree::of_source(source, &self.store, self.bounds())?;
        let digest = Manifest::of(&tree)?.digest();
        if self.is_here(&digest)? {
            return Ok(digest);
        }
        let draft = self.unnamed("new");
        std::fs::create_dir(&draft).map_err(at(&draft))?;
        let named = self
            .copy(&tree, &draft)
            .and_then(|digest| self.name(&draft, digest));
        if draft.exists() {
            let removed = copy::remove(&draft);
            return named.and_then(|digest| removed.map(|()| digest));
        }
        named
    }

    /// Copies into the draft. The digest is that of the copy: the source may be changing under our hands.
    fn copy(&self, tree: &Tree, draft: &Path) -> Result<ArtifactDigest, ArtifactError> {
        let files = draft.join("files");
        copy::copy(tree, &files)?;
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
