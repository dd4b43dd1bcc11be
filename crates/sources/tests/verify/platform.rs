//! Places that a platform finds, and what leads to them.

use crate::support::{World, answer, closed_port, http, live, question, server};
use async_trait::async_trait;
use belay_engine::ports::Question;
use belay_model::config::Check;
use belay_model::plan::Look;
use belay_model::verdict::Outcome::{self, Fail, Inconclusive, Pass};
use belay_sources::{Addresses, Found, Front, Passage, Place};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What is found in each round; the last one for ever.
struct Finds(Mutex<Vec<Vec<Place>>>);

#[async_trait]
impl Addresses for Finds {
    async fn places(&self, _: &Question, _: &Check) -> Option<Found> {
        let mut rounds = self.0.lock().unwrap();
        let places = if rounds.len() > 1 {
            rounds.remove(0)
        } else {
            rounds[0].clone()
        };
        Some(Ok(places))
    }
}

/// Nothing is found.
struct Nowhere(Outcome, &'static str);

#[async_trait]
impl Addresses for Nowhere {
    async fn places(&self, _: &Question, _: &Check) -> Option<Found> {
        Some(Err((self.0, self.1.to_owned())))
    }
}

struct Leads(Option<&'static str>);

impl Passage for Leads {
    fn blocked(&self) -> Option<String> {
        self.0.map(str::to_owned)
    }
}

fn place(title: &str, port: u16, through: Option<Leads>) -> Place {
    Place {
        address: ([127, 0, 0, 1], port).into(),
        title: title.to_owned(),
        through: through.map(|it| Arc::new(it) as Arc<dyn Passage>),
        front: None,
    }
}

fn world(addresses: impl Addresses + 'static) -> World {
    World {
        addresses: Arc::new(addresses),
        ..World::new()
    }
}

fn finds(rounds: Vec<Vec<Place>>) -> World {
    world(Finds(Mutex::new(rounds)))
}

fn tcp() -> Check {
    Check {
        tcp: Some(true),
        ..Check::default()
    }
}

#[tokio::test]
async fn each_place_that_is_found_is_asked_and_named() {
    let (good, _) = server(&[&answer("200 OK", "", "")]).await;
    let (bad, _) = server(&[&answer("503 Service Unavailable", "", "")]).await;
    let places = vec![place("pod a", good, None), place("pod b", bad, None)];
    let question = question(Look::Staged, vec![http("/health")]);
    let sentence =
        "`http /health` failed on pod b: it answered with status 503 instead of 200 (3 tries)";
    let verdict = finds(vec![places]).check(&question, Fail, sentence).await;
    let seen = &verdict.evidence["checks"][0]["seen"]["places"];
    assert_eq!(
        (&seen[0]["at"], &seen[0]["outcome"]),
        (&json!("pod a"), &json!("pass"))
    );
}

/// Wherever its name leads: it leads nowhere.
#[tokio::test]
async fn an_address_that_many_share_is_asked_by_a_host() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 1024];
        let length = stream.read(&mut head).await.unwrap();
        let good = answer("200 OK", "", "");
        stream.write_all(good.as_bytes()).await.unwrap();
        String::from_utf8(head[..length].to_vec()).unwrap()
    });
    let mut shared = place("ingress/api", port, None);
    shared.front = Some(Front {
        host: "shop.invalid".to_owned(),
        is_secure: false,
    });
    let question = question(Look::Staged, vec![http("/health")]);
    let sentence = "`http /health` passed on ingress/api";
    let world = finds(vec![vec![shared]]);
    world.check(&question, Pass, sentence).await;
    let host = format!("host: shop.invalid:{port}");
    assert!(heard.await.unwrap().to_lowercase().contains(&host));
}

/// Refused where it is written; a record from elsewhere could still have it.
#[tokio::test]
async fn through_what_is_not_there_nobody_asks() {
    let check = Check {
        through: Some("ingress/api".parse().unwrap()),
        ..http("/")
    };
    let question = question(Look::Live, vec![check]);
    let verdict = World::new().verify(&question).await;
    assert_eq!(verdict.outcome, Inconclusive, "{}", verdict.sentence);
    assert!(
        verdict.sentence.contains("ingress/api"),
        "{}",
        verdict.sentence
    );
}

#[tokio::test]
async fn where_nothing_is_found_it_is_not_good() {
    for (outcome, look, check) in [
        (Inconclusive, Look::Staged, http("/")),
        (Fail, Look::Live, live(http("/"))),
    ] {
        let sentence = "`http /` cannot be checked: nobody knows where";
        let world = world(Nowhere(outcome, "nobody knows where"));
        world
            .check(&question(look, vec![check]), outcome, sentence)
            .await;
    }
}

#[tokio::test]
async fn who_did_not_get_there_knows_nothing() {
    let blocked = || place("pod a", 1, Some(Leads(Some("it is forbidden"))));
    let question = question(Look::Staged, vec![http("/")]);
    let sentence =
        "`http /` gave no answer on pod a: it could not be asked (it is forbidden) (3 tries)";
    finds(vec![vec![blocked()]])
        .check(&question, Inconclusive, sentence)
        .await;
    // Where it got there, a refusal is one of the release.
    let port = closed_port().await;
    let verdict = finds(vec![vec![place("pod a", port, Some(Leads(None)))]])
        .verify(&question)
        .await;
    assert_eq!(verdict.outcome, Fail, "{}", verdict.sentence);
}

/// Takes every connection, and resets it or not.
async fn takes(resets: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if resets {
                stream.set_zero_linger().unwrap();
            } else {
                held.push(stream);
            }
        }
    });
    port
}

#[tokio::test]
async fn what_leads_there_accepting_is_no_answer() {
    let question = question(Look::Staged, vec![tcp()]);
    for (resets, outcome) in [(true, Fail), (false, Pass)] {
        let through = place("pod a", takes(resets).await, Some(Leads(None)));
        let verdict = finds(vec![vec![through]]).verify(&question).await;
        assert_eq!(verdict.outcome, outcome, "{}", verdict.sentence);
    }
    // What is reached as it is has answered by accepting.
    let direct = place("pod a", takes(true).await, None);
    let verdict = finds(vec![vec![direct]]).verify(&question).await;
    assert_eq!(verdict.outcome, Pass, "{}", verdict.sentence);
}

#[tokio::test]
async fn later_rounds_ask_who_is_there_then() {
    let (old, _) = server(&[&answer("200 OK", "", "")]).await;
    let (new, asked) = server(&[&answer("200 OK", "", "")]).await;
    let rounds = vec![
        vec![place("pod a", old, None)],
        vec![place("pod b", new, None)],
    ];
    let mut question = question(Look::Live, vec![live(http("/"))]);
    question.hold_ms = 2000;
    let sentence = "`http /` passed on pod b";
    finds(rounds).check(&question, Pass, sentence).await;
    assert!(asked.load(std::sync::atomic::Ordering::SeqCst) > 0);
}
