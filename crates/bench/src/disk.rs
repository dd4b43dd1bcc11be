//! The physical limit of a durable step: one append to the journal beside a bare fsync of the same disk, in turn. The
//! entries are those of a real deployment.

use crate::project::{Binaries, Project, WARM};
use crate::rows::{Rows, percentile};
use anyhow::{Context, Result};
use belay_engine::ports::{Batch, Store, Writer};
use belay_model::event::{Entry, Event};
use belay_model::id::DeploymentId;
use belay_store::{Options, SqliteStore};
use std::fs::File;
use std::io::Write;
use std::time::Instant;

const RUNS: usize = 300;
/// A page of the database, with its frame's header about what one append writes at least.
const PAGE: [u8; 4096] = [7; 4096];

pub(crate) async fn measure(binaries: &Binaries, rows: &mut Rows) -> Result<()> {
    let project = Project::new(binaries, WARM)?;
    let deployment = project.deploy(1).await?;
    let entries: Vec<Entry> = project
        .events(&deployment)
        .await?
        .into_iter()
        .map(serde_json::from_value)
        .collect::<Result<_, _>>()
        .context("read the journal")?;
    let find = |is: fn(&Event) -> bool| {
        let entry = entries.iter().find(|entry| is(&entry.event));
        entry.map(|entry| entry.event.clone()).context("an event")
    };
    let created = find(|event| matches!(event, Event::Created(_)))?;
    let finished = find(|event| matches!(event, Event::Finished { .. }))?;
    let store = SqliteStore::open(&project.path().join("store"), Options::default()).await?;
    let id: DeploymentId = serde_json::from_value(deployment["id"].clone())?;
    store.create(&id, 0, created, Vec::new(), 1).await?;
    let mut file = File::create(project.path().join("bare"))?;
    let (mut bare, mut append) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let began = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        bare.push(began.elapsed().as_secs_f64() * 1000.0);
        let batch = Batch {
            deployment: id.clone(),
            writer: Writer::Anyone,
            events: vec![(0, finished.clone())],
            environment: Vec::new(),
            unmoved: Vec::new(),
        };
        let began = Instant::now();
        store.append(batch).await?;
        append.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    store.close().await;
    for (what, samples) in [
        ("bare fdatasync of 4 KiB appended on the same disk", &bare),
        ("one append to the journal", &append),
    ] {
        for share in [50.0, 99.0] {
            let value = percentile(samples, share);
            rows.plain(format!("{what}, p{share}"), value, "ms", RUNS);
        }
    }
    let ratio = percentile(&append, 50.0) / percentile(&bare, 50.0);
    rows.plain("one append : one bare fdatasync, p50", ratio, "times", RUNS);
    Ok(())
}
