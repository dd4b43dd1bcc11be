//! Which store it is: what platforms are marked with.

mod support;

use belay_store::{ArtifactOptions, Artifacts};
use belay_testbed::Version;
use support::postgres::Database;

#[tokio::test]
async fn a_copy_is_the_same_store_and_any_other_is_not() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let database = Database::new(Version::V15).await;
    let open = async |dir: &tempfile::TempDir| support::open(dir.path()).await.any();
    let (one, other) = (open(&dirs[0]).await, open(&dirs[1]).await);
    let identity = one.identity().await.unwrap();
    assert_eq!(one.identity().await.unwrap(), identity);
    assert_ne!(other.identity().await.unwrap(), identity);
    let mut copy = Vec::new();
    belay_store::backup(&one, None, &mut copy).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(place.path(), ArtifactOptions::default()).unwrap();
    // It had one already, and marked nothing with it.
    let third = database.open().await.any();
    assert_ne!(third.identity().await.unwrap(), identity);
    for to in [&other, &third] {
        let restored = belay_store::restore(to, &artifacts, &mut &*copy).await;
        restored.unwrap();
        assert_eq!(to.identity().await.unwrap(), identity);
    }
}
