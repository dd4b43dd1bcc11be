//! What one check says, and what all of them say together. Nothing is asked here.

use crate::watch::Watch;
use belay_model::verdict::{Outcome, Verdict};
use serde_json::{Value, json};

/// What one check says.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) check: String,
    /// As in the evidence.
    pub(crate) kind: &'static str,
    pub(crate) outcome: Outcome,
    /// Stands alone, without a full stop.
    pub(crate) sentence: String,
    /// What it was made from.
    pub(crate) seen: Value,
    pub(crate) first_bad_us: Option<i64>,
}

impl Answer {
    /// An answer for want of evidence.
    pub(crate) fn inconclusive(check: &str, kind: &'static str, sentence: String) -> Self {
        Self {
            check: check.to_owned(),
            kind,
            outcome: Outcome::Inconclusive,
            sentence,
            seen: Value::Null,
            first_bad_us: None,
        }
    }

    fn evidence(&self) -> Value {
        json!({
            "check": self.check,
            "kind": self.kind,
            "outcome": self.outcome,
            "sentence": self.sentence,
            "seen": self.seen,
        })
    }
}

/// The worst answer decides: fail, then inconclusive, then pass; of equals the first. `names` are all checks that were
/// to be answered.
pub(crate) fn verdict(watch: &Watch<'_>, names: &[String], mut answers: Vec<Answer>) -> Verdict {
    let place = |answer: &Answer| names.iter().position(|name| *name == answer.check);
    answers.sort_by_key(place);
    let mut checks: Vec<Value> = answers.iter().map(Answer::evidence).collect();
    for name in names {
        if !answers.iter().any(|answer| answer.check == *name) {
            checks.push(json!({ "check": name, "outcome": "unfinished" }));
        }
    }
    let evidence = json!({
        "look": watch.question.look,
        "watched_ms": watch.elapsed_ms(),
        "checks": checks,
    });
    let (outcome, check, sentence, first_bad_us) = decide(&answers);
    Verdict {
        outcome,
        check,
        sentence,
        evidence,
        first_bad_us,
    }
}

fn decide(answers: &[Answer]) -> (Outcome, String, String, Option<i64>) {
    let find = |wanted| answers.iter().find(|answer| answer.outcome == wanted);
    let worst = find(Outcome::Fail).or_else(|| find(Outcome::Inconclusive));
    match (worst, answers) {
        (Some(answer), _) | (None, [answer]) => (
            answer.outcome,
            answer.check.clone(),
            answer.sentence.clone(),
            answer.first_bad_us,
        ),
        // P6: nothing was asked, so nothing is known.
        (None, []) => (
            Outcome::Inconclusive,
            "none".to_owned(),
            "no check gave an answer".to_owned(),
            None,
        ),
        (None, _) => {
            let sentences: Vec<&str> = answers
                .iter()
                .map(|answer| answer.sentence.as_str())
                .collect();
            let sentence = format!(
                "all {} checks pass: {}",
                answers.len(),
                sentences.join("; ")
            );
            (Outcome::Pass, "all checks".to_owned(), sentence, None)
        }
    }
}
