//! `belay proxy`: runs the data plane, and shows what it does.

use crate::args::Proxy;
use crate::cx::Cx;
use crate::exit::{Exit, Failure, chain};
use crate::output::Report;
use crate::output::table::{printable, table};
use crate::output::time::{ago, now_us};
use belay_proxy_api::{Client, Stats, StatsRequest, Status, Table};
use serde_json::json;
use std::path::PathBuf;

pub(crate) async fn run(cx: &Cx, verb: &Proxy) -> Result<Report, Failure> {
    match verb {
        Proxy::Run => serve(in_store(cx)).await,
        Proxy::Status => status(in_store(cx)).await,
    }
}

/// The proxy of a store lives in it.
fn in_store(cx: &Cx) -> PathBuf {
    cx.dir().join("proxy")
}

async fn serve(dir: PathBuf) -> Result<Report, Failure> {
    let failed = |error: belay_proxy::Error| {
        let message = format!("failed to {}", chain(&error));
        Failure::new(Exit::Unusable, "E0305", message).next("belay proxy status")
    };
    let shutdown = belay_proxy::signalled().map_err(failed)?;
    belay_proxy::run(belay_proxy::Options::new(dir), shutdown)
        .await
        .map_err(failed)?;
    Ok(Report::silent())
}

async fn status(dir: PathBuf) -> Result<Report, Failure> {
    let client = Client::for_dir(&dir);
    let failed = |error: belay_proxy_api::Error| {
        Failure::new(
            Exit::Unusable,
            "E0305",
            format!("failed to {}", chain(&error)),
        )
        .next("a deployment starts it when it needs one")
        .next("belay proxy run    starts it in the foreground")
    };
    let status = client.status().await.map_err(failed)?;
    let routes = client.table().await.map_err(failed)?;
    let stats = client
        .stats(&StatsRequest::default())
        .await
        .map_err(failed)?;
    let json =
        json!({ "proxy": { "status": status, "table": routes, "in_flight": in_flight(&stats) } });
    Ok(Report::new(text(&status, &routes, &stats), json))
}

fn text(status: &Status, routes: &Table, stats: &Stats) -> String {
    let since = i64::try_from(status.started_us).unwrap_or(i64::MAX);
    let mut text = format!(
        "belay proxy {} (pid {}), started {}, table {}{}\n",
        status.version,
        status.pid,
        ago(since, now_us()),
        status.number,
        if status.holding {
            ", waits to be told that its table may serve"
        } else {
            ""
        },
    );
    let rows = routes.routes.iter().flat_map(|(name, route)| {
        let listener = status
            .listeners
            .iter()
            .find(|listener| &listener.route == name);
        let listens = match listener {
            Some(listener) if listener.bound => route.listen.to_string(),
            Some(listener) => {
                let why = listener.error.as_deref().unwrap_or("not yet");
                format!("{} NOT BOUND: {}", route.listen, printable(why))
            }
            None => format!("{} NOT BOUND", route.listen),
        };
        route.groups.iter().map(move |(group, settings)| {
            let stats = stats
                .routes
                .get(name)
                .and_then(|route| route.groups.get(group));
            let healthy = stats.map_or(0, |stats| {
                stats
                    .upstreams
                    .values()
                    .filter(|upstream| upstream.healthy)
                    .count()
            });
            [
                name.clone(),
                listens.clone(),
                group.clone(),
                share(settings.weight),
                format!("{healthy}/{}", settings.upstreams.len()),
                stats.map_or(0, |stats| stats.in_flight).to_string(),
            ]
        })
    });
    text += &table(
        [
            "ROUTE",
            "LISTENS ON",
            "GROUP",
            "TRAFFIC",
            "HEALTHY",
            "IN FLIGHT",
        ],
        rows,
    );
    for warning in &status.warnings {
        text += &format!("\nwarning: {}", printable(warning));
    }
    text
}

fn in_flight(stats: &Stats) -> serde_json::Value {
    let routes = stats.routes.iter().map(|(name, route)| {
        let groups = route
            .groups
            .iter()
            .map(|(group, stats)| (group.clone(), json!(stats.in_flight)));
        (name.clone(), serde_json::Value::Object(groups.collect()))
    });
    serde_json::Value::Object(routes.collect())
}

/// Per mille as per cent: `12.5 %`.
pub(crate) fn share(per_mille: u32) -> String {
    match per_mille % 10 {
        0 => format!("{} %", per_mille / 10),
        tenth => format!("{}.{tenth} %", per_mille / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares() {
        for (weight, expect) in [(0, "0 %"), (125, "12.5 %"), (1000, "100 %"), (1, "0.1 %")] {
            assert_eq!(share(weight), expect);
        }
    }
}
