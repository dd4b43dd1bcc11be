//! `belay status`: what serves where, and what is going on.

use crate::args::Status;
use crate::cx::Cx;
use crate::exit::{Exit, Failure};
use crate::output::story::words;
use crate::output::table::{printable, table};
use crate::output::time::{ago, length, moment, now_us};
use crate::output::{Report, json};
use crate::verbs::proxy::share;
use belay_model::id::Scope;
use belay_model::summary::{Phase, Said, Summary};
use belay_runtime::{GroupStatus, ScopeStatus, TargetStatus};
use serde_json::json;

pub(crate) async fn run(cx: &Cx, args: &Status) -> Result<Report, Failure> {
    let belay = cx.open().await?;
    let mut scopes = belay.status().await?;
    if args.place.env.is_some() || args.place.service.is_some() {
        let named = cx.uri(&args.place)?.map(|uri| uri.scope());
        let named = named
            .as_ref()
            .map(|it| (it.service.as_str(), it.environment.as_str()));
        let (service, env) = match named {
            Some((service, env)) => (Some(service), Some(env)),
            None => (args.place.service.as_deref(), args.place.env.as_deref()),
        };
        scopes.retain(|status| {
            service.is_none_or(|service| status.scope.service.as_str() == service)
                && env.is_none_or(|env| status.scope.environment.as_str() == env)
        });
        if scopes.is_empty() {
            // Nothing fits: this tells what there is, and what is near.
            let scope = belay.find_scope(service, env).await?;
            let message = format!("nothing is known of {scope}");
            return Err(Failure::new(Exit::Usage, "E0304", message).next("belay status"));
        }
    }
    let now = now_us();
    let json =
        json!({ "services": scopes.iter().map(json::status).collect::<serde_json::Value>() });
    Ok(Report::new(text(&scopes, now), json))
}

fn text(scopes: &[ScopeStatus], now: i64) -> String {
    if scopes.is_empty() {
        return "nothing was deployed yet".to_owned();
    }
    let rows = scopes.iter().flat_map(|status| {
        let several = status.targets.iter().filter(|_| status.targets.len() > 1);
        let places = several.map(|(name, target)| place_row(&status.scope, name, target));
        std::iter::once(row(status, now)).chain(places)
    });
    let mut text = table(
        [
            "SERVICE",
            "ENVIRONMENT",
            "SERVES",
            "STANDING",
            "SINCE",
            "READY",
            "TRAFFIC",
            "OPEN",
        ],
        rows,
    );
    for status in scopes {
        for line in notes(status, now) {
            text += &format!("\n{}: {}", status.scope, printable(&line));
        }
    }
    text
}

fn row(status: &ScopeStatus, now: i64) -> [String; 8] {
    let serving = status.serving.as_ref();
    let dash = || "-".to_owned();
    let targets = status.targets.values().flatten();
    let (ready, shares) = groups(targets, status.targets.len() > 1);
    [
        status.scope.service.to_string(),
        status.scope.environment.to_string(),
        serving.map_or_else(
            || "nothing".to_owned(),
            |serving| format!("release {}", serving.release),
        ),
        serving.map_or_else(dash, |serving| serving.standing.to_string()),
        serving.map_or_else(dash, |serving| ago(serving.since_us, now)),
        ready,
        shares,
        status
            .open
            .first()
            .map_or_else(dash, |open| going_on(open, now)),
    ]
}

/// One of several targets, below the row of its environment.
fn place_row(scope: &Scope, name: &str, target: &Result<TargetStatus, String>) -> [String; 8] {
    let empty = String::new;
    let (ready, shares) = groups(target.iter(), false);
    let name = format!("  {}", place(scope, name));
    [
        empty(),
        name,
        empty(),
        empty(),
        empty(),
        ready,
        shares,
        empty(),
    ]
}

/// Instances that are ready, and who has the traffic; where several targets are told of at once, instances alone.
fn groups<'a>(targets: impl Iterator<Item = &'a TargetStatus>, is_sum: bool) -> (String, String) {
    let groups: Vec<&GroupStatus> = targets.flat_map(|target| &target.groups).collect();
    let is_kept = |group: &&&GroupStatus| group.weight > 0 || group.removed_at_ms.is_none();
    let kept: Vec<_> = groups.iter().filter(is_kept).collect();
    let or_dash = |list: Vec<String>| match list.is_empty() {
        true => "-".to_owned(),
        false => list.join(", "),
    };
    if is_sum {
        let sum = |count: fn(&GroupStatus) -> u32| kept.iter().map(|group| count(group)).sum();
        let (ready, all): (u32, u32) = (sum(|group| group.ready), sum(|group| group.instances));
        return (format!("{ready}/{all}"), "-".to_owned());
    }
    let ready = kept.iter();
    let ready = ready.map(|group| format!("{}/{}", group.ready, group.instances));
    let carrying = groups.iter().filter(|group| group.weight > 0);
    let shares = carrying.map(|group| format!("{} {}", name(group), share(group.weight)));
    (or_dash(ready.collect()), or_dash(shares.collect()))
}

/// A target's own part of its name.
fn place<'a>(scope: &Scope, name: &'a str) -> &'a str {
    let own = name.strip_prefix(&scope.to_string());
    own.and_then(|own| own.strip_prefix('/')).unwrap_or(name)
}

fn name(group: &GroupStatus) -> String {
    group.release.map_or_else(
        || group.group.clone(),
        |release| format!("release {release}"),
    )
}

/// `dep_1 running, step 2/6 (12.3 s)`.
fn going_on(open: &Summary, now: i64) -> String {
    let step = open.step.map_or_else(String::new, |step| {
        format!(", step {}/{}", step.index + 1, open.steps)
    });
    let since = length(now - open.created_us);
    format!("{} {}{step} ({since})", open.id, open.phase)
}

fn notes(status: &ScopeStatus, now: i64) -> Vec<String> {
    let mut notes = Vec::new();
    for (place, target) in &status.targets {
        // Where there is one, its name is that of the scope.
        let of = match status.targets.len() {
            1 => String::new(),
            _ => format!("{}: ", self::place(&status.scope, place)),
        };
        match target {
            Ok(target) => notes.extend(seen(target).map(|line| format!("{of}{line}"))),
            Err(why) => notes.push(format!("{of}the target could not be observed: {why}")),
        }
    }
    notes.extend(status.frozen.clone());
    for open in &status.open {
        if let Some(title) = &open.step_title {
            notes.push(format!("{}: {title}", open.id));
        }
        let said = open.said.iter();
        notes.extend(said.map(|said| format!("{}: {}", open.id, heard(said))));
        if open.asks_for_approval() {
            notes.push(format!(
                "{0}: belay approve {0}, or belay reject {0}",
                open.id
            ));
        }
        if open.phase == Phase::NeedsOperator || open.stuck.is_some() {
            let why = open.stuck.as_deref().unwrap_or("it cannot go on");
            notes.push(format!("{} waits for a person: {why}", open.id));
            notes.push(format!("-> belay watch {} tells what can be done", open.id));
        }
    }
    let last = status.last.iter().filter(|_| status.open.is_empty());
    let ignored = last.flat_map(|last| last.ignored.iter().map(|line| (&last.id, line)));
    notes.extend(ignored.map(|(id, line)| format!("{id} ended although: {line}")));
    if let Some(last) = status.last.as_ref().filter(|_| status.open.is_empty())
        && let Some(cause) = &last.cause
    {
        let when = ago(last.ended_us.unwrap_or(last.created_us), now);
        notes.push(format!("{} went back {when}: {cause}", last.id));
    }
    notes
}

/// `ada said: yes, fine (3 min ago)`.
fn heard(said: &Said) -> String {
    let why = said.reason.as_ref();
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    format!("{} said: {}{why}", said.actor, words(&said.ask))
}

/// What is to be told of a target.
fn seen(target: &TargetStatus) -> impl Iterator<Item = String> {
    let listen = target.listen.iter();
    let listen = listen.map(|listen| format!("listens on {listen}"));
    let foreign = target.foreign.iter();
    let foreign = foreign.map(|line| format!("changed by someone else: {line}"));
    listen
        .chain(foreign)
        .chain(target.groups.iter().flat_map(of_group))
}

fn of_group(group: &GroupStatus) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(why) = &group.unhealthy {
        notes.push(format!("{} is not healthy: {why}", group.group));
    }
    if group.restarts > 0 {
        let times = if group.restarts == 1 {
            "once".to_owned()
        } else {
            format!("{} times", group.restarts)
        };
        notes.push(format!(
            "instances of {} ended and were started again {times}: belay logs",
            group.group
        ));
    }
    if let Some(command) = &group.removed_by {
        notes.push(format!(
            "{} was there before Belay, and stands by until you remove it: {command}",
            group.group
        ));
    }
    if let Some(at_ms) = group.removed_at_ms {
        let at = moment(at_ms.saturating_mul(1000));
        notes.push(format!(
            "{} ({}) is kept warm until {at}",
            group.group,
            name(group)
        ));
    }
    notes
}
