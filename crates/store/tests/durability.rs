//! What was acknowledged is there, whatever happens next: kills, a full disk, a read-only one.

mod support;

use belay_engine::ports::{Store, StoreError, Writer};
use belay_store::{Options, SqliteStore};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{batch, created, deployment, open, signal};

/// Names the store to a process that plays the child in a test.
const STORE: &str = "BELAY_STORE_TEST_DIR";

/// The part of the child: appends to four deployments at once, and says what was acknowledged, for ever.
async fn append_until_killed(dir: &Path) {
    let store = std::sync::Arc::new(open(dir).await);
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let (store, id) = (store.clone(), deployment(&n.to_string()));
            tokio::spawn(async move {
                let one = batch(&id, Writer::Anyone, vec![signal(&"x".repeat(500))]);
                while let Ok(entries) = store.append(one.clone()).await {
                    let seq = entries[0].seq;
                    println!("\nacknowledged {id} {seq}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Runs itself again as the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    if let Some(dir) = std::env::var_os(STORE) {
        return append_until_killed(Path::new(&dir)).await;
    }
    for round in 1..=5 {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path()).await;
        for n in 0..4 {
            let id = deployment(&n.to_string());
            store
                .create(&id, 1, created("shop"), vec![], 9)
                .await
                .unwrap();
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "what_was_acknowledged_survives_a_kill",
                "--nocapture",
            ])
            .env(STORE, root.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut last = BTreeMap::new();
        let mut count = 0;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            let mut words = line.split(' ');
            if words.next() != Some("acknowledged") {
                continue;
            }
            let (Some(id), Some(Ok(seq))) = (words.next(), words.next().map(str::parse::<u64>))
            else {
                continue; // the last line may be cut
            };
            last.insert(id.to_owned(), seq);
            count += 1;
            if count == 100 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(count >= 100 * round, "the child died early");
        // Seen by the store that was open all the time, and by one that recovers.
        for store in [store, open(root.path()).await] {
            for n in 0..4 {
                let id = deployment(&n.to_string());
                let entries = store.events(&id, 0).await.unwrap();
                let acknowledged = last.get(id.as_str()).copied().unwrap_or(1);
                let stored = u64::try_from(entries.len()).unwrap();
                // At most one was committed and not yet acknowledged; a cut line hides one more.
                assert!(
                    (acknowledged..=acknowledged + 2).contains(&stored),
                    "{stored}, {acknowledged}"
                );
                assert_eq!(store.verify_chain(&id).await.unwrap(), None);
                assert_eq!(store.summary(&id).await.unwrap().unwrap().seq, stored);
            }
            assert!(store.check().await.unwrap().is_empty());
            store.close().await;
        }
    }
}

/// A small file system in memory. Needs the right to mount; without it these tests fail, they do not pass.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        mount(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"], root.path());
        Self(root)
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join(".belay")
    }

    fn fill(&self) {
        let mut filler = std::fs::File::create(self.0.path().join("filler")).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.path().join("filler")).unwrap();
    }

    fn remount(&self, mode: &str) {
        mount(&["-o", &format!("remount,{mode}")], self.0.path());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn mount(arguments: &[&str], at: &Path) {
    let mounted = Command::new("mount")
        .args(arguments)
        .arg(at)
        .output()
        .unwrap();
    let why = String::from_utf8_lossy(&mounted.stderr);
    assert!(
        mounted.status.success(),
        "this test mounts a small tmpfs, which needs root and CAP_SYS_ADMIN: {why}"
    );
}

fn without_reserve() -> Options {
    Options { reserve_bytes: 0 }
}

#[tokio::test]
async fn a_full_disk_stops_and_keeps_what_was_acknowledged() {
    let disk = Disk::new();
    let store = SqliteStore::open(&disk.dir(), without_reserve())
        .await
        .unwrap();
    let id = deployment("1");
    store
        .create(&id, 1, created("shop"), vec![], 1)
        .await
        .unwrap();
    disk.fill();
    let text = "x".repeat(2_000);
    let mut acknowledged = 1;
    let error = loop {
        match store
            .append(batch(&id, Writer::Anyone, vec![signal(&text)]))
            .await
        {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(&error, StoreError::Unwritable(why) if why.contains("room")),
        "{error}"
    );
    // It can still be read, and says no more and no less than what was acknowledged.
    assert_eq!(store.events(&id, 0).await.unwrap().len(), acknowledged);
    let refused = store
        .append(batch(&id, Writer::Anyone, vec![signal(&text)]))
        .await;
    assert!(
        matches!(refused, Err(StoreError::Unwritable(_))),
        "{refused:?}"
    );
    store
        .progress(&id, 1, "a line that may be lost")
        .await
        .unwrap();

    disk.make_room();
    store
        .append(batch(&id, Writer::Anyone, vec![signal(&text)]))
        .await
        .unwrap();
    assert_eq!(store.events(&id, 0).await.unwrap().len(), acknowledged + 1);
    assert!(store.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_full_disk_is_refused_before_anything_changes() {
    let disk = Disk::new();
    // Too small for a rollback to be recorded.
    let small = SqliteStore::open(&disk.dir(), Options::default())
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&small, StoreError::Unwritable(why) if why.contains("nothing was changed")),
        "{small}"
    );
    assert!(!disk.dir().join("belay.db").exists());

    let store = SqliteStore::open(&disk.dir(), without_reserve())
        .await
        .unwrap();
    store
        .create(&deployment("1"), 1, created("shop"), vec![], 1)
        .await
        .unwrap();
    store.close().await;
    disk.fill();
    let store = SqliteStore::open(&disk.dir(), without_reserve())
        .await
        .unwrap();
    let full = store.require_writable().await.err().unwrap();
    assert!(matches!(full, StoreError::Unwritable(_)), "{full}");
    // Looking works all the same.
    assert_eq!(store.events(&deployment("1"), 0).await.unwrap().len(), 1);
    store.close().await;
    disk.make_room();
    let store = SqliteStore::open(&disk.dir(), without_reserve())
        .await
        .unwrap();
    assert_eq!(store.events(&deployment("1"), 0).await.unwrap().len(), 1);
    assert!(store.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_read_only_disk_is_refused_before_anything_changes() {
    let disk = Disk::new();
    let store = SqliteStore::open(&disk.dir(), without_reserve())
        .await
        .unwrap();
    store
        .create(&deployment("1"), 1, created("shop"), vec![], 1)
        .await
        .unwrap();
    store.close().await;
    drop(store);
    disk.remount("ro");
    let store = SqliteStore::open(&disk.dir(), without_reserve())
        .await
        .unwrap();
    assert_eq!(store.events(&deployment("1"), 0).await.unwrap().len(), 1);
    let refused = store.require_writable().await.err().unwrap();
    store.close().await;
    drop(store);
    let said = refused.to_string();
    assert!(matches!(refused, StoreError::Unwritable(_)), "{said}");
    assert!(
        said.contains("Read-only") || said.contains("read-only"),
        "{said}"
    );
    disk.remount("rw");
    let store = SqliteStore::open(&disk.dir(), without_reserve())
        .await
        .unwrap();
    assert_eq!(store.events(&deployment("1"), 0).await.unwrap().len(), 1);
}
