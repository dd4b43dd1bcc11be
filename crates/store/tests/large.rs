//! A large artifact passes through the shared store in pieces. Alone in its process: what is looked
//! at is the most memory that the process ever had.

mod support;

use belay_store::{ArtifactOptions, Artifacts};
use belay_testbed::Version;
use std::fs;
use std::io::Write;
use support::postgres::Database;

/// Bytes of the artifact, and what may be held of it at most on its way in and out.
const LARGE: u64 = 32 << 20;
const HELD: u64 = 20 << 20;

/// The most memory that this process had, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn a_large_artifact_is_never_held_as_a_whole() {
    let database = Database::new(Version::V15).await;
    let (dir, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    fs::create_dir_all(&one).unwrap();
    fs::create_dir_all(&other).unwrap();
    let mut file = fs::File::create(source.path().join("large")).unwrap();
    for n in 0..LARGE >> 20 {
        file.write_all(&[n as u8; 1 << 20]).unwrap();
    }
    let store = database.open().await;
    let options = ArtifactOptions::default;
    let one = Artifacts::shared(&one, options(), &store).unwrap();
    let other = Artifacts::shared(&other, options(), &store).unwrap();
    let before = peak();
    let digest = one.add(source.path()).await.unwrap();
    let files = other.directory(&digest).await.unwrap();
    let had = peak() - before;
    let size = fs::metadata(files.join("large")).unwrap().len();
    assert_eq!(size, LARGE);
    assert!(had < HELD, "{} MiB were held", had >> 20);
}
