//! Reading a copy into an empty store. All of it is one transaction: who is killed has done nothing but brought artifacts,
//! and may begin anew.

use super::table::{TABLES, Table, value};
use super::{Copied, CopyError, FORMAT, backup};
use crate::artifacts::{Artifacts, Taken};
use crate::chain;
use crate::error::Fault;
use crate::reader;
use crate::sql::{Dialect, Sql, optional, query, values};
use crate::store::AnyStore;
use belay_engine::ports::StoreError;
use belay_model::id::ArtifactDigest;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::io::{BufRead, Read, Write};

/// Bytes of a line at most: a chunk of an artifact as hex, or an event that is all escapes.
const LONGEST: u64 = 16 << 20;

/// The name in `meta` under which a store that was moved here is remembered, and in the old one where it went.
const MOVED: &str = "moved_from";

/// Restores a backup into a store without deployments, releases or sealed values. Everything is checked before anything
/// of the store's is kept: the file is whole, and every hash chain holds.
///
/// # Errors
/// Nothing was kept but artifacts, which a collection removes.
pub async fn restore(
    store: &AnyStore,
    artifacts: &Artifacts,
    from: &mut (dyn BufRead + Send),
) -> Result<Copied, CopyError> {
    let mut tx = store.database.bulk().await?;
    require_empty(tx.as_mut()).await?;
    let copied = read(tx.as_mut(), Some(artifacts), from).await?;
    commit(tx.as_mut()).await?;
    Ok(copied)
}

async fn commit(tx: &mut dyn Sql) -> Result<(), CopyError> {
    tx.execute("COMMIT", &[]).await.map_err(StoreError::from)?;
    Ok(())
}

/// Nobody begins anything there meanwhile.
async fn require_empty(tx: &mut dyn Sql) -> Result<(), CopyError> {
    if tx.dialect() == Dialect::Postgres {
        let lock = "LOCK TABLE deployments, environments, environment_events, releases, blobs, meta
                    IN SHARE ROW EXCLUSIVE MODE";
        tx.execute(lock, &[]).await.map_err(StoreError::from)?;
    }
    let found: Vec<(String,)> = query(
        tx,
        "SELECT 'deployments' FROM deployments UNION SELECT 'freezes or releases of its environments'
         FROM environment_events UNION SELECT 'releases' FROM releases
         UNION SELECT 'sealed values' FROM blobs",
        values![],
    )
    .await
    .map_err(StoreError::from)?;
    let found: Vec<_> = found.into_iter().map(|(what,)| what).collect();
    if !found.is_empty() {
        return Err(CopyError::NotEmpty(format!("it has {}", found.join(", "))));
    }
    // Rows that wait for streams, and the key and name that it came with: the copy brings its own.
    for rest in [
        "DELETE FROM environments",
        "DELETE FROM meta WHERE name IN ('identity', 'key_check')",
    ] {
        tx.execute(rest, &[]).await.map_err(StoreError::from)?;
    }
    Ok(())
}

async fn read(
    tx: &mut dyn Sql,
    artifacts: Option<&Artifacts>,
    from: &mut (dyn BufRead + Send),
) -> Result<Copied, CopyError> {
    let mut copied = Copied::default();
    let mut hash = Sha256::new();
    let mut taken: Option<Taken> = None;
    let mut number = 0_u64;
    let ended = loop {
        number += 1;
        let malformed = |why: &str| CopyError::Malformed {
            line: number,
            why: why.to_owned(),
        };
        let mut text = Vec::new();
        Read::take(&mut *from, LONGEST).read_until(b'\n', &mut text)?;
        if text.last() != Some(&b'\n') {
            return Err(malformed("it ends here: it is not whole"));
        }
        let line: Map<String, Value> =
            serde_json::from_slice(&text).map_err(|error| malformed(&error.to_string()))?;
        if number == 1 {
            match line.get("belay_backup").and_then(Value::as_u64) {
                Some(1..=FORMAT) => {}
                Some(_) => return Err(malformed("it was written by a newer Belay")),
                None => return Err(malformed("it is no backup of Belay")),
            }
        } else if let Some(chunk) = line.get("chunk").and_then(Value::as_str) {
            let data = hex::decode(chunk).map_err(|_| malformed("a chunk is not hex"))?;
            let taken = taken.as_mut();
            let taken = taken.ok_or_else(|| malformed("a chunk of no artifact"))?;
            taken.chunk(data).await?;
        } else {
            if let Some(taken) = taken.take() {
                taken.finish().await?;
                copied.artifacts += 1;
            }
            if let Some(end) = line.get("end") {
                let sum = line.get("sha256").and_then(Value::as_str);
                let is_whole = end.as_u64() == Some(copied.rows)
                    && sum == Some(hex::encode(hash.finalize()).as_str());
                break is_whole;
            }
            if let Some(digest) = line.get("artifact").and_then(Value::as_str) {
                let manifest = line.get("manifest").and_then(Value::as_str);
                let manifest = manifest.ok_or_else(|| malformed("an artifact without list"))?;
                let digest = ArtifactDigest::new(digest);
                if let Some(artifacts) = artifacts {
                    taken = Some(artifacts.take(&digest, manifest.to_owned())?);
                }
            } else {
                insert(tx, &line)
                    .await?
                    .ok_or_else(|| malformed("a row of no table"))?;
                copied.deployments += u64::from(line["table"] == "deployments");
            }
        }
        hash.update(&text);
        copied.rows += 1;
    };
    if !ended {
        let why = "what is before the end is not what was written".to_owned();
        return Err(CopyError::Malformed { line: number, why });
    }
    verify(tx).await?;
    Ok(copied)
}

async fn insert(tx: &mut dyn Sql, line: &Map<String, Value>) -> Result<Option<()>, StoreError> {
    let name = line.get("table").and_then(Value::as_str);
    let table: Option<&Table> = TABLES.iter().find(|table| Some(table.name) == name);
    let Some((table, row)) = table.and_then(|table| Some((table, table.row(line)?))) else {
        return Ok(None);
    };
    let values: Vec<_> = row.iter().map(value).collect();
    tx.execute(table.insert, &values).await?;
    Ok(Some(()))
}

/// Every chain as it came.
async fn verify(tx: &mut dyn Sql) -> Result<(), StoreError> {
    let broken = |of: String, link: chain::BrokenLink| {
        StoreError::Damaged(format!("event {} of {of}: {}", link.seq, link.why))
    };
    for id in reader::deployments(tx).await? {
        if let Some(link) = chain::verify_deployment(tx, &id).await? {
            return Err(broken(id.to_string(), link));
        }
    }
    for scope in reader::scopes(tx).await? {
        if let Some(link) = chain::verify_scope(tx, &scope).await? {
            return Err(broken(scope.to_string(), link));
        }
    }
    Ok(())
}

/// Moves what is in one store to an empty one on another database. Artifacts are there already. Nothing can be begun in
/// the old one from then on; it can be read. Run again after it was killed, it goes on.
///
/// # Errors
/// Something is open, or the new one is not empty: nothing was changed.
pub async fn relocate(
    from: &AnyStore,
    to: &AnyStore,
    spool: &mut (impl Read + Write + std::io::Seek + Send),
) -> Result<Copied, CopyError> {
    // Who wants to begin something in the old one waits until this is over, and is refused then.
    let mut old = from.database.bulk().await?;
    let open: Vec<(i64,)> = query(
        old.as_mut(),
        "SELECT COUNT(*) FROM deployments WHERE ended = 0",
        values![],
    )
    .await
    .map_err(StoreError::from)?;
    if let Some((open @ 1..,)) = open.first() {
        return Err(CopyError::Open(open.unsigned_abs()));
    }
    let mut copied = backup::write(old.as_mut(), None, spool).await?;
    spool.rewind()?;
    let mut hash = Sha256::new();
    std::io::copy(spool, &mut hash)?;
    spool.rewind()?;
    let own = hex::encode(hash.finalize());
    let mut new = to.database.bulk().await?;
    let before: Option<(String,)> = optional(
        new.as_mut(),
        "SELECT value FROM meta WHERE name = $1",
        values![MOVED],
    )
    .await
    .map_err(StoreError::from)?;
    // The same content is there: what is left is to close the old one.
    if before.is_none_or(|(before,)| before != own) {
        require_empty(new.as_mut()).await?;
        let mut lines = std::io::BufReader::new(spool);
        copied = read(new.as_mut(), None, &mut lines).await?;
        new.execute(
            "INSERT INTO meta (name, value) VALUES ($1, $2)",
            values![MOVED, &own],
        )
        .await
        .map_err(StoreError::from)?;
        commit(new.as_mut()).await?;
    }
    close(old.as_mut()).await.map_err(StoreError::from)?;
    commit(old.as_mut()).await?;
    if old.dialect() == Dialect::Sqlite {
        // Whoever takes the file away has all of it.
        let whole = "PRAGMA wal_checkpoint(TRUNCATE)";
        old.rows(whole, &[]).await.map_err(StoreError::from)?;
    }
    Ok(copied)
}

/// From now on nothing is added there.
async fn close(old: &mut dyn Sql) -> Result<(), Fault> {
    if old.dialect() != Dialect::Sqlite {
        return Ok(());
    }
    for trigger in [
        "CREATE TRIGGER IF NOT EXISTS moved_deployments BEFORE INSERT ON deployments
         BEGIN SELECT RAISE(ABORT, 'this store was moved to PostgreSQL: set BELAY_STORE'); END",
        "CREATE TRIGGER IF NOT EXISTS moved_environment_events BEFORE INSERT ON environment_events
         BEGIN SELECT RAISE(ABORT, 'this store was moved to PostgreSQL: set BELAY_STORE'); END",
        "CREATE TRIGGER IF NOT EXISTS moved_releases BEFORE INSERT ON releases
         BEGIN SELECT RAISE(ABORT, 'this store was moved to PostgreSQL: set BELAY_STORE'); END",
    ] {
        old.execute(trigger, &[]).await?;
    }
    Ok(())
}
