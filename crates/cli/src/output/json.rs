//! The documented shapes of `--output json`. Our own, not those of the journal, so that a stored format may change without
//! breaking a script. docs/cli.md describes every field.

use crate::output::time::rfc3339;
use belay_model::environment::Known;
use belay_model::event::{Outcome, RollbackResult};
use belay_model::id::Scope;
use belay_model::summary::{Summary, Timeline};
use belay_runtime::{
    GroupStatus, Light, Measured, PlannedStep, Readiness, ReleaseInfo, Restorability,
    RollbackPreview, ScopeStatus,
};
use serde_json::{Value, json};

/// A time in RFC 3339; Unix microseconds in.
pub(crate) fn at(us: Option<i64>) -> Value {
    json!(us.and_then(rfc3339))
}

/// One deployment.
pub(crate) fn deployment(summary: &Summary) -> Value {
    json!({
        "id": summary.id,
        "service": summary.scope.service,
        "environment": summary.scope.environment,
        "kind": summary.kind,
        "release": summary.release,
        "record": summary.record,
        "actor": summary.actor,
        "reason": summary.reason,
        "trigger": summary.trigger,
        "said": summary.said.iter().map(|said| json!({
            "at": at(Some(said.at_us)), "actor": said.actor, "ask": said.ask, "reason": said.reason,
        })).collect::<Value>(),
        "phase": summary.phase,
        "hotfix": summary.hotfix,
        "promoted_from": summary.promoted_from,
        "supersedes": summary.supersedes,
        "superseded_by": summary.superseded_by,
        "outcome": summary.outcome.as_ref().map(outcome),
        "created_at": at(Some(summary.created_us)),
        "locked_at": at(summary.locked_us),
        "promoted_at": at(summary.promoted_us),
        "ended_at": at(summary.ended_us),
        "step": summary.step,
        "step_title": summary.step_title,
        "steps": summary.steps,
        "cause": summary.cause,
        "back_to": summary.back_to,
        "stuck": summary.stuck,
        "verdict": summary.verdict,
        "failure": summary.failure,
        "remarks": summary.remarks,
        "ignored": summary.ignored,
        "timeline": timeline(&summary.timeline),
    })
}

fn outcome(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Succeeded => json!({ "result": "succeeded" }),
        Outcome::Stopped => json!({ "result": "stopped" }),
        Outcome::Replaced { by } => json!({ "result": "replaced", "by": by }),
        Outcome::Failed { rollback, residue } => json!({
            "result": "failed",
            "rollback": match rollback {
                RollbackResult::None => "none",
                RollbackResult::Complete => "complete",
                RollbackResult::Limited => "limited",
                RollbackResult::Incomplete => "incomplete",
            },
            "residue": residue,
        }),
    }
}

/// The measured way back, Unix microseconds; null where it did not happen or nobody could see it.
fn timeline(timeline: &Timeline) -> Value {
    json!({
        "t0_us": timeline.t0, "t1_us": timeline.t1, "t2_us": timeline.t2, "t3_us": timeline.t3,
        "t4_us": timeline.t4, "t5_us": timeline.t5, "t6_us": timeline.t6, "t7_us": timeline.t7,
    })
}

pub(crate) fn scope(scope: &Scope) -> (&str, &str) {
    (scope.service.as_str(), scope.environment.as_str())
}

pub(crate) fn steps(steps: &[PlannedStep]) -> Value {
    let steps = steps.iter().map(|step| {
        json!({
            "phase": step.phase,
            "target": step.target,
            "title": step.title,
            "wave": step.wave,
            "promotes": step.promotes,
            "bake": step.bake,
            "residue": step.residue,
        })
    });
    steps.collect()
}

/// How one service stands in one environment.
pub(crate) fn status(status: &ScopeStatus) -> Value {
    let (service, environment) = scope(&status.scope);
    let serving = status.serving.as_ref().map(|serving| {
        json!({
            "release": serving.release,
            "record": serving.record,
            "group": serving.group,
            "standing": serving.standing,
            "deployment": serving.deployment,
            "since": at(Some(serving.since_us)),
        })
    });
    let targets = status.targets.iter().map(|(name, target)| match target {
        Ok(target) => json!({
            "name": name,
            "listen": target.listen,
            "foreign": target.foreign,
            "groups": target.groups.iter().map(group).collect::<Value>(),
        }),
        Err(why) => json!({ "name": name, "unobserved": why }),
    });
    json!({
        "service": service,
        "environment": environment,
        "serving": serving,
        "frozen": status.frozen,
        "targets": targets.collect::<Value>(),
        "open": status.open.iter().map(deployment).collect::<Value>(),
        "last": status.last.as_ref().map(deployment),
    })
}

fn group(group: &GroupStatus) -> Value {
    json!({
        "group": group.group,
        "release": group.release,
        "ready": group.ready,
        "instances": group.instances,
        "weight_per_mille": group.weight,
        "unhealthy": group.unhealthy,
        "restarts": group.restarts,
        "removed_by": group.removed_by,
        "removed_at": at(group.removed_at_ms.map(|ms| ms.saturating_mul(1000))),
    })
}

/// Where a rollback leads.
pub(crate) fn preview(preview: &RollbackPreview) -> Value {
    let (service, environment) = scope(&preview.scope);
    json!({
        "service": service,
        "environment": environment,
        "leaves": preview.leaves,
        "leaves_there": preview.leaves_there,
        "passed_over": preview.passed_over,
        "goal": preview.goal,
        "release": preview.release,
        "record": preview.record,
        "standing": preview.standing,
        "good_at": at(preview.good_at_us),
        "skipped": preview.skipped.iter().map(|skipped| {
            json!({ "release": skipped.release, "record": skipped.record, "why": skipped.why })
        }).collect::<Value>(),
        "steps": steps(&preview.steps),
        "residue": preview.residue,
        "restorability": restorability(&preview.restorability),
        "drift": preview.drift,
        "newer_secrets": preview.newer_secrets,
        "changed_by_hand": preview.hands,
        "keeps_changes_by_hand": preview.keeps_hands,
        "signal_to": preview.signal_to,
        "ends": preview.ends.iter().map(|queued| {
            json!({ "deployment": queued.id, "release": queued.release })
        }).collect::<Value>(),
        "remarks": preview.remarks,
    })
}

/// `exact` with a predicted time if there is one, `partial` or `no` with why.
fn restorability(restorability: &Restorability) -> Value {
    match restorability {
        Restorability::Exact { millis } => json!({ "is": "exact", "predicted_ms": millis }),
        Restorability::Partial(missing) => json!({ "is": "partial", "missing": missing }),
        Restorability::No(why) => json!({ "is": "no", "missing": why }),
    }
}

pub(crate) fn readiness(readiness: &Readiness) -> Value {
    let (service, environment) = scope(&readiness.scope);
    json!({
        "service": service,
        "environment": environment,
        "ready": readiness.ready,
        "light": match readiness.light {
            Light::Green => "green",
            Light::Yellow => "yellow",
            Light::Red => "red",
        },
        "good_at": at(readiness.good_at_us),
        "looked_at": at(Some(readiness.looked_at_us)),
        "evidence_age_s": readiness.good_at_us.map(|at_us| (readiness.looked_at_us - at_us) / 1_000_000),
        "steps": steps(&readiness.steps),
        "goal": readiness.goal,
        "release": readiness.release,
        "warm": readiness.warm,
        "predicted_ms": readiness.predicted_ms,
        "measured": readiness.measured.is_some(),
        "measured_by": readiness.measured.map(|measured| match measured {
            Measured::WayBack => "way_back",
            Measured::Rollout => "rollout",
        }),
        "reasons": readiness.reasons,
        "skipped": readiness.skipped.iter().map(|skipped| {
            json!({ "release": skipped.release, "record": skipped.record, "why": skipped.why })
        }).collect::<Value>(),
    })
}

pub(crate) fn release(info: &ReleaseInfo) -> Value {
    let standings = info.standings.iter().map(|(environment, known)| {
        let mut json = standing(known);
        json["environment"] = json!(environment);
        json
    });
    json!({
        "service": info.release.service,
        "number": info.release.number,
        "artifact": info.release.artifact,
        "source": info.release.source,
        "commit": info.release.commit,
        "config": info.release.config,
        "created_at": at(Some(info.release.created_at_ms.saturating_mul(1000))),
        "standings": standings.collect::<Value>(),
        "serves": info.serves,
    })
}

fn standing(known: &Known) -> Value {
    json!({
        "record": known.record.hash(),
        "standing": known.standing,
        "since": at(Some(known.since_us)),
        "good_at": at(known.good_at_us),
        "failures": known.failures,
        "budget_since": at(known.budget_since_us),
        "reason": known.reason,
        "deployment": known.deployment,
    })
}
