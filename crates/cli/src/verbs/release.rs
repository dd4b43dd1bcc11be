//! `belay release`: what releases there are, what they are where, and lifting a quarantine.

use crate::args::{Place, Release};
use crate::cx::Cx;
use crate::exit::{Exit, Failure};
use crate::output::table::{printable, table};
use crate::output::time::{ago, moment, now_us};
use crate::output::{Report, json};
use belay_model::id::{EnvironmentName, ReleaseNumber, ServiceName};
use belay_runtime::{Belay, ReleaseInfo};
use serde_json::{Value, json};

pub(crate) async fn run(cx: &Cx, verb: Release) -> Result<Report, Failure> {
    let belay = cx.open().await?;
    match verb {
        Release::List { service } => list(&belay, &find_service(cx, &belay, service).await?).await,
        Release::Show { release, service } => {
            let service = find_service(cx, &belay, service).await?;
            show(&belay, &service, ReleaseNumber(release)).await
        }
        Release::Lift {
            release,
            service,
            env,
            reason,
        } => {
            let (service, env) = match env {
                // Both names are looked up, so that a misspelt one is answered with the right one.
                Some(env) => {
                    let place = Place {
                        service,
                        env: Some(env),
                    };
                    let scope = cx.scope(&belay, &place).await?;
                    (scope.service, Some(scope.environment))
                }
                None => (find_service(cx, &belay, service).await?, None),
            };
            lift(
                &belay,
                &service,
                env.as_ref(),
                ReleaseNumber(release),
                reason,
            )
            .await
        }
    }
}

/// The service alone: of its environments, any will do to find it.
async fn find_service(
    cx: &Cx,
    belay: &Belay,
    named: Option<String>,
) -> Result<ServiceName, Failure> {
    let wanted = cx.service(named.as_deref());
    let scopes = belay.status().await?;
    let mut known: Vec<_> = scopes.iter().map(|status| &status.scope.service).collect();
    known.dedup();
    let is_wanted =
        |service: &&&ServiceName| wanted.as_ref().is_none_or(|name| service.as_str() == name);
    let found: Vec<_> = known.iter().filter(is_wanted).collect();
    if let [service] = found.as_slice() {
        return Ok((**service).clone());
    }
    // None, or several: the runtime says so, with what there is.
    Ok(belay.find_scope(wanted.as_deref(), None).await?.service)
}

async fn list(belay: &Belay, service: &ServiceName) -> Result<Report, Failure> {
    let releases = belay.releases(service).await?;
    let json = json!({ "releases": releases.iter().map(json::release).collect::<Value>() });
    let now = now_us();
    let rows = releases.iter().map(|info| {
        [
            info.release.number.to_string(),
            ago(info.release.created_at_ms.saturating_mul(1000), now),
            info.release
                .commit
                .clone()
                .unwrap_or_else(|| "-".to_owned()),
            standings(info),
            names(&info.serves),
            printable(&info.release.source),
        ]
    });
    let text = table(
        ["RELEASE", "MADE", "COMMIT", "STANDING", "SERVES", "FROM"],
        rows,
    );
    let text = if text.is_empty() {
        format!("{service}: there is no release yet")
    } else {
        text
    };
    Ok(Report::new(text, json))
}

fn standings(info: &ReleaseInfo) -> String {
    let mut seen = Vec::new();
    let mut parts = Vec::new();
    for (environment, known) in &info.standings {
        // The newest of each environment stands for it.
        if !seen.contains(&environment) {
            seen.push(environment);
            parts.push(format!("{environment}: {}", known.standing));
        }
    }
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join("; ")
    }
}

fn names(environments: &[EnvironmentName]) -> String {
    if environments.is_empty() {
        return "-".to_owned();
    }
    let names: Vec<_> = environments.iter().map(EnvironmentName::as_str).collect();
    names.join(", ")
}

async fn show(
    belay: &Belay,
    service: &ServiceName,
    number: ReleaseNumber,
) -> Result<Report, Failure> {
    let releases = belay.releases(service).await?;
    let Some(info) = releases.iter().find(|info| info.release.number == number) else {
        let message = format!("{service} has no release {number}");
        return Err(Failure::new(Exit::Usage, "E0304", message).next("belay release list"));
    };
    let release = &info.release;
    let mut lines = vec![
        format!("{service} release {number}"),
        format!(
            "  made      {}",
            moment(release.created_at_ms.saturating_mul(1000))
        ),
        format!("  artifact  {}", release.artifact),
        format!("  from      {}", printable(&release.source)),
    ];
    lines.extend(
        release
            .commit
            .iter()
            .map(|commit| format!("  commit    {}", printable(commit))),
    );
    let config = release.config.iter();
    lines.extend(config.map(|(name, value)| format!("  config    {name}={}", printable(value))));
    for (environment, known) in &info.standings {
        let since = moment(known.since_us);
        let why = known
            .reason
            .as_ref()
            .map_or_else(String::new, |why| format!(": {}", printable(why)));
        let record = known.record.hash();
        lines.push(format!(
            "  {environment}: {} since {since} (record {}){why}",
            known.standing,
            record.short()
        ));
        if let Some(since_us) = known.budget_since_us {
            lines.push(format!(
                "    a new error budget since {}: rolled back {} since then",
                moment(since_us),
                times(known.failures)
            ));
        }
    }
    if !info.serves.is_empty() {
        lines.push(format!("  serves in {}", names(&info.serves)));
    }
    Ok(Report::new(
        lines.join("\n"),
        json!({ "release": json::release(info) }),
    ))
}

fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

async fn lift(
    belay: &Belay,
    service: &ServiceName,
    env: Option<&EnvironmentName>,
    number: ReleaseNumber,
    reason: String,
) -> Result<Report, Failure> {
    let lifted = belay.lift(service, env, number, reason).await?;
    let lines: Vec<_> = lifted
        .iter()
        .map(|lifted| {
            format!(
                "{}: release {number} is {} again, with a new error budget",
                lifted.scope, lifted.standing
            )
        })
        .collect();
    let json = lifted.iter().map(|lifted| {
        let (service, environment) = json::scope(&lifted.scope);
        json!({ "service": service, "environment": environment, "record": lifted.record, "standing": lifted.standing })
    });
    Ok(Report::new(
        lines.join("\n"),
        json!({ "lifted": json.collect::<Value>() }),
    ))
}
