//! Releases that take each other's place: against the real client's own undo, and how soon a bad image is noticed.

use super::plain;
use super::shop::{ENVIRONMENT, PODS, Shop, image, manifests};
use crate::home::ms;
use crate::rows::{Rows, percentile};
use anyhow::{Context, Result, bail};
use belay_load::now_us;
use belay_model::event::{Entry, Event, Finish};
use belay_testbed::ControlPlane;
use std::path::Path;

const RUNS: u32 = 8;
/// What Belay may take beyond the platform's own way back.
const BEYOND_MS: f64 = 300.0;
const NOTICED_MS: f64 = 2000.0;
const UNDO: &str = "`kubectl rollout undo` and `rollout status`, 4 pods";

pub(crate) async fn measure(belay: &Path, plane: &ControlPlane, rows: &mut Rows) -> Result<()> {
    let lines = "    strategy: rolling\n    keep: { bake: 0s }\n";
    let shop = Shop::new(belay, plane, lines).await?;
    shop.apply("plain", &manifests("plain", &image(1), PODS))
        .await?;
    let status = ["rollout", "status", "deployment/plain"];
    shop.kubectl(&status).await?;
    let (mut own, mut bare) = (Vec::new(), Vec::new());
    for release in 2..2 + RUNS {
        shop.deploy(release).await?;
        let typed_us = now_us();
        shop.roll_back().await?;
        own.push(ms(now_us() - typed_us));

        let set = format!("api={}", image(release));
        shop.kubectl(&["set", "image", "deployment/plain", &set])
            .await?;
        shop.kubectl(&status).await?;
        let typed_us = now_us();
        shop.kubectl(&["rollout", "undo", "deployment/plain"])
            .await?;
        shop.kubectl(&status).await?;
        bare.push(ms(now_us() - typed_us));
        eprint!("\rrolling: {} of {RUNS}", release - 1);
    }
    eprintln!();
    let undo = plain(rows, &format!("{UNDO}: typed -> done"), &bare);
    let back = plain(rows, "rolling, rollback of 4 pods: typed -> done", &own);
    let figure = format!("rolling, rollback: beyond {UNDO}, p50");
    rows.at_most(figure, back - undo, "ms", BEYOND_MS, own.len());
    noticed(&shop, rows).await
}

/// From the moment that the first pod says it until the step has failed, by the journal.
async fn noticed(shop: &Shop<'_>, rows: &mut Rows) -> Result<()> {
    let endpoints = shop.endpoints("api").await?;
    let mut samples = Vec::new();
    for run in 0..RUNS {
        endpoints.forget_waits();
        let image = format!("shop/api:bad-{run}");
        let line = ["deploy", "-e", ENVIRONMENT, "--image", &image];
        let mut deploying = shop.begin(&line)?;
        let said_us = tokio::select! {
            biased;
            said_us = endpoints.waits("ImagePullBackOff") => said_us,
            ended = deploying.wait() => {
                bail!("belay deploy: {} before a pod waited\n{}", ended?, shop.talk())
            }
        };
        let said_us = said_us.with_context(|| shop.talk())?;
        deploying.wait().await?;
        let events = shop.events(&shop.last().await?).await?;
        let entries = events.into_iter().map(serde_json::from_value);
        let entries = entries
            .collect::<Result<Vec<Entry>, _>>()
            .context("read the journal")?;
        let failed = entries.iter().find(|it| {
            let is_failed = |finish: &Finish| matches!(finish, Finish::Failed(_));
            matches!(&it.event, Event::Finished { finish, .. } if is_failed(finish))
        });
        let at_us = failed.context("no step failed")?.at_us;
        samples.push(ms(at_us - said_us));
        // Belay freezes what went back three times within a day.
        if run % 3 == 2 {
            shop.run(&[
                "freeze",
                "--lift",
                "api",
                "-e",
                ENVIRONMENT,
                "--reason",
                "more",
            ])
            .await?;
        }
        eprint!("\rbad image: {} of {RUNS}", run + 1);
    }
    eprintln!();
    let worst = percentile(&samples, 100.0);
    let figure = "a bad image: its pod says it -> the step has failed, worst";
    rows.at_most(figure, worst, "ms", NOTICED_MS, samples.len());
    Ok(())
}
