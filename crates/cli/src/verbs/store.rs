//! `belay store`: the store as a whole.

use crate::args::Store;
use crate::cx::{Cx, Use};
use crate::exit::{Exit, Failure};
use crate::output::Report;
use belay_runtime::Copied;
use serde_json::json;
use std::io::Write;
use std::path::Path;

pub(crate) async fn run(cx: &Cx, args: Store) -> Result<Report, Failure> {
    match args {
        Store::Check => check(cx).await,
        Store::Migrate { to: None } => {
            cx.open_for(Use::Migrated).await?;
            let text = "the store is up to date";
            Ok(Report::new(text, json!({ "migrated": true })))
        }
        Store::Migrate { to: Some(to) } => {
            let belay = cx.open_alone().await?;
            let moved = belay.move_to(cx.goal(&to)).await?;
            let text = format!(
                "moved {}; from now on set BELAY_STORE, on every machine; the old file is {}",
                counted(&moved),
                belay.dir().join("belay.db.moved").display()
            );
            Ok(Report::new(text, json!({ "moved": of(&moved) })))
        }
        Store::Backup { path: file } => {
            let belay = cx.open_alone().await?;
            let copied = belay.backup(&file).await?;
            let text = format!(
                "{}: {}; the key is not in it: keep that apart",
                file.display(),
                counted(&copied)
            );
            Ok(Report::new(
                text,
                json!({ "backup": of(&copied), "file": file }),
            ))
        }
        Store::Restore { path: file } => {
            let belay = cx.open_for(Use::Restored).await?;
            let copied = belay.restore(&file).await?;
            let text = format!("restored {}", counted(&copied));
            Ok(Report::new(text, json!({ "restored": of(&copied) })))
        }
        Store::Export { path } => export(cx, path.as_deref()).await,
    }
}

async fn check(cx: &Cx) -> Result<Report, Failure> {
    let belay = cx.open_alone().await?;
    let found = belay.check().await?;
    let failure = (!found.is_empty()).then(|| {
        let message = format!(
            "{} thing(s) in the store are not as they were written",
            found.len()
        );
        Failure::new(Exit::Unusable, "E0315", message)
            .detail(found.clone())
            .next("keep a copy of the store as it is, and restore the last good backup")
    });
    let text = match found.is_empty() {
        true => "all is as it was written",
        false => "",
    };
    Ok(Report::new(text, json!({ "check": { "found": found } })).failing(failure))
}

async fn export(cx: &Cx, file: Option<&Path>) -> Result<Report, Failure> {
    let belay = cx.open_alone().await?;
    let failed = |error: std::io::Error| {
        let message = format!("failed to write what is exported: {error}");
        Failure::new(Exit::Unusable, "E0302", message).next("name a file that is not there yet")
    };
    let Some(file) = file else {
        let mut out = std::io::BufWriter::new(std::io::stdout());
        belay.export(&mut out).await?;
        out.flush().map_err(failed)?;
        return Ok(Report::silent());
    };
    let made = std::fs::File::create_new(file).map_err(failed)?;
    let mut out = std::io::BufWriter::new(made);
    let copied = belay.export(&mut out).await?;
    out.flush().map_err(failed)?;
    let text = format!("{}: {} lines", file.display(), copied.rows);
    Ok(Report::new(
        text,
        json!({ "exported": of(&copied), "file": file }),
    ))
}

fn counted(copied: &Copied) -> String {
    let Copied {
        deployments,
        rows,
        artifacts,
    } = copied;
    format!("{deployments} deployments, {artifacts} artifacts, {rows} lines")
}

fn of(copied: &Copied) -> serde_json::Value {
    json!({
        "deployments": copied.deployments,
        "artifacts": copied.artifacts,
        "rows": copied.rows,
    })
}
