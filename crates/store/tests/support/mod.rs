//! What the tests of the store write: small deployments, records and releases.
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod postgres;

use belay_engine::ports::{Batch, Store, Writer};
use belay_model::back::Back;
use belay_model::config::{BackOrder, FirstFailure, Inconclusive, Strategy};
use belay_model::environment;
use belay_model::event::{Ask, Cause, Event, Inputs, Kind, Outcome};
use belay_model::id::{
    ArtifactDigest, DeploymentId, EnvironmentName, ReleaseNumber, Scope, ServiceName,
};
use belay_model::plan::{Action, Approval, Phase, Plan, Step};
use belay_model::release::{Record, Release, Target};
use belay_model::state::{Goal, States};
use belay_store::{Options, SqliteStore};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Longer than anything here takes, so that a test that hangs says where.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn scope(service: &str) -> Scope {
    Scope {
        service: ServiceName::new(service),
        environment: EnvironmentName::new("production"),
    }
}

pub(crate) fn deployment(name: &str) -> DeploymentId {
    DeploymentId::new(format!("dep_{name}"))
}

pub(crate) fn record(service: &str, number: u32) -> Record {
    Record {
        format: 1,
        scope: scope(service),
        release: ReleaseNumber(number),
        artifact: ArtifactDigest::new(format!("sha256:{number:064}")),
        config: BTreeMap::new(),
        secrets: BTreeMap::new(),
        sealed: None,
        targets: vec![Target {
            driver: "process".to_owned(),
            name: format!("{service}/production"),
            host: None,
            settings: serde_json::Value::Null,
        }],
    }
}

pub(crate) fn release(service: &str, content: &str) -> Release {
    Release {
        format: 1,
        service: ServiceName::new(service),
        number: ReleaseNumber(0),
        artifact: ArtifactDigest::new(format!("sha256:{content}")),
        source: "./dist".to_owned(),
        config: BTreeMap::new(),
        created_at_ms: 1,
        commit: None,
    }
}

pub(crate) fn created(service: &str) -> Event {
    created_with(service, "ada")
}

pub(crate) fn created_with(service: &str, actor: &str) -> Event {
    Event::Created(Box::new(Inputs {
        kind: Kind::Deploy,
        scope: scope(service),
        record: Some(record(service, 1)),
        goal: None,
        parallel: 1,
        phases: Vec::new(),
        back_order: BackOrder::default(),
        approve: None,
        on_failure: Vec::new(),
        strategy: Strategy::Basic,
        checks: Vec::new(),
        bake_ms: 0,
        warm_ms: 0,
        keep_good: 5,
        inconclusive: Inconclusive::Ask,
        on_first_failure: FirstFailure::Remove,
        hotfix: None,
        promotion: None,
        actor: actor.to_owned(),
        reason: None,
        back: Back::default(),
    }))
}

fn plan(titles: &[&str]) -> Plan {
    let step = |title: &&str| {
        Step::of(Action::Approve(Approval {
            title: (*title).to_owned(),
            by: Vec::new(),
            count: 1,
            within_ms: None,
        }))
    };
    Plan::of(vec![Phase {
        name: "shop".to_owned(),
        target: None,
        after: Vec::new(),
        steps: titles.iter().map(step).collect(),
    }])
}

fn goal() -> Box<Goal> {
    Box::new(Goal {
        want: States::default(),
        records: BTreeMap::new(),
        title: "nothing".to_owned(),
        record: None,
    })
}

pub(crate) fn planned(titles: &[&str]) -> Event {
    Event::Planned {
        plan: plan(titles),
        baseline: States::default(),
        baseline_goal: goal(),
        goal: goal(),
        takes_over: None,
        remarks: Vec::new(),
    }
}

pub(crate) fn planned_back(title: &str) -> Event {
    Event::RollbackPlanned {
        number: 1,
        cause: Cause::Request {
            actor: "ada".to_owned(),
            reason: None,
            back: Back::default(),
        },
        goal: Some(goal()),
        plan: plan(&[title]),
        before: None,
        remarks: Vec::new(),
        again: false,
    }
}

pub(crate) fn signal(reason: &str) -> Event {
    Event::Signal {
        actor: "ada".to_owned(),
        ask: Ask::Retry,
        reason: Some(reason.to_owned()),
        back: Back::default(),
    }
}

pub(crate) fn ended() -> Event {
    Event::ended(Outcome::Succeeded)
}

pub(crate) fn batch(id: &DeploymentId, writer: Writer, events: Vec<Event>) -> Batch {
    Batch {
        deployment: id.clone(),
        writer,
        events: events.into_iter().map(|event| (10, event)).collect(),
        environment: Vec::new(),
        unmoved: Vec::new(),
    }
}

pub(crate) fn claim(id: &DeploymentId, epoch: u64, after: u64) -> Batch {
    let claimed = Event::Claimed {
        owner: format!("worker {epoch}"),
        epoch,
    };
    batch(id, Writer::Claim { epoch, after }, vec![claimed])
}

/// A worker that never was before takes all that is to be had; answers the epochs by service.
pub(crate) async fn lease(store: &dyn Store, name: &str) -> BTreeMap<String, u64> {
    let leases = store.claim(&name.into(), &[], 0, 1_000).await;
    let leases = leases.expect("claimed").into_iter();
    leases
        .map(|lease| (lease.scope.service.as_str().to_owned(), lease.epoch))
        .collect()
}

pub(crate) fn recorded(service: &str, number: u32) -> (i64, environment::Event) {
    let record = Box::new(record(service, number));
    (20, environment::Event::Recorded { record })
}

pub(crate) async fn open(dir: &Path) -> SqliteStore {
    let opened = SqliteStore::open(dir, Options::default()).await;
    opened.expect("the store opens")
}

/// Does to the file what nobody may do through the store.
pub(crate) async fn sql(dir: &Path, sql: &'static str) -> Result<(), sqlx::Error> {
    use sqlx::{ConnectOptions, Connection};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("belay.db"));
    let mut connection = options.connect().await?;
    let done = sqlx::raw_sql(sql).execute(&mut connection).await.map(drop);
    connection.close().await?;
    done
}
