//! What people do in a story, and what befalls the platforms.

use super::orders;
use super::stage::{Ground, Stage};
use super::story::{Deed, Order};
use super::ways;
use super::{capacity, promotions};
use belay_engine::ports::{Batch, Clock, Store, StoreError, Writer};
use belay_engine::queue::{self, Entrant};
use belay_model::back::Back;
use belay_model::config::Queue;
use belay_model::environment;
use belay_model::event::{Ask, Event, Inputs};
use belay_model::id::{BlobId, DeploymentId, EVERY, EnvironmentName, Scope, ServiceName};
use belay_model::release::Record;
use belay_model::summary::{Phase, Summary};
use belay_model::takeover::Hotfix;
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
            release(stage, ground, order, queue_of(order), None).await;
        }
        Deed::Hotfix(order, passes_freeze) => {
            let hotfix = Hotfix {
                passes_freeze: *passes_freeze,
            };
            release(stage, ground, order, Queue::All, Some(hotfix)).await;
        }
        Deed::GoBack => ways::go_back(stage, ground).await,
        Deed::Undo => ways::undo(stage, ground).await,
        Deed::GoTo(release, accept) => ways::go_to(stage, ground, *release, accept).await,
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
        Deed::Scale(target, to) => capacity::scale(stage, ground, *target, *to).await,
        Deed::Bound(target, fewest, most) => {
            capacity::bound(stage, ground, *target, *fewest, *most);
        }
        Deed::TellOne(nth, ask) => tell_one(stage, ground, *nth, ask).await,
        Deed::Promote(order, from) => promotions::promote(stage, ground, order, *from).await,
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

/// What becomes of those that wait when an order comes.
pub(super) fn queue_of(order: &Order) -> Queue {
    match order.replaces {
        true => Queue::Latest,
        false => Queue::All,
    }
}

pub(super) async fn head(stage: &Stage, ground: &Ground) -> Option<Summary> {
    let open = stage.store.oldest_open(&ground.scope).await;
    open.expect("memory")
}

async fn release(
    stage: &Stage,
    ground: &Ground,
    order: &Order,
    policy: Queue,
    hotfix: Option<Hotfix>,
) {
    let record = Some(ground.record(order.release));
    let with = |inputs| Inputs {
        record,
        hotfix,
        ..inputs
    };
    create(stage, ground, order, policy, with).await;
}

/// Asks for a deployment; `with` says of which kind.
pub(super) async fn create(
    stage: &Stage,
    ground: &Ground,
    order: &Order,
    policy: Queue,
    with: impl FnOnce(Inputs) -> Inputs,
) {
    let id = DeploymentId::new(format!("dep_{}", stage.next.fetch_add(1, Ordering::SeqCst)));
    let now_us = stage.clock.now_us();
    let inputs = with(orders::inputs(&id, ground, order));
    let known = |record: &Record| {
        let view = stage.store.view(&ground.scope);
        view.records.contains_key(&record.hash())
    };
    let recorded = inputs.record.iter().filter(|record| !known(record));
    let recorded = recorded.map(|record| environment::Event::Recorded {
        record: Box::new(record.clone()),
    });
    let new = Entrant {
        id,
        at_us: now_us,
        environment: recorded.collect(),
        inputs,
        limit: 100,
    };
    let audit = &stage.audit;
    match queue::enter(stage.store.as_ref(), &new, policy).await {
        Ok(entered) => {
            let replaced = entered.replaces.len();
            audit.add("deployments: replaced while they waited", replaced);
            audit.add(
                "hotfixes: one is told to make way",
                entered.supersedes.iter().count(),
            );
        }
        Err(queue::Error::GoesBack(old)) => {
            audit.count("hotfixes: refused, as it goes back");
            // Who had looked a moment before writes it down all the same.
            let ask = Ask::Supersede {
                by: Some(new.id.clone()),
            };
            let late = Entrant {
                inputs: Inputs {
                    hotfix: None,
                    ..new.inputs
                },
                ..new
            };
            let entered = queue::enter(stage.store.as_ref(), &late, Queue::All).await;
            entered.expect("memory");
            signal(stage, &old, "ann", &ask, Back::default()).await;
        }
        Err(queue::Error::Store(error)) => panic!("memory: {error}"),
    }
}

pub(super) async fn tell(stage: &Stage, ground: &Ground, ask: Ask, times: u8) {
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
            signal(stage, &head.id, "ann", &ask, Back::default()).await;
        }
    }
}

/// To one of those that are open, as the commands do: what waits and is not wanted any more ends at once.
async fn tell_one(stage: &Stage, ground: &Ground, nth: usize, ask: &Ask) {
    let open = stage.store.queue(&ground.scope);
    let Some(id) = open.get(nth) else { return };
    let event = said("ann", ask, Back::default());
    match queue::tell(stage.store.as_ref(), id, stage.clock.now_us(), &event).await {
        Ok(()) => stage.audit.count("asked: one of the queue"),
        Err(StoreError::Missing(_)) => stage.audit.count("asked: too late"),
        Err(error) => stage.audit.breach(format!("it cannot be told: {error}")),
    }
}

fn said(actor: &str, ask: &Ask, back: Back) -> Event {
    Event::Signal {
        actor: actor.to_owned(),
        ask: ask.clone(),
        reason: Some("the story says so".to_owned()),
        back,
    }
}

pub(super) async fn signal(stage: &Stage, id: &DeploymentId, actor: &str, ask: &Ask, back: Back) {
    let event = said(actor, ask, back);
    let batch = Batch {
        deployment: id.clone(),
        writer: Writer::Anyone,
        events: vec![(stage.clock.now_us(), event)],
        environment: Vec::new(),
        unmoved: Vec::new(),
    };
    match stage.store.append(batch).await {
        Ok(_) => stage.audit.count(match ask {
            Ask::Supersede { .. } => "asked: to make way, too late".to_owned(),
            _ => format!("asked: {ask:?}"),
        }),
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
                    stage.audit.answered(&summary);
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
                    signal(&stage, &summary.id, actor, &ask, Back::default()).await;
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
