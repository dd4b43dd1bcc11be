//! `belay doctor`: whether what Belay depends on is as it should be. Changes nothing; its exit code is a gate.

use crate::args::{About, Doctor};
use crate::cx::Cx;
use crate::exit::{Exit, Failure};
use crate::output::Report;
use crate::verbs::rights;
use serde_json::json;

pub(crate) async fn run(cx: &Cx, args: &Doctor) -> Result<Report, Failure> {
    match args.about {
        None if args.place.service.is_some() || args.place.env.is_some() => Err(Failure::usage(
            "say what to look at there: the store belongs to all services",
        )
        .next("belay doctor kubernetes")),
        None => store(cx).await,
        Some(About::Kubernetes) => rights::run(cx, args).await,
    }
}

async fn store(cx: &Cx) -> Result<Report, Failure> {
    let belay = cx.open_alone().await?;
    let found = belay.doctor().await;
    let lines = found.iter().map(|one| {
        let mark = if one.ok { "ok  " } else { "BAD " };
        format!("{mark} {}: {}", one.about, one.text)
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let findings = found
        .iter()
        .map(|one| json!({ "about": one.about, "ok": one.ok, "text": one.text }));
    let json = json!({ "doctor": findings.collect::<Vec<_>>() });
    let bad = found.iter().filter(|one| !one.ok).count();
    let failure = (bad > 0).then(|| {
        let message = format!("{bad} thing(s) that Belay depends on are not as they should be");
        Failure::new(Exit::Unusable, "E0316", message).next("each line says what to do")
    });
    Ok(Report::new(text, json).failing(failure))
}
