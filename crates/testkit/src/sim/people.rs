//! What people do in a story, and what befalls the platforms.

use super::commands;
use super::stage::{Ground, Stage};
use super::story::{Deed, Doubt, Extra, Order, Remedy, Then, Way, Work};
use belay_engine::goal;
use belay_engine::ports::{Batch, Clock, Store, StoreError, Writer};
use belay_engine::queue::{self, Entrant};
use belay_model::back::Back;
use belay_model::config::{
    CanaryStep, Check, CommandLine, Duration, FirstFailure, Inconclusive, Percent, Queue, Strategy,
};
use belay_model::environment;
use belay_model::event::{Ask, Entry, Event, Inputs, Kind, PhaseInput};
use belay_model::id::{BlobId, DeploymentId, EVERY, EnvironmentName, Scope, ServiceName};
use belay_model::plan::{Action, Approval, Call, OnUnknown, Run, Step};
use belay_model::policy::{Act as Does, Rule};
use belay_model::release::Record;
use belay_model::state::Goal;
use belay_model::summary::{Phase, Summary};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How long a person takes to answer, milliseconds.
const THINKS_MS: u64 = 2_000;
/// Answers to one deployment before it is given up.
const PATIENCE: u32 = 6;

/// All acts of the story, in order.
pub(super) async fn act(stage: &Stage) {
    for act in &stage.story.acts {
        stage.clock.sleep_ms(act.after_ms).await;
        if let Some(ground) = stage.grounds.get(act.place) {
            deed(stage, ground, &act.deed).await;
        }
    }
}

async fn deed(stage: &Stage, ground: &Ground, deed: &Deed) {
    let audit = &stage.audit;
    match deed {
        Deed::Deploy(order) => {
            let record = ground.record(order.release);
            let inputs = inputs(ground, Kind::Deploy, Some(record), None, order);
            let policy = match order.replaces {
                true => Queue::Latest,
                false => Queue::All,
            };
            create(stage, ground, inputs, policy).await;
        }
        Deed::GoBack | Deed::Undo if head(stage, ground).await.is_some() => {
            // I12: of what runs it is asked.
            tell(stage, ground, Ask::Abort, 1).await;
        }
        Deed::GoBack => {
            let view = stage.store.view(&ground.scope);
            let Some(record) = goal::choose(&view, None).record else {
                return;
            };
            let leaves = view.serving_since().cloned();
            let kind = Kind::Return { leaves };
            let inputs = inputs(ground, kind, Some(record), None, &Order::plain(0));
            create(stage, ground, inputs, Queue::All).await;
        }
        Deed::Undo => {
            let Some((of, goal)) = last_planned(stage, ground).await else {
                return;
            };
            let record = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
            let record = record.cloned();
            let inputs = inputs(
                ground,
                Kind::Undo { of },
                record,
                Some(goal),
                &Order::plain(0),
            );
            create(stage, ground, inputs, Queue::All).await;
        }
        Deed::Tell(ask, times) => tell(stage, ground, ask.clone(), *times).await,
        Deed::Freeze(what) => {
            audit.count("freezes");
            let scope = match what {
                0 => ground.scope.clone(),
                1 => Scope {
                    service: ServiceName::new(EVERY),
                    ..ground.scope.clone()
                },
                _ => Scope {
                    environment: EnvironmentName::new(EVERY),
                    ..ground.scope.clone()
                },
            };
            let frozen = environment::Event::Frozen {
                actor: Some("ann".to_owned()),
                reason: "the story says so".to_owned(),
                until_ms: None,
            };
            say(stage, &scope, frozen).await;
        }
        Deed::Thaw => {
            for scope in ground.scope.frozen_by() {
                let thawed = environment::Event::Thawed {
                    actor: "ann".to_owned(),
                    reason: None,
                };
                say(stage, &scope, thawed).await;
            }
        }
        Deed::Reseal(release) => {
            let sealed = BlobId::new(format!("blob_{}", stage.clock.now_us()));
            let record = Box::new(Record {
                sealed: Some(sealed),
                ..ground.record(*release)
            });
            say(
                stage,
                &ground.scope,
                environment::Event::Recorded { record },
            )
            .await;
        }
        Deed::Meddle(target) => {
            ground.world(*target).meddle();
            audit.meddled(&ground.scope);
        }
        Deed::Sicken(target) => {
            let world = ground.world(*target);
            let serving = world.users().into_iter().max_by_key(|(_, share)| *share);
            if let Some((name, _)) = serving {
                audit.count("sick copies");
                world.sicken(&name);
            }
        }
        Deed::LockOut(target, class, ms) => {
            audit.count("locked out");
            let world = ground.world(*target).clone();
            let clock = stage.clock.clone();
            let ms = *ms;
            world.lock_out(*class);
            tokio::spawn(async move {
                clock.sleep_ms(ms).await;
                world.let_in();
            });
        }
    }
}

async fn head(stage: &Stage, ground: &Ground) -> Option<Summary> {
    stage
        .store
        .oldest_open(&ground.scope)
        .await
        .expect("memory")
}

/// The last deployment here that had a plan, and what it started from.
async fn last_planned(stage: &Stage, ground: &Ground) -> Option<(DeploymentId, Goal)> {
    let history = stage.store.history(&ground.scope, 9).await.expect("memory");
    history.into_iter().find_map(|summary| {
        let journal = stage.store.journal(&summary.id);
        let goal = journal.into_iter().find_map(|entry| match entry.event {
            Event::Planned { baseline_goal, .. } => Some(*baseline_goal),
            _ => None,
        });
        Some((summary.id, goal?))
    })
}

async fn create(stage: &Stage, ground: &Ground, inputs: Inputs, policy: Queue) {
    let id = DeploymentId::new(format!("dep_{}", stage.next.fetch_add(1, Ordering::SeqCst)));
    let now_us = stage.clock.now_us();
    let known = |record: &Record| {
        let view = stage.store.view(&ground.scope);
        view.records.contains_key(&record.hash())
    };
    let recorded = inputs.record.iter().filter(|record| !known(record));
    let recorded = recorded.map(|record| environment::Event::Recorded {
        record: Box::new(record.clone()),
    });
    let recorded = recorded.collect();
    let new = Entrant {
        id,
        at_us: now_us,
        inputs,
        environment: recorded,
        limit: 100,
    };
    let replaced = queue::enter(stage.store.as_ref(), &new, policy).await;
    let replaced = replaced.expect("memory").replaces.len();
    stage
        .audit
        .add("deployments: replaced while they waited", replaced);
}

async fn tell(stage: &Stage, ground: &Ground, ask: Ask, times: u8) {
    if times == 0 {
        stage.audit.count("asked: lost");
        return;
    }
    if times > 1 {
        stage.audit.count("asked: twice");
    }
    // Whoever asks has looked before, and it may be over by now.
    let history = stage.store.history(&ground.scope, 1).await.expect("memory");
    let head = head(stage, ground).await.or(history.into_iter().next());
    if let Some(head) = head {
        for _ in 0..times {
            signal(stage, &head.id, "ann", &ask).await;
        }
    }
}

async fn signal(stage: &Stage, id: &DeploymentId, actor: &str, ask: &Ask) {
    let event = Event::Signal {
        actor: actor.to_owned(),
        ask: ask.clone(),
        reason: Some("the story says so".to_owned()),
        back: Back::default(),
    };
    let batch = Batch {
        deployment: id.clone(),
        writer: Writer::Anyone,
        events: vec![(stage.clock.now_us(), event)],
        environment: Vec::new(),
    };
    match stage.store.append(batch).await {
        Ok(_) => stage.audit.count(format!("asked: {ask:?}")),
        Err(StoreError::Missing(_)) => stage.audit.count("asked: too late"),
        Err(error) => stage.audit.breach(format!("it cannot be told: {error}")),
    }
}

async fn say(stage: &Stage, scope: &Scope, event: environment::Event) {
    let events = vec![(stage.clock.now_us(), event)];
    let kept = stage.store.append_environment(scope, None, events).await;
    kept.expect("memory");
}

/// Answers what waits for a person; once the story is over, also what waits for a yes or was paused.
pub(super) async fn answer(stage: Arc<Stage>) {
    let mut answers = stage.story.answers.clone().into_iter();
    let (mut given, mut asked) = (BTreeMap::new(), BTreeMap::new());
    loop {
        let generation = stage.store.generation();
        for ground in stage.grounds.iter() {
            let Some(summary) = head(&stage, ground).await else {
                continue;
            };
            let is_over = stage.is_over.load(Ordering::SeqCst);
            let ask = match summary.phase {
                Phase::NeedsOperator => {
                    let given: &mut u32 = given.entry(summary.id.clone()).or_default();
                    *given += 1;
                    let ask = match *given {
                        n if n > PATIENCE => Ask::Abandon,
                        _ => answers.next().unwrap_or(Ask::Retry),
                    };
                    stage.audit.parked(&summary);
                    stage.audit.count(format!("answers: {ask:?}"));
                    ask
                }
                Phase::Paused if is_over => Ask::Resume,
                Phase::Waiting if is_over => {
                    let asked: &mut u32 = asked.entry(summary.id.clone()).or_default();
                    *asked += 1;
                    if *asked > PATIENCE {
                        // It has a time of its own.
                        continue;
                    }
                    Ask::Approve
                }
                _ => continue,
            };
            stage.clock.sleep_ms(THINKS_MS).await;
            for actor in ["ann", "bob"] {
                if ask == Ask::Approve || actor == "ann" {
                    signal(&stage, &summary.id, actor, &ask).await;
                }
            }
        }
        tokio::select! {
            biased;
            () = stage.store.changed(generation) => {}
            () = stage.clock.sleep_ms(30 * THINKS_MS) => {}
        }
    }
}

impl Order {
    /// Nothing special.
    pub fn plain(release: u32) -> Self {
        Self {
            release,
            way: Way::Basic,
            bake_ms: 0,
            parallel: 1,
            approve: None,
            extras: Vec::new(),
            share: None,
            remedies: Vec::new(),
            asks: false,
            leaves: false,
            replaces: false,
        }
    }
}

fn inputs(
    ground: &Ground,
    kind: Kind,
    record: Option<Record>,
    goal: Option<Goal>,
    order: &Order,
) -> Inputs {
    let mut checks = vec![check("live")];
    let is_staged = |world: &crate::World| {
        let target = super::stage::target("any");
        belay_driver::Driver::capabilities(world, &target).staged
    };
    if ground.worlds.values().all(is_staged) {
        checks.insert(0, check("staged"));
    }
    Inputs {
        kind,
        scope: ground.scope.clone(),
        record,
        goal,
        strategy: strategy(&order.way),
        parallel: order.parallel,
        phases: phases(ground, order),
        back_order: belay_model::config::BackOrder::default(),
        approve: order.approve.map(|(count, within_ms)| Approval {
            title: "all of the traffic".to_owned(),
            by: Vec::new(),
            count,
            within_ms: Some(within_ms),
        }),
        on_failure: order.remedies.iter().map(rule).collect(),
        checks,
        bake_ms: order.bake_ms,
        warm_ms: 10_000,
        keep_good: 5,
        inconclusive: match order.asks {
            true => Inconclusive::Ask,
            false => Inconclusive::RollBack,
        },
        hotfix: None,
        promotion: None,
        on_first_failure: match order.leaves {
            true => FirstFailure::Leave,
            false => FirstFailure::Remove,
        },
        actor: "ann".to_owned(),
        reason: None,
        back: Back::default(),
    }
}

fn check(at: &str) -> Check {
    serde_json::from_value(serde_json::json!({ "http": "/", "at": at })).expect("a check")
}

fn strategy(way: &Way) -> Strategy {
    match way {
        Way::Basic => Strategy::Basic,
        Way::Rolling => Strategy::Rolling,
        Way::BlueGreen => Strategy::BlueGreen,
        Way::Canary(shares) => {
            let step = |(share, hold_ms): &(u32, u64)| CanaryStep {
                to: Percent::from_percent(*share),
                hold: Some(Duration::from_ms(*hold_ms)),
            };
            Strategy::Canary(shares.iter().map(step).collect())
        }
    }
}

fn phases(ground: &Ground, order: &Order) -> Vec<PhaseInput> {
    if order.extras.is_empty() && order.share.is_none() {
        return Vec::new();
    }
    let extras = order.extras.iter().zip(0..);
    let steps = |target: Option<usize>, is_late: bool| -> Vec<Step> {
        let here = extras.clone();
        let here = here.filter(|(it, _)| it.target == target && it.is_late == is_late);
        here.map(|(it, nth)| step(it, nth)).collect()
    };
    let phase = |name: String, target: Option<String>| PhaseInput {
        name,
        target,
        strategy: None,
        share: None,
        before: Vec::new(),
        after: Vec::new(),
        back_before: Vec::new(),
        back_after: Vec::new(),
        on_failure: Vec::new(),
    };
    let mut phases = Vec::new();
    let first = [steps(None, false), steps(None, true)].concat();
    if !first.is_empty() {
        phases.push(PhaseInput {
            before: first,
            ..phase("first".to_owned(), None)
        });
    }
    let names: Vec<&String> = ground.worlds.keys().collect();
    if let Some(share) = order.share {
        phases.push(PhaseInput {
            share: Some(share),
            ..phase("a part".to_owned(), Some(names[0].clone()))
        });
    }
    for (nth, name) in names.into_iter().enumerate() {
        phases.push(PhaseInput {
            before: steps(Some(nth), false),
            after: steps(Some(nth), true),
            ..phase(format!("on {name}"), Some(name.clone()))
        });
    }
    phases
}

fn step(extra: &Extra, nth: usize) -> Step {
    Step::of(match &extra.work {
        Work::Run(fails, doubt, residue) => {
            let call = |name: &str, fails: u32| -> Call {
                let line: Result<CommandLine, _> = commands::text(name, fails).parse();
                Call::Command(line.expect("a command line"))
            };
            Action::Run(Run {
                title: format!("run x{nth}"),
                call: call(&format!("x{nth}"), *fails),
                back: Some(call(&format!("un-x{nth}"), 0)),
                timeout_ms: 1_000,
                on_unknown: match doubt {
                    Doubt::RunAgain => OnUnknown::Retry,
                    Doubt::TakeBack => OnUnknown::RollBack,
                    Doubt::AskSomeone => OnUnknown::Ask,
                },
                residue: residue.then(|| format!("what x{nth} sent")),
                record: None,
            })
        }
        Work::Wait(ms) => Action::Wait { ms: *ms },
        Work::Ask(within_ms) => Action::Approve(Approval {
            title: format!("ask x{nth}"),
            by: vec!["ann".to_owned(), "bob".to_owned()],
            count: 1,
            within_ms: Some(*within_ms),
        }),
    })
}

fn rule((class, remedy): &(belay_model::error::Class, Remedy)) -> Rule {
    let then = |then: &Then| match then {
        Then::GoOn => Does::Ignore { as_passed: false },
        Then::PhaseBack => Does::RollBackPhase,
        Then::AllBack => Does::RollBack,
        Then::LeaveIt => Does::Stop,
    };
    Rule {
        on: vec![*class],
        act: match remedy {
            Remedy::TryAgain(times) => Does::Retry {
                times: *times,
                pause_ms: 50,
                factor: 2,
                longest_ms: 1000,
            },
            Remedy::AskFor(ms, last) => Does::Ask {
                within_ms: Some(*ms),
                then: Box::new(then(last)),
            },
            Remedy::Just(last) => then(last),
        },
    }
}

/// A line of a trace.
pub(super) fn told(entry: &Entry) -> String {
    let (seq, at_us) = (entry.seq, entry.at_us - 1_700_000_000_000_000);
    let what = match &entry.event {
        Event::Created(inputs) => format!("created {:?} {:?}", inputs.kind, inputs.strategy),
        Event::Planned {
            plan,
            goal,
            remarks,
            ..
        } => {
            format!("planned {:?} to {} {remarks:?}", titles(plan), goal.title)
        }
        Event::RollbackPlanned {
            plan,
            goal,
            remarks,
            cause,
            ..
        } => {
            let goal = goal.as_ref().map(|goal| &goal.title);
            let why = cause.sentence();
            format!(
                "rollback {:?} to {goal:?} as {why} {remarks:?}",
                titles(plan)
            )
        }
        Event::Finished {
            step,
            attempt,
            finish,
            ..
        } => {
            format!("finished {step} #{attempt} {finish:?}")
        }
        Event::Started { step, attempt, .. } => format!("started {step} #{attempt}"),
        Event::Verified { step, verdict } => format!("verified {step} {:?}", verdict.outcome),
        other => format!("{other:?}"),
    };
    format!("  {seq:>3} {at_us:>12} {what}")
}

fn titles(plan: &belay_model::plan::Plan) -> Vec<String> {
    plan.steps().map(Step::title).collect()
}
