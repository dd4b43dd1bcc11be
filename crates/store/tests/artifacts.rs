//! A release keeps its own bits, whatever becomes of the place they came from.

use belay_model::id::ArtifactDigest;
use belay_store::{ArtifactError, ArtifactOptions, Artifacts};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::Duration;

struct Project {
    root: tempfile::TempDir,
    artifacts: Artifacts,
}

impl Project {
    fn new() -> Self {
        Self::with(ArtifactOptions {
            grace: Duration::ZERO,
            ..ArtifactOptions::default()
        })
    }

    fn with(options: ArtifactOptions) -> Self {
        let root = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(&root.path().join(".belay"), options).unwrap();
        fs::create_dir_all(root.path().join("dist/assets/empty")).unwrap();
        fs::write(root.path().join("dist/server"), "version 1").unwrap();
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(root.path().join("dist/server"), executable).unwrap();
        fs::write(root.path().join("dist/assets/page of it.html"), "<p>").unwrap();
        symlink(
            "assets/page of it.html",
            root.path().join("dist/index.html"),
        )
        .unwrap();
        symlink("../server", root.path().join("dist/assets/up")).unwrap();
        Self { root, artifacts }
    }

    fn dist(&self) -> PathBuf {
        self.root.path().join("dist")
    }

    async fn add(&self) -> ArtifactDigest {
        self.artifacts.add(&self.dist()).await.unwrap()
    }

    fn kept(&self) -> usize {
        let all = fs::read_dir(self.root.path().join(".belay/artifacts")).unwrap();
        all.filter(|one| one.as_ref().unwrap().path().is_dir())
            .count()
    }
}

fn read(directory: &std::path::Path, name: &str) -> String {
    fs::read_to_string(directory.join(name)).unwrap()
}

#[tokio::test]
async fn an_artifact_outlives_its_source() {
    let project = Project::new();
    let one = project.add().await;
    fs::write(project.dist().join("server"), "version 2").unwrap();
    let two = project.add().await;
    assert_ne!(one, two);
    fs::remove_dir_all(project.dist()).unwrap();

    let directory = project.artifacts.directory(&one).await.unwrap();
    assert_eq!(read(&directory, "server"), "version 1");
    assert_eq!(read(&directory, "index.html"), "<p>");
    assert_eq!(read(&directory, "assets/up"), "version 1");
    assert!(directory.join("assets/empty").is_dir());
    let mode = |name: &str| {
        directory
            .join(name)
            .metadata()
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode("server"), mode("assets/page of it.html")),
        (0o555, 0o444)
    );
    assert_eq!((mode("assets"), mode(".")), (0o555, 0o555));
    let newer = project.artifacts.directory(&two).await.unwrap();
    assert_eq!(read(&newer, "server"), "version 2");
    assert!(matches!(
        project.artifacts.add(&project.dist()).await,
        Err(ArtifactError::NoSource(_))
    ));
}

#[tokio::test]
async fn the_digest_is_the_contents() {
    let (project, other) = (Project::new(), Project::new());
    let digest = project.add().await;
    assert!(digest.as_str().starts_with("sha256:"), "{digest}");
    assert_eq!(project.add().await, digest);
    assert_eq!(other.add().await, digest, "where it lies does not matter");
    assert_eq!(project.kept(), 1);

    fs::set_permissions(
        project.dist().join("server"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let plain = project.add().await;
    fs::remove_dir(project.dist().join("assets/empty")).unwrap();
    let fewer = project.add().await;
    fs::remove_file(project.dist().join("index.html")).unwrap();
    symlink("server", project.dist().join("index.html")).unwrap();
    let linked = project.add().await;
    let all = BTreeSet::from([digest, plain, fewer, linked]);
    assert_eq!((all.len(), project.kept()), (4, 4));
}

#[tokio::test]
async fn a_file_is_an_artifact() {
    let project = Project::new();
    let digest = project
        .artifacts
        .add(&project.dist().join("server"))
        .await
        .unwrap();
    let directory = project.artifacts.directory(&digest).await.unwrap();
    assert_eq!(read(&directory, "server"), "version 1");
    assert_eq!(fs::read_dir(directory).unwrap().count(), 1);
}

#[tokio::test]
async fn the_store_is_no_part_of_an_artifact() {
    let project = Project::new();
    let digest = project.artifacts.add(project.root.path()).await.unwrap();
    assert_eq!(
        project.artifacts.add(project.root.path()).await.unwrap(),
        digest
    );
    let directory = project.artifacts.directory(&digest).await.unwrap();
    assert!(directory.join("dist/server").exists());
    assert!(!directory.join(".belay").exists());
}

#[tokio::test]
async fn alterations_are_found_and_named() {
    type Alter = fn(&std::path::Path);
    let cases: [(Alter, &str); 5] = [
        (
            |files| fs::write(files.join("server"), "version X").unwrap(),
            "server was changed",
        ),
        (
            |files| fs::remove_file(files.join("assets/up")).unwrap(),
            "assets/up is missing",
        ),
        (
            |files| fs::write(files.join("new"), "").unwrap(),
            "new was added",
        ),
        (
            |files| {
                let page = files.join("assets/page of it.html");
                fs::set_permissions(page, fs::Permissions::from_mode(0o555)).unwrap();
            },
            "assets/page%20of%20it.html was changed",
        ),
        (
            |files| {
                fs::remove_file(files.join("index.html")).unwrap();
                symlink("/etc/passwd", files.join("index.html")).unwrap();
            },
            "index.html links to /etc/passwd",
        ),
    ];
    for (alter, expected) in cases {
        let project = Project::new();
        let digest = project.add().await;
        let files = project.artifacts.directory(&digest).await.unwrap();
        alter(&files);
        let error = project.artifacts.directory(&digest).await.unwrap_err();
        assert!(matches!(error, ArtifactError::Altered { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(expected) && text.contains(digest.as_str()),
            "{text}"
        );
        // The source is still there: adding it again mends it.
        assert_eq!(project.add().await, digest);
        let mended = project.artifacts.directory(&digest).await.unwrap();
        assert_eq!(read(&mended, "server"), "version 1");
    }
}

#[tokio::test]
async fn missing_artifacts_are_named() {
    let project = Project::new();
    for digest in [
        format!("sha256:{}", "0".repeat(64)),
        "sha256:../..".to_owned(),
        String::new(),
    ] {
        let digest = ArtifactDigest::new(digest);
        let error = project.artifacts.directory(&digest).await.unwrap_err();
        assert!(
            matches!(&error, ArtifactError::Missing(named) if *named == digest),
            "{error}"
        );
    }
}

#[tokio::test]
async fn links_to_outside_are_refused() {
    for target in [
        "/etc/passwd",
        "../outside",
        "assets/../../outside",
        "../dist/server",
    ] {
        let project = Project::new();
        symlink(target, project.dist().join("bad")).unwrap();
        let refused = project.artifacts.add(&project.dist()).await;
        assert!(
            matches!(refused, Err(ArtifactError::Outside { .. })),
            "{target}: {refused:?}"
        );
        assert_eq!(project.kept(), 0);
    }
}

#[tokio::test]
async fn artifacts_are_bounded() {
    let (files, bytes) = (
        ArtifactOptions {
            max_files: 5,
            ..ArtifactOptions::default()
        },
        ArtifactOptions {
            max_bytes: 10,
            ..ArtifactOptions::default()
        },
    );
    for options in [files, bytes] {
        let project = Project::with(options);
        let refused = project.artifacts.add(&project.dist()).await;
        assert!(
            matches!(refused, Err(ArtifactError::TooLarge(_))),
            "{refused:?}"
        );
        assert_eq!(project.kept(), 0);
    }
}

#[tokio::test]
async fn collection_leaves_what_is_kept() {
    let project = Project::new();
    let one = project.add().await;
    fs::write(project.dist().join("server"), "version 2").unwrap();
    let two = project.add().await;
    fs::create_dir(project.root.path().join(".belay/artifacts/.new-0000")).unwrap();
    let gone = project
        .artifacts
        .collect(&BTreeSet::from([two.clone()]))
        .await
        .unwrap();
    assert_eq!(gone, std::slice::from_ref(&one));
    assert_eq!(project.kept(), 1);
    project.artifacts.directory(&two).await.unwrap();
    let error = project.artifacts.directory(&one).await.unwrap_err();
    assert!(matches!(error, ArtifactError::Missing(_)), "{error}");
}

#[tokio::test]
async fn collection_leaves_what_is_young() {
    let project = Project::with(ArtifactOptions::default());
    let one = project.add().await;
    assert!(
        project
            .artifacts
            .collect(&BTreeSet::new())
            .await
            .unwrap()
            .is_empty()
    );
    project.artifacts.directory(&one).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_add_the_same() {
    let project = Project::new();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (artifacts, dist) = (project.artifacts.clone(), project.dist());
            tokio::spawn(async move { artifacts.add(&dist).await.unwrap() })
        })
        .collect();
    let mut digests = BTreeSet::new();
    for task in tasks {
        digests.insert(task.await.unwrap());
    }
    assert_eq!((digests.len(), project.kept()), (1, 1));
}
