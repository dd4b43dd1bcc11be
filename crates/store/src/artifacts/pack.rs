//! An artifact as one stream: the content of each of its files in the order of the manifest, each behind its length (64
//! bits, big endian). Everything else about it is in the manifest.

use super::error::{ArtifactError, at};
use super::manifest::{Line, Manifest};
use super::tree::Bounds;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Component, Path};

/// Writes what is below `root`, which is what the manifest lists.
pub(super) fn pack(
    manifest: &Manifest,
    root: &Path,
    to: &mut dyn Write,
) -> Result<(), ArtifactError> {
    for line in manifest.entries() {
        let Line::File { path, .. } = line else {
            continue;
        };
        let path = root.join(path);
        let file = File::open(&path).map_err(at(&path))?;
        let size = file.metadata().map_err(at(&path))?.len();
        to.write_all(&size.to_be_bytes()).map_err(at(&path))?;
        // A file that is longer meanwhile must not move what follows; one that is shorter is noticed here.
        let copied = std::io::copy(&mut (&file).take(size), to).map_err(at(&path))?;
        if copied != size {
            return Err(at(&path)(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(())
}

/// Makes what the manifest lists below `root`, which does not exist yet. Whether it is the right content is for the caller
/// to check; that nothing leads out of `root`, and that it is not too large, is checked here: what comes from a store that
/// others write is not to be trusted.
pub(super) fn unpack(
    manifest: &Manifest,
    root: &Path,
    bounds: Bounds,
    from: &mut dyn Read,
) -> Result<(), ArtifactError> {
    std::fs::create_dir(root).map_err(at(root))?;
    let (mut files, mut bytes) = (0_usize, 0_u64);
    let too_large =
        || ArtifactError::TooLarge(format!("{} in the shared store", manifest.digest()));
    for line in manifest.entries() {
        files += 1;
        let inside = |component| matches!(component, Component::Normal(_));
        let path = line.path();
        if files > bounds.files {
            return Err(too_large());
        }
        if path.as_os_str().is_empty() || !path.components().all(inside) {
            return Err(ArtifactError::Outside {
                path: path.to_owned(),
                target: path.to_owned(),
            });
        }
        let target = root.join(path);
        match line {
            Line::Directory { .. } => std::fs::create_dir(&target).map_err(at(&target))?,
            Line::File { executable, .. } => {
                let mut size = [0; 8];
                from.read_exact(&mut size).map_err(at(&target))?;
                let size = u64::from_be_bytes(size);
                bytes = bytes.saturating_add(size);
                if bytes > bounds.bytes {
                    return Err(too_large());
                }
                let mut file = File::create_new(&target).map_err(at(&target))?;
                let copied = std::io::copy(&mut Read::take(&mut *from, size), &mut file);
                if copied.map_err(at(&target))? != size {
                    return Err(at(&target)(std::io::ErrorKind::UnexpectedEof.into()));
                }
                super::copy::set_mode(&target, if executable { 0o555 } else { 0o444 })?;
            }
            Line::Link { .. } => {}
        }
    }
    // Links last: so nothing was written through one.
    for line in manifest.entries() {
        if let Line::Link { path, target } = line {
            let path = root.join(path);
            symlink(target, &path).map_err(at(&path))?;
        }
    }
    Ok(())
}
