//! Artifacts in the shared store: what one machine added, another has; checked, bounded, completed, collected.

use crate::support::postgres::Database;
use belay_model::id::ArtifactDigest;
use belay_store::{ArtifactError, ArtifactOptions, Artifacts, PostgresStore};
use belay_testbed::Version;
use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

/// A machine: the store, its directory, its artifacts.
struct Machine {
    dir: tempfile::TempDir,
    artifacts: Artifacts,
    _store: PostgresStore,
}

async fn machine(database: &Database, options: ArtifactOptions) -> Machine {
    let dir = tempfile::tempdir().unwrap();
    let store = database.open().await;
    let artifacts = Artifacts::shared(dir.path(), options, &store).unwrap();
    Machine {
        dir,
        artifacts,
        _store: store,
    }
}

/// Of several chunks, with all that an artifact may have.
fn source() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..2_500_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    std::fs::write(dir.path().join("large"), large).unwrap();
    std::fs::write(dir.path().join("empty"), "").unwrap();
    std::fs::write(dir.path().join("a % name\nof two lines"), "odd").unwrap();
    std::fs::create_dir_all(dir.path().join("bin/deep")).unwrap();
    std::fs::write(dir.path().join("bin/run"), "#!/bin/sh\n").unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path().join("bin/run"), mode).unwrap();
    symlink("bin/run", dir.path().join("start")).unwrap();
    dir
}

/// Gone from a machine, as if it had never been there.
fn forget(machine: &Machine) {
    let artifacts = machine.dir.path().join("artifacts");
    let script = format!(
        "chmod -R u+w '{0}' && rm -rf '{0}' && mkdir '{0}'",
        artifacts.display()
    );
    let done = std::process::Command::new("sh")
        .args(["-c", &script])
        .status();
    assert!(done.unwrap().success());
}

#[tokio::test]
async fn what_one_machine_added_another_has() {
    for version in [Version::V15, Version::V18] {
        let database = Database::new(version).await;
        let (one, other) = (
            machine(&database, ArtifactOptions::default()).await,
            machine(&database, ArtifactOptions::default()).await,
        );
        let source = source();
        let digest = one.artifacts.add(source.path()).await.unwrap();
        let files = other.artifacts.directory(&digest).await.unwrap();
        assert!(files.starts_with(other.dir.path().canonicalize().unwrap()));
        let read = |name: &str| std::fs::read(files.join(name)).unwrap();
        for name in [
            "large",
            "empty",
            "a % name\nof two lines",
            "bin/run",
            "start",
        ] {
            assert_eq!(read(name), std::fs::read(source.path().join(name)).unwrap());
        }
        assert!(files.join("bin/deep").is_dir());
        let mode = |name: &str| files.join(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("bin/run"), mode("large")), (0o555, 0o444));
        assert_eq!(
            std::fs::read_link(files.join("start")).unwrap(),
            Path::new("bin/run")
        );
        // Altered here, it is brought again.
        let large = files.join("large");
        std::fs::set_permissions(&large, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::write(&large, "altered").unwrap();
        let again = other.artifacts.directory(&digest).await.unwrap();
        assert_eq!(
            std::fs::metadata(again.join("large")).unwrap().len(),
            2_500_000
        );
        let unknown = ArtifactDigest::new(format!("sha256:{:064}", 7));
        let missing = other.artifacts.directory(&unknown).await;
        assert!(
            matches!(missing, Err(ArtifactError::Missing(_))),
            "{missing:?}"
        );
    }
}

#[tokio::test]
async fn what_was_altered_in_the_store_is_not_given() {
    let database = Database::new(Version::V15).await;
    let one = machine(&database, ArtifactOptions::default()).await;
    let digest = one.artifacts.add(source().path()).await.unwrap();
    for altered in [
        "UPDATE artifact_chunks SET data = set_byte(data, 1000, 255 - get_byte(data, 1000)) WHERE nth = 1",
        "UPDATE artifact_chunks SET data = '' WHERE nth = 2",
        "DELETE FROM artifact_chunks WHERE nth = 1",
        "UPDATE artifacts SET manifest = replace(manifest, 'bin/run', '../run')",
    ] {
        forget(&one);
        database.sql(altered).await.unwrap();
        let refused = one.artifacts.directory(&digest).await;
        assert!(
            matches!(
                refused,
                Err(ArtifactError::Altered { .. } | ArtifactError::Io(..))
            ),
            "{altered}: {refused:?}"
        );
        let left = std::fs::read_dir(one.dir.path().join("artifacts")).unwrap();
        let left = left.flatten().map(|entry| entry.file_name());
        let left: Vec<_> = left.filter(|name| name != ".lock").collect();
        assert!(left.is_empty(), "{altered}: {left:?}");
        assert!(!one.dir.path().join("run").exists());
    }
}

/// Someone who can write in the database cannot make a machine write outside of its artifacts.
#[tokio::test]
async fn a_list_that_leads_out_is_refused() {
    use sha2::Digest;
    let database = Database::new(Version::V15).await;
    let one = machine(&database, ArtifactOptions::default()).await;
    let mut connection = database.connect().await;
    let content = hex::encode(sha2::Sha256::digest("x"));
    let outside = one.dir.path().canonicalize().unwrap();
    for lines in [
        format!("f ../out {content}\n"),
        format!("f {}/out {content}\n", outside.display()),
        format!("l door {}\nf door/out {content}\n", outside.display()),
    ] {
        let manifest = format!("belay-artifact 1\n{lines}");
        let digest = format!("sha256:{}", hex::encode(sha2::Sha256::digest(&manifest)));
        let chunk: Vec<u8> = [1_u64.to_be_bytes().as_slice(), b"x"].concat();
        sqlx::query("INSERT INTO artifacts VALUES ($1, $2, 1, 0)")
            .bind(&digest)
            .bind(&manifest)
            .execute(&mut connection)
            .await
            .unwrap();
        sqlx::query("INSERT INTO artifact_chunks VALUES ($1, 0, $2)")
            .bind(&digest)
            .bind(chunk)
            .execute(&mut connection)
            .await
            .unwrap();
        let refused = one.artifacts.directory(&ArtifactDigest::new(digest)).await;
        assert!(refused.is_err(), "{lines}");
        assert!(!outside.join("out").exists() && !outside.join("artifacts/out").exists());
    }
}

#[tokio::test]
async fn bounds_hold_on_the_way_back_too() {
    let database = Database::new(Version::V15).await;
    let one = machine(&database, ArtifactOptions::default()).await;
    let digest = one.artifacts.add(source().path()).await.unwrap();
    let small = ArtifactOptions {
        max_bytes: 1_000_000,
        ..ArtifactOptions::default()
    };
    let few = ArtifactOptions {
        max_files: 3,
        ..ArtifactOptions::default()
    };
    for options in [small, few] {
        let other = machine(&database, options).await;
        let refused = other.artifacts.directory(&digest).await;
        assert!(
            matches!(refused, Err(ArtifactError::TooLarge(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_beginning_is_completed_and_never_given() {
    let database = Database::new(Version::V15).await;
    let one = machine(&database, ArtifactOptions::default()).await;
    let source = source();
    let digest = one.artifacts.add(source.path()).await.unwrap();
    // As who was killed in the middle left it.
    database
        .sql("UPDATE artifacts SET complete = 0; DELETE FROM artifact_chunks WHERE nth = 1")
        .await
        .unwrap();
    let other = machine(&database, ArtifactOptions::default()).await;
    let missing = other.artifacts.directory(&digest).await;
    assert!(
        matches!(missing, Err(ArtifactError::Missing(_))),
        "{missing:?}"
    );
    assert_eq!(one.artifacts.add(source.path()).await.unwrap(), digest);
    other.artifacts.directory(&digest).await.unwrap();
}

#[tokio::test]
async fn what_nobody_names_goes_everywhere_and_what_is_kept_or_young_stays() {
    let database = Database::new(Version::V15).await;
    let now = ArtifactOptions {
        grace: Duration::ZERO,
        ..ArtifactOptions::default()
    };
    let one = machine(&database, now.clone()).await;
    let file = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), text).unwrap();
        dir
    };
    let kept = one.artifacts.add(file("kept").path()).await.unwrap();
    let old = one.artifacts.add(file("old").path()).await.unwrap();
    let patient = machine(&database, ArtifactOptions::default()).await;
    let keep = BTreeSet::from([kept.clone()]);
    assert_eq!(patient.artifacts.collect(&keep).await.unwrap(), [], "young");
    let gone = one.artifacts.collect(&keep).await.unwrap();
    assert_eq!(gone, std::slice::from_ref(&old));
    let other = machine(&database, now).await;
    other.artifacts.directory(&kept).await.unwrap();
    let gone = other.artifacts.directory(&old).await;
    assert!(matches!(gone, Err(ArtifactError::Missing(_))), "{gone:?}");
    let mut connection = database.connect().await;
    let left: (i64,) = sqlx::query_as("SELECT COUNT(*) FROM artifact_chunks")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(left.0, 1, "its chunks, too");
}
