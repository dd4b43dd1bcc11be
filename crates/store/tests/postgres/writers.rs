//! Rows of connections that are no more.

use crate::support::postgres::{Database, with_deployments};
use crate::support::{batch, deployment, signal};
use belay_engine::ports::{Store, Writer};
use belay_testbed::Version;

async fn writers(database: &Database) -> Vec<String> {
    let mut connection = database.connect().await;
    let rows: Vec<(String,)> = sqlx::query_as("SELECT id FROM writers ORDER BY id")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    rows.into_iter().map(|(id,)| id).collect()
}

#[tokio::test]
async fn writers_of_long_ago_are_forgotten_and_who_still_writes_goes_on() {
    for version in [Version::V15, Version::V18] {
        let database = Database::new(version).await;
        let store = database.open().await;
        with_deployments(&store, 1).await;
        let append = async || {
            let again = batch(&deployment("0"), Writer::Anyone, vec![signal("again")]);
            store.append(again).await.map(|entries| entries[0].seq)
        };
        assert_eq!(append().await.unwrap(), 2);
        let ours = writers(&database).await;
        database
            .sql(
                "INSERT INTO writers SELECT 'old', true, 5, clock_timestamp() - INTERVAL '8 days';
                 INSERT INTO writers SELECT 'young', true, 5, clock_timestamp() - INTERVAL '6 days'",
            )
            .await
            .unwrap();
        store.prune_progress(0).await.unwrap();
        let mut left = ours.clone();
        left.push("young".to_owned());
        assert_eq!(writers(&database).await, left);
        // Who has not written for long, and does again: what it is told is what happened, and it goes on.
        database
            .sql("UPDATE writers SET at = clock_timestamp() - INTERVAL '8 days'")
            .await
            .unwrap();
        store.prune_progress(0).await.unwrap();
        assert!(writers(&database).await.is_empty());
        let (mut kept, mut refused) = (2, 0);
        for _ in 0..4 {
            match append().await {
                Ok(seq) => {
                    kept += 1;
                    assert_eq!(seq, kept, "what was refused was not kept");
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused <= 1, "once at most, until it has a row again");
        let stored = store.events(&deployment("0"), 0).await.unwrap();
        assert_eq!(stored.len() as u64, kept);
        assert!(store.check().await.unwrap().is_empty());
    }
}
