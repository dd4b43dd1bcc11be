//! What the demonstration showed: the claims, the numbers, and both ways back, measured.

use crate::output::Report;
use crate::output::table::{printable, table};
use crate::output::time::offset_ms;
use crate::verbs::demo::story::{Back, Told};
use crate::verbs::demo::unheld;
use belay_load::{Came, Seen};
use belay_model::summary::Timeline;
use serde_json::{Value, json};

/// What became of the requests. Every failed one is in exactly one of the four.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    requests: usize,
    /// The bad release's own errors, while it had traffic.
    bad_answers: usize,
    after_verdict: usize,
    proxy_down: usize,
    otherwise: Vec<String>,
}

impl Counts {
    fn of(told: &Told) -> Self {
        let mut counts = Self {
            requests: told.seen.len(),
            ..Self::default()
        };
        for seen in told.seen.iter().filter(|seen| !seen.is_good()) {
            match blame(seen, told) {
                Blame::BadRelease => counts.bad_answers += 1,
                Blame::AfterVerdict => counts.after_verdict += 1,
                Blame::ProxyDown => counts.proxy_down += 1,
                Blame::Other => counts.otherwise.push(format!("{seen:?}")),
            }
        }
        counts
    }

    fn failed(&self) -> usize {
        self.bad_answers + self.after_verdict + self.proxy_down + self.otherwise.len()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    BadRelease,
    AfterVerdict,
    ProxyDown,
    Other,
}

fn blame(seen: &Seen, told: &Told) -> Blame {
    let is_after = |back: &Back| {
        let switched_us = back.timeline.t4.unwrap_or(i64::MAX);
        seen.from_us >= switched_us && seen.from_us < back.until_us
    };
    let is_broken = matches!(seen.came, Came::Nothing(_));
    if told.backs.iter().any(is_after) {
        Blame::AfterVerdict
    } else if seen.release.as_deref() == Some("2") && !is_broken {
        Blame::BadRelease
    } else if is_broken && seen.to_us >= told.killed_us && seen.from_us <= told.answers_us {
        Blame::ProxyDown
    } else {
        Blame::Other
    }
}

fn times(times: &Timeline) -> [(&'static str, Option<i64>, &'static str); 8] {
    [
        ("t0", times.t0, "first bad request"),
        ("t1", times.t1, "verdict or command"),
        ("t2", times.t2, "plan ready"),
        ("t3", times.t3, "first request on the old release"),
        ("t4", times.t4, "all new requests on it"),
        ("t5", times.t5, "capacity converged"),
        ("t6", times.t6, "verified"),
        ("t7", times.t7, "bad release gone"),
    ]
}

/// All that has to be there is there, in the order it has to have.
fn is_complete(timeline: &Timeline) -> bool {
    let Timeline {
        t1: Some(t1),
        t2: Some(t2),
        t4: Some(t4),
        t5: Some(t5),
        t6: Some(t6),
        t7: Some(t7),
        ..
    } = *timeline
    else {
        return false;
    };
    let is_early = timeline.t0.is_none_or(|t0| t0 <= t1);
    is_early && t1 <= t2 && t2 <= t4 && t4 <= t5 && t5 <= t6 && t5 <= t7
}

/// What has to hold, and whether it did.
fn claims(told: &Told, counts: &Counts) -> [(&'static str, bool); 9] {
    let [bad, back] = &told.backs;
    let complete = told.backs.iter().all(|back| is_complete(&back.timeline));
    [
        (
            "release 2 failed on its traffic, and release 1 served again by itself",
            told.bad_exit == Some(3) && bad.to == Some(1) && counts.bad_answers > 0,
        ),
        (
            "release 2, and only it, was quarantined by that",
            told.quarantined == [2],
        ),
        ("release 3 was promoted", told.promoted),
        (
            "the rollback a person asked for led to release 1",
            told.rollback_exit == Some(0) && back.to == Some(1),
        ),
        ("both ways back were measured from end to end", complete),
        (
            "no request failed that was sent after the traffic had been switched back",
            counts.after_verdict == 0,
        ),
        (
            "killed in the middle of a deployment, it ended properly afterwards",
            told.resumed,
        ),
        (
            "the supervisors, the worker and the proxy had been killed",
            ["supervisor", "worker", "proxy"]
                .iter()
                .all(|role| told.killed.iter().any(|killed| killed == role)),
        ),
        (
            "no request failed that cannot be accounted for",
            counts.otherwise.is_empty(),
        ),
    ]
}

pub(crate) fn report(told: &Told) -> Report {
    let counts = Counts::of(told);
    let claims = claims(told, &counts);
    let broken: Vec<String> = claims
        .iter()
        .filter(|(_, held)| !held)
        .map(|(claim, _)| format!("did not hold: {claim}"))
        .collect();
    let failure = (!broken.is_empty()).then(|| {
        let some = counts.otherwise.iter().take(5).cloned();
        unheld("not everything held that the demo claims").detail(broken.into_iter().chain(some))
    });
    Report::new(text(told, &counts, &claims), json(told, &counts, &claims)).failing(failure)
}

fn text(told: &Told, counts: &Counts, claims: &[(&str, bool)]) -> String {
    let mut lines = vec!["\n== What held".to_owned()];
    for (claim, held) in claims {
        lines.push(format!("   {} {claim}", if *held { "✓" } else { "✗" }));
    }
    let [bad, back] = &told.backs;
    lines.push("\n== Both ways back, measured from the verdict or the command".to_owned());
    for back in &told.backs {
        let to = back.to.map_or_else(|| "?".to_owned(), |to| to.to_string());
        let cause = printable(&back.cause);
        lines.push(format!("   release {} to {to}: {cause}", back.from));
    }
    lines.push(String::new());
    let offset = |at: Option<i64>, of: &Back| match (of.timeline.t1, at) {
        (Some(t1), Some(at)) => offset_ms(t1, at),
        _ => "-".to_owned(),
    };
    let pairs = times(&bad.timeline).into_iter().zip(times(&back.timeline));
    let rows = pairs.map(|((name, first, what), (_, second, _))| {
        let (first, second) = (offset(first, bad), offset(second, back));
        [name.to_owned(), first, second, what.to_owned()]
    });
    let shown = table(["TIME", "BY ITSELF", "ON REQUEST", "WHAT"], rows);
    lines.extend(shown.lines().map(|line| format!("   {line}")));
    lines.push("\n== The load".to_owned());
    let failed = counts.failed();
    let numbers = [
        (counts.requests, "requests sent"),
        (failed, "failed, of which"),
        (counts.bad_answers, "  were answered so by release 2"),
        (
            counts.after_verdict,
            "  were sent after the traffic had been switched back",
        ),
        (
            counts.proxy_down,
            "  were sent while every process of Belay was dead",
        ),
        (counts.otherwise.len(), "  failed otherwise"),
    ];
    lines.extend(numbers.map(|(number, what)| format!("   {number:>6}  {what}")));
    lines.join("\n")
}

fn json(told: &Told, counts: &Counts, claims: &[(&str, bool)]) -> Value {
    let backs = told.backs.iter().map(|back| {
        let mut json = json!({
            "deployment": back.deployment,
            "cause": back.cause,
            "from": back.from,
            "to": back.to,
        });
        for (name, at, _) in times(&back.timeline) {
            json[name] = json!(at);
        }
        json
    });
    json!({
        "requests": counts.requests,
        "failed": counts.failed(),
        "failed_by_bad_release": counts.bad_answers,
        "failed_after_verdict": counts.after_verdict,
        "failed_while_proxy_down": counts.proxy_down,
        "failed_otherwise": counts.otherwise.len(),
        "rollbacks": backs.collect::<Value>(),
        "quarantined": told.quarantined,
        "killed": told.killed,
        "proxy_down_ms": (told.answers_us - told.killed_us) / 1000,
        "resumed_after_kill": told.resumed,
        "claims": claims.iter().map(|(claim, held)| json!({ "claim": claim, "held": held })).collect::<Value>(),
    })
}
