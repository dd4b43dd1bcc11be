//! Several processes, several tasks, one store: they share commits, and tell each other.

mod support;

use belay_engine::ports::{Store, Writer};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;
use support::{batch, claim, created, deployment, open, signal};

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn requests_share_commits() {
    let root = tempfile::tempdir().unwrap();
    let store = Arc::new(open(root.path()).await);
    for n in 0..64 {
        let id = deployment(&n.to_string());
        store
            .create(&id, 1, created(&n.to_string()), vec![], 1)
            .await
            .unwrap();
    }
    let alone = store.stats();
    assert_eq!(
        (alone.requests, alone.commits),
        (64, 64),
        "one commit each: no more fsyncs than that"
    );
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let (store, id) = (store.clone(), deployment(&n.to_string()));
            tokio::spawn(async move {
                for _ in 0..5 {
                    store
                        .append(batch(&id, Writer::Anyone, vec![signal("x")]))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let together = store.stats();
    assert_eq!(together.requests - alone.requests, 320);
    assert!(together.commits - alone.commits < 160, "{together:?}");
}

#[tokio::test]
async fn a_refused_request_takes_no_other_with_it() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path()).await;
    let (good, bad) = (deployment("good"), deployment("bad"));
    store
        .create(&good, 1, created("shop"), vec![], 2)
        .await
        .unwrap();
    store
        .create(&bad, 1, created("shop"), vec![], 2)
        .await
        .unwrap();
    support::lease(&store, "worker 1").await;
    let before = store.stats();
    // Its first event is fine, its second is not: both have to go, and nobody else's.
    let long = signal(&"x".repeat(1 << 20));
    let (one, two, three) = tokio::join!(
        store.append(batch(&good, Writer::Anyone, vec![signal("1")])),
        store.append(batch(&bad, Writer::Anyone, vec![signal("2"), long])),
        store.append(claim(&good, 1, 2)),
    );
    assert!(one.is_ok() && two.is_err() && three.is_ok());
    assert_eq!(
        store.stats().commits - before.commits,
        1,
        "they were one group"
    );
    assert_eq!(store.events(&good, 0).await.unwrap().len(), 3);
    assert_eq!(store.events(&bad, 0).await.unwrap().len(), 1);
    assert!(store.check().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_may_start_at_once() {
    let root = tempfile::tempdir().unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let dir = root.path().join(".belay");
            tokio::spawn(async move {
                let store = open(&dir).await;
                let id = deployment(&n.to_string());
                store
                    .create(&id, 1, created("shop"), vec![], 8)
                    .await
                    .unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let store = open(&root.path().join(".belay")).await;
    assert_eq!(store.open().await.unwrap().len(), 8);
}

#[tokio::test]
async fn the_directory_is_private_and_hidden_from_git() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join(".belay");
    let store = open(&dir).await;
    assert_eq!(store.dir(), dir);
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(
        std::fs::read_to_string(dir.join(".gitignore")).unwrap(),
        "*\n"
    );
}

#[tokio::test]
async fn hints_of_the_dead_are_removed() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path()).await;
    let hints = root.path().join("hints");
    let dead = hints.join("1-dead.sock");
    drop(UnixDatagram::bind(&dead).unwrap());
    let living = UnixDatagram::bind(hints.join("2-live.sock")).unwrap();
    living.set_nonblocking(true).unwrap();
    store
        .create(&deployment("1"), 1, created("shop"), vec![], 1)
        .await
        .unwrap();
    let mut byte = [0; 8];
    assert_eq!(living.recv(&mut byte).unwrap(), 1);
    assert!(!dead.exists());
    assert!(hints.join("2-live.sock").exists());
}

#[tokio::test]
async fn deep_directories_have_hints() {
    let root = tempfile::tempdir().unwrap();
    // Longer than a socket's path may be (108 bytes, unix(7)).
    let dir = root.path().join("d".repeat(100)).join("e".repeat(100));
    let store = open(&dir).await;
    let sockets = || std::fs::read_dir(dir.join("hints")).unwrap().count();
    let bound = async {
        while sockets() == 0 {
            store.changed(store.generation()).await;
        }
    };
    tokio::time::timeout(LONG, bound)
        .await
        .expect("a socket is bound");
    drop(store);
    let gone = async {
        while sockets() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, gone)
        .await
        .expect("it is removed");
}

#[tokio::test]
async fn a_closed_store_refuses() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path()).await;
    store.close().await;
    let refused = store
        .create(&deployment("1"), 1, created("shop"), vec![], 1)
        .await;
    assert!(refused.is_err());
    assert!(store.open().await.is_err());
    assert!(
        !root.path().join("belay.db-wal").exists(),
        "everything is in one file"
    );
}
