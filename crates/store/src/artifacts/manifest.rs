//! The manifest: one line per entry of a tree, sorted by path; its hash is the artifact's digest. It holds what
//! decides how the artifact behaves (type, executable bit, link target, content) and nothing that does not (owner,
//! times, other permissions).

use super::error::{ArtifactError, at};
use super::tree::{Kind, Tree, bytes_of};
use belay_model::id::ArtifactDigest;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

const HEADER: &str = "belay-artifact 1\n";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest(String);

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Directory { path: PathBuf },
    File { path: PathBuf, executable: bool },
    Link { path: PathBuf, target: PathBuf },
}

impl Line {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Directory { path } | Self::File { path, .. } | Self::Link { path, .. } => path,
        }
    }
}

impl Manifest {
    /// Reads every file.
    pub(super) fn of(tree: &Tree) -> Result<Self, ArtifactError> {
        let mut text = HEADER.to_owned();
        for entry in &tree.entries {
            let path = escaped(bytes_of(&entry.path));
            // Writing to a string cannot fail.
            let _ = match &entry.kind {
                Kind::Directory => writeln!(text, "d {path}"),
                Kind::File { executable } => {
                    let kind = if *executable { 'x' } else { 'f' };
                    let content = content_hash(&tree.on_disk(entry))?;
                    writeln!(text, "{kind} {path} {content}")
                }
                Kind::Link { target } => writeln!(text, "l {path} {}", escaped(bytes_of(target))),
            };
        }
        Ok(Self(text))
    }

    /// As stored; `None` when it is not the manifest of that digest.
    pub(super) fn read(file: &Path, digest: &ArtifactDigest) -> Option<Self> {
        let manifest = Self(std::fs::read_to_string(file).ok()?);
        (manifest.digest() == *digest).then_some(manifest)
    }

    /// From where others write; `None` when it is not the manifest of that digest.
    pub(super) fn parse(text: String, digest: &ArtifactDigest) -> Option<Self> {
        let manifest = Self(text);
        (manifest.digest() == *digest).then_some(manifest)
    }

    /// What it lists, in order. Lines that say nothing known are left out: then the tree will not fit.
    pub(super) fn entries(&self) -> impl Iterator<Item = Line> {
        self.0.lines().skip(1).filter_map(|line| {
            let mut words = line.split(' ');
            let kind = words.next()?;
            let path = unescaped(words.next()?)?;
            Some(match kind {
                "d" => Line::Directory { path },
                "f" | "x" => Line::File {
                    path,
                    executable: kind == "x",
                },
                "l" => Line::Link {
                    path,
                    target: unescaped(words.next()?)?,
                },
                _ => return None,
            })
        })
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn digest(&self) -> ArtifactDigest {
        ArtifactDigest::new(format!("sha256:{}", hex::encode(Sha256::digest(&self.0))))
    }

    /// The first thing in which `actual` differs, in words.
    pub(super) fn difference(&self, actual: &Self) -> Option<String> {
        let (expected, actual) = (self.lines(), actual.lines());
        for (path, line) in &expected {
            match actual.get(path) {
                None => return Some(format!("{path} is missing")),
                Some(other) if other != line => return Some(format!("{path} was changed")),
                Some(_) => {}
            }
        }
        let added = actual.keys().find(|path| !expected.contains_key(*path));
        added.map(|path| format!("{path} was added"))
    }

    /// Lines by (escaped) path.
    fn lines(&self) -> BTreeMap<&str, &str> {
        let lines = self.0.lines().skip(1);
        lines
            .filter_map(|line| Some((line.split(' ').nth(1)?, line)))
            .collect()
    }
}

/// Lower-case hex SHA-256 of a file's content.
fn content_hash(path: &Path) -> Result<String, ArtifactError> {
    let mut file = File::open(path).map_err(at(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(at(path))?;
        if read == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

/// Percent-encoded where a byte could be taken for the manifest's own signs.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'!'..=b'$' | b'&'..=b'~' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "%{byte:02x}");
            }
        }
    }
    text
}

/// The bytes again; `None`: nobody escaped that.
fn unescaped(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (code, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()?);
        rest = after;
    }
    Some(std::ffi::OsString::from_vec(bytes).into())
}
