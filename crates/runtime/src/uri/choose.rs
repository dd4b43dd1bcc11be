//! Which of the platform's own versions is gone back to. Pure.

use super::Error;
use belay_driver::{Availability, Revision};

/// One of the platform's own versions.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) revision: &'a Revision,
    /// It is what runs, or says the same.
    pub(super) is_running: bool,
    /// Why it was gone back from, if it was.
    pub(super) left: Option<String>,
}

/// What is gone back to.
#[derive(Debug)]
pub(super) struct Choice {
    /// Which of the versions.
    pub(super) at: usize,
    /// Others that were passed over, and why, one line each.
    pub(super) passed_over: Vec<String>,
    /// What is taken upon oneself.
    pub(super) warning: Option<String>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// This one and no other.
    pub(super) to: Option<u64>,
    /// Also one that is not known to have worked.
    pub(super) unproven: bool,
}

/// The newest version before the present one that is known to have been available; with a number, that one. `versions`: newest
/// first.
pub(super) fn choose(
    title: &str,
    versions: &[Candidate<'_>],
    asked: Asked,
) -> Result<Choice, Error> {
    let current = versions.iter().position(|it| it.is_running);
    let no = |why: String, passed_over: Vec<String>, next: &str| Error::NoRevision {
        title: title.to_owned(),
        why,
        passed_over,
        next: next.to_owned(),
    };
    let objection = |it: &Candidate<'_>| match (&it.left, &it.revision.availability) {
        _ if it.is_running => Some("it is what runs".to_owned()),
        (Some(why), _) => Some(why.clone()),
        (None, Availability::Yes(_)) => None,
        (None, Availability::No(why)) => Some(why.clone()),
        (None, Availability::Unknown(why)) => Some(why.clone()),
    };
    if let Some(to) = asked.to {
        let Some(at) = versions
            .iter()
            .position(|it| it.revision.number == Some(to))
        else {
            let known = versions
                .iter()
                .map(|it| name(it.revision))
                .collect::<Vec<_>>()
                .join(", ");
            let why = format!("there is no revision {to}");
            return Err(no(why, Vec::new(), &format!("there are: {known}")));
        };
        let version = &versions[at];
        if version.is_running {
            return Err(no(
                format!("revision {to} is what runs"),
                Vec::new(),
                "name another one",
            ));
        }
        let is_refused =
            version.left.is_some() || matches!(version.revision.availability, Availability::No(_));
        let objection = objection(version);
        return match objection {
            Some(why) if is_refused && !asked.unproven => Err(no(
                format!("revision {to}: {why}"),
                Vec::new(),
                "name another one; or take the risk: `--accept unproven --reason TEXT`",
            )),
            why => Ok(Choice {
                at,
                passed_over: Vec::new(),
                warning: why.map(|why| {
                    format!("WARNING: revision {to} is not known to have worked: {why}")
                }),
            }),
        };
    }
    let first = current.map_or(0, |at| at + 1);
    let before = &versions[first..];
    let mut passed_over = Vec::new();
    for (at, version) in (first..).zip(before) {
        match objection(version) {
            None => {
                return Ok(Choice {
                    at,
                    passed_over,
                    warning: None,
                });
            }
            Some(why) => passed_over.push(format!("{}: {why}", described(version.revision))),
        }
    }
    let unknown = |(_, it): &(usize, &Candidate<'_>)| {
        let is_unknown = matches!(it.revision.availability, Availability::Unknown(_));
        is_unknown && !it.is_running && it.left.is_none()
    };
    match (first..).zip(before).find(unknown) {
        Some((at, version)) if asked.unproven => {
            let title = described(version.revision);
            passed_over.retain(|line| !line.starts_with(&format!("{title}:")));
            let number = name(version.revision);
            Ok(Choice {
                at,
                passed_over,
                warning: Some(format!(
                    "WARNING: revision {number} is not known to have worked; that was accepted"
                )),
            })
        }
        Some((_, version)) => {
            let next = format!(
                "name the one that worked: `--to {}`",
                name(version.revision)
            );
            Err(no(
                "no revision before it is known to have been available".to_owned(),
                passed_over,
                &next,
            ))
        }
        None if before.is_empty() => Err(no(
            "it has no revision before the present one".to_owned(),
            passed_over,
            "deploy what worked, from where it was deployed",
        )),
        None => Err(no(
            "no revision before it is one to go back to".to_owned(),
            passed_over,
            "deploy what worked; or name one all the same: `--to REVISION --accept unproven --reason TEXT`",
        )),
    }
}

fn name(revision: &Revision) -> String {
    let number = revision.number;
    number.map_or_else(|| revision.name.clone(), |number| number.to_string())
}

/// `revision 3 (shop/api:3)`.
pub(super) fn described(revision: &Revision) -> String {
    format!(
        "revision {} ({})",
        name(revision),
        revision.images.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64, is_current: bool, availability: Availability) -> Revision {
        Revision {
            name: number.to_string(),
            title: String::new(),
            number: Some(number),
            since_us: None,
            images: vec![format!("app:{number}")],
            cause: None,
            is_current,
            availability,
        }
    }

    fn yes() -> Availability {
        Availability::Yes("seen".to_owned())
    }

    fn no() -> Availability {
        Availability::No("never ready".to_owned())
    }

    fn unknown() -> Availability {
        Availability::Unknown("nobody knows".to_owned())
    }

    /// The revision that is chosen and how many are passed over, or why none is.
    fn check(versions: &[Revision], asked: Asked, expect: Result<(u64, usize, bool), &str>) {
        let candidate = |it| Candidate {
            revision: it,
            is_running: it.is_current,
            left: (it.number == Some(9)).then(|| "it was left".to_owned()),
        };
        let candidates: Vec<Candidate<'_>> = versions.iter().map(candidate).collect();
        let found = choose("deployment/api", &candidates, asked);
        match (found, expect) {
            (Ok(found), Ok((number, passed_over, warned))) => {
                assert_eq!(versions[found.at].number, Some(number));
                assert_eq!(
                    found.passed_over.len(),
                    passed_over,
                    "{:?}",
                    found.passed_over
                );
                assert_eq!(found.warning.is_some(), warned, "{:?}", found.warning);
            }
            (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{error}"),
            (found, expect) => panic!("{found:?} is not {expect:?}"),
        }
    }

    const ANY: Asked = Asked {
        to: None,
        unproven: false,
    };

    fn to(to: u64) -> Asked {
        Asked {
            to: Some(to),
            ..ANY
        }
    }

    #[test]
    fn the_newest_that_worked_before_what_runs() {
        let all = [
            version(4, true, no()),
            version(3, false, unknown()),
            version(2, false, yes()),
            version(1, false, yes()),
        ];
        check(&all, ANY, Ok((2, 1, false)));
        check(&all, to(1), Ok((1, 0, false)));
        check(&all, to(3), Ok((3, 0, true)));
        check(&all, to(4), Err("is what runs"));
        check(&all, to(7), Err("there is no revision 7"));
    }

    #[test]
    fn what_nobody_knows_to_have_worked_is_named_by_a_person() {
        let all = [
            version(3, true, yes()),
            version(2, false, unknown()),
            version(1, false, unknown()),
        ];
        check(&all, ANY, Err("is known to have been available"));
        check(
            &all,
            Asked {
                unproven: true,
                ..ANY
            },
            Ok((2, 1, true)),
        );
        check(&all[..1], ANY, Err("no revision before"));
    }

    #[test]
    fn what_was_left_or_never_worked_needs_more_than_its_number() {
        let all = [
            version(10, true, yes()),
            version(9, false, yes()),
            version(8, false, no()),
            version(7, false, yes()),
        ];
        check(&all, ANY, Ok((7, 2, false)));
        check(&all, to(9), Err("it was left"));
        check(&all, to(8), Err("never ready"));
        check(
            &all,
            Asked {
                unproven: true,
                ..to(9)
            },
            Ok((9, 0, true)),
        );
    }
}
