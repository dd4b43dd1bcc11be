//! Who is at work on a release that is pending, and how it is freed when nobody is. Helm itself goes on from there never
//! (helm/helm#11863): whoever was killed holds the release for ever.

use super::process::{self, Process};
use super::record::{self, Listed, with_status};
use crate::mark::Mark;
use crate::write::{Sent, Writer};
use belay_driver::{Context, Error};
use belay_model::error::Class;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the mark says which helm of ours was started last.
pub(crate) const HELM: &str = "belay.dev/helm";
/// How long helm works at most when nobody says how long.
const ABANDONED: Duration = Duration::from_secs(300);

/// A helm of ours, as the mark has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) process: Process,
    pub(crate) deployment: String,
    /// The newest revision when it was started.
    pub(crate) base: u32,
}

impl Started {
    pub(crate) fn of(mark: Option<&Mark>) -> Option<Self> {
        mark?.noted(HELM)
    }
}

/// Who holds a release that is pending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Somebody is at work, or may be.
    By(String),
    /// Whoever it was is gone.
    ByNobody(String),
}

/// Who is at work on the newest revision of a release, which is pending.
pub(crate) fn holder(
    (release, namespace): (&str, &str),
    newest: &Listed,
    started: Option<&Started>,
    abandoned_after_ms: Option<u64>,
) -> Held {
    let since = Timestamp::from_microsecond(newest.since_us).unwrap_or_default();
    let what = format!(
        "revision {} is {} since {since:.0}",
        newest.revision, newest.status
    );
    let patience = abandoned_after_ms.map_or(ABANDONED, Duration::from_millis);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let since = Duration::from_micros(u64::try_from(newest.since_us).unwrap_or(0));
    let is_old = now.saturating_sub(since) >= patience;
    // It made the revision that came next.
    let ours = started.filter(|it| it.base + 1 == newest.revision);
    match ours {
        Some(Started {
            process,
            deployment,
            ..
        }) if process.is_of_here() => {
            let who = format!(
                "helm of deployment {deployment}, process {} of this machine",
                process.pid
            );
            match process.is_alive() {
                true => Held::By(format!("{what}, by {who}")),
                false => Held::ByNobody(format!("{what}, left by {who}, which is gone")),
            }
        }
        Some(Started {
            process,
            deployment,
            ..
        }) => {
            let host = process.host.split('/').next().unwrap_or_default();
            let who = format!("helm of deployment {deployment} on {host}");
            match is_old {
                true => Held::ByNobody(format!("{what}, left by {who}, which had {patience:?}")),
                false => Held::By(format!(
                    "{what}, by {who}; it counts as gone {patience:?} after it began"
                )),
            }
        }
        None => match process::somebodys(release, namespace) {
            Some(process) => Held::By(format!(
                "{what}, by helm, process {} of this machine",
                process.pid
            )),
            None if is_old => {
                Held::ByNobody(format!("{what}, left by a client that had {patience:?}"))
            }
            None => Held::By(format!(
                "{what}, by a client that is not Belay's and not on this machine; it counts as gone {patience:?} after it began"
            )),
        },
    }
}

/// Says that a pending revision has failed, so that helm goes on from there. Nothing that runs is touched.
///
/// # Errors
/// Somebody has changed the record meanwhile.
pub(crate) async fn free(
    writer: &Writer,
    cx: &Context,
    home: &str,
    release: &str,
    newest: &Listed,
) -> Result<(), Error> {
    let secret = record::secret(&writer.cluster, home, release, newest.revision).await?;
    let Some(secret) = secret.filter(|it| it["metadata"]["uid"] == newest.uid.as_str()) else {
        return Ok(());
    };
    if secret["metadata"]["labels"]["status"] != newest.status.as_str() {
        return Ok(());
    }
    let words = format!(
        "{} by a client that is gone; freed by belay, deployment {}",
        newest.status, cx.deployment
    );
    let fields = json!({
        "metadata": {
            "labels": { "status": "failed" },
            "resourceVersion": secret["metadata"]["resourceVersion"],
        },
        "data": { "release": with_status(&secret, "failed", &words)? },
    });
    cx.progress.line(&format!(
        "free {release}: revision {} was {words}",
        newest.revision
    ));
    match writer.merge(home, secret, fields).await? {
        Sent::Done(_) => Ok(()),
        Sent::Moved | Sent::Theirs(_) => {
            let message = format!("free {release}: someone changes its record just now");
            Err(Error::not_applied(Class::Conflict, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_gone_holds_nothing() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let since_us = i64::try_from(now.as_micros()).unwrap();
        let newest = Listed {
            revision: 3,
            status: "pending-upgrade".to_owned(),
            uid: String::new(),
            since_us,
        };
        let check =
            |newest: &Listed, started: Option<&Started>, after, expect: Result<&str, &str>| {
                let (found, words) = match (
                    holder(("no-such-release", "n"), newest, started, after),
                    expect,
                ) {
                    (Held::By(found), Err(words)) | (Held::ByNobody(found), Ok(words)) => {
                        (found, words)
                    }
                    (found, expect) => panic!("{found:?} is not {expect:?}"),
                };
                assert!(found.contains(words), "{found}");
            };
        check(&newest, None, None, Err("not Belay's"));
        check(&newest, None, Some(0), Ok("a client that had"));
        let of = |process: Process| Started {
            process,
            deployment: "dep_1".to_owned(),
            base: 2,
        };
        let here = Process::of(std::process::id()).unwrap();
        let gone = Process {
            start: here.start + 1,
            ..here.clone()
        };
        let elsewhere = Process {
            host: "elsewhere/1".to_owned(),
            ..here.clone()
        };
        check(
            &newest,
            Some(&of(here.clone())),
            Some(0),
            Err("of this machine"),
        );
        check(&newest, Some(&of(gone)), None, Ok("which is gone"));
        check(
            &newest,
            Some(&of(elsewhere.clone())),
            None,
            Err("on elsewhere"),
        );
        check(&newest, Some(&of(elsewhere)), Some(0), Ok("on elsewhere"));
        // It had to do with another revision.
        let before = Started {
            base: 1,
            ..of(here)
        };
        check(&newest, Some(&before), None, Err("not Belay's"));
    }
}
