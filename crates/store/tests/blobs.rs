//! Values of secrets at rest: sealed, bound to their name, opened by their key alone.

mod support;

use belay_engine::ports::{Store, StoreError};
use belay_store::BlobError;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use support::{created, deployment, open};

const SECRET: &str = "correct horse battery staple";

fn values() -> BTreeMap<String, String> {
    BTreeMap::from([("DATABASE_URL".to_owned(), SECRET.to_owned())])
}

fn holds(dir: &std::path::Path, text: &str) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, text);
        }
        let bytes = fs::read(&path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    })
}

#[tokio::test]
async fn what_is_sealed_opens_again() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join(".belay");
    let store = open(&dir).await;
    let blobs = store.blobs(None).await.unwrap();
    let id = blobs.seal(&values(), 1).await.unwrap();
    assert!(id.as_str().starts_with("blob_"));
    assert_eq!(
        blobs.seal(&values(), 2).await.unwrap(),
        id,
        "equal contents are kept once"
    );
    let other = blobs.seal(&BTreeMap::new(), 3).await.unwrap();
    assert_ne!(other, id);
    let digest = blobs.keyed_digest(SECRET);
    assert_eq!(digest.len(), 64);
    assert_ne!(digest, blobs.keyed_digest("another"));
    store.close().await;

    let store = open(&dir).await;
    let blobs = store.blobs(None).await.unwrap();
    assert_eq!(blobs.unseal(&id).await.unwrap(), values());
    assert_eq!(blobs.keyed_digest(SECRET), digest);
    assert!(!holds(&dir, SECRET), "a secret lies in clear");
}

#[tokio::test]
async fn the_key_is_its_owners_alone() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path()).await;
    store.blobs(None).await.unwrap();
    let path = root.path().join("key");
    let metadata = path.metadata().unwrap();
    assert_eq!(
        (metadata.permissions().mode() & 0o777, metadata.len()),
        (0o600, 32)
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let open_to_others = store.blobs(None).await.err().unwrap();
    assert!(
        matches!(open_to_others, BlobError::KeyReadable(_, 0o640)),
        "{open_to_others}"
    );
    assert!(
        open_to_others.to_string().contains("mode 640"),
        "{open_to_others}"
    );
}

#[tokio::test]
async fn another_key_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path()).await;
    let id = store
        .blobs(None)
        .await
        .unwrap()
        .seal(&values(), 1)
        .await
        .unwrap();
    let path = root.path().join("key");
    let own = fs::read(&path).unwrap();

    let given = store.blobs(Some(&"ab".repeat(32))).await.err().unwrap();
    assert!(matches!(given, BlobError::WrongKey(_)), "{given}");
    let short = store.blobs(Some("ab")).await.err().unwrap();
    assert!(matches!(short, BlobError::KeyMalformed(_)), "{short}");
    fs::write(&path, [7; 32]).unwrap();
    let replaced = store.blobs(None).await.err().unwrap();
    assert!(matches!(replaced, BlobError::WrongKey(_)), "{replaced}");
    fs::write(&path, [7; 31]).unwrap();
    let cut = store.blobs(None).await.err().unwrap();
    assert!(matches!(cut, BlobError::KeyMalformed(_)), "{cut}");
    // A lost key is not replaced by a new one in silence.
    fs::remove_file(&path).unwrap();
    let gone = store.blobs(None).await.err().unwrap();
    assert!(matches!(gone, BlobError::KeyGone(_)), "{gone}");
    assert!(!path.exists());
    // The same key from elsewhere will do.
    let text = own
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    let blobs = store.blobs(Some(&text)).await.unwrap();
    assert_eq!(blobs.unseal(&id).await.unwrap(), values());
}

#[tokio::test]
async fn a_blob_cannot_take_the_place_of_another() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path()).await;
    let blobs = store.blobs(None).await.unwrap();
    let one = blobs.seal(&values(), 1).await.unwrap();
    let two = blobs.seal(&BTreeMap::new(), 1).await.unwrap();
    support::sql(
        root.path(),
        "CREATE TEMP TABLE before AS SELECT * FROM blobs;
         UPDATE blobs SET sealed = (SELECT sealed FROM before WHERE before.id <> blobs.id)",
    )
    .await
    .unwrap();
    for id in [&one, &two] {
        let altered = blobs.unseal(id).await.unwrap_err();
        assert!(matches!(altered, BlobError::Altered(_)), "{altered}");
    }
}

#[tokio::test]
async fn deleting_a_blob_leaves_the_chain_valid() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path()).await;
    let id = deployment("1");
    store
        .create(&id, 1, created("shop"), vec![], 1)
        .await
        .unwrap();
    let blobs = store.blobs(None).await.unwrap();
    let named = blobs.seal(&values(), 10).await.unwrap();
    let old = blobs.seal(&BTreeMap::new(), 10).await.unwrap();
    let young = BTreeMap::from([("A".to_owned(), "B".to_owned())]);
    let young = blobs.seal(&young, 20).await.unwrap();
    let keep = BTreeSet::from([named.clone()]);
    let gone = store.collect_blobs(&keep, 20).await.unwrap();
    assert_eq!(gone, std::slice::from_ref(&old));
    let gone = blobs.unseal(&old).await.unwrap_err();
    assert!(matches!(gone, BlobError::Missing(_)), "{gone}");
    blobs.unseal(&named).await.unwrap();
    blobs.unseal(&young).await.unwrap();
    assert_eq!(store.verify_chain(&id).await.unwrap(), None);
    assert!(store.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn blobs_are_bounded() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path()).await;
    let blobs = store.blobs(None).await.unwrap();
    let large = BTreeMap::from([("A".to_owned(), "x".repeat(1 << 20))]);
    let refused = blobs.seal(&large, 1).await.unwrap_err();
    assert!(
        matches!(refused, BlobError::Store(StoreError::TooLarge(_))),
        "{refused}"
    );
}
