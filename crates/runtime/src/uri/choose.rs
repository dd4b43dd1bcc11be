//! Which of the platform's own versions is gone back to. Pure.

use super::Error;
use belay_driver::Availability;
use belay_driver_kubernetes::{Version, has_same_pods};

/// What is gone back to.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    pub(super) version: &'a Version,
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

/// The newest version before the present one that is known to have been available; with a number, that one. `left`: why one was
/// gone back from, if it was. `versions`: newest first.
pub(super) fn choose<'a>(
    title: &str,
    versions: &'a [Version],
    asked: Asked,
    left: impl Fn(&Version) -> Option<String>,
) -> Result<Choice<'a>, Error> {
    let current = versions.iter().position(|it| it.revision.is_current);
    let is_running =
        |it: &Version| current.is_some_and(|at| has_same_pods(&versions[at].object, &it.object));
    let no = |why: String, passed_over: Vec<String>, next: &str| Error::NoRevision {
        title: title.to_owned(),
        why,
        passed_over,
        next: next.to_owned(),
    };
    let objection = |it: &Version| match (left(it), &it.revision.availability) {
        _ if is_running(it) => Some("it is what runs".to_owned()),
        (Some(why), _) => Some(why),
        (None, Availability::Yes(_)) => None,
        (None, Availability::No(why)) => Some(why.clone()),
        (None, Availability::Unknown(why)) => Some(why.clone()),
    };
    if let Some(to) = asked.to {
        let Some(version) = versions.iter().find(|it| it.revision.number == Some(to)) else {
            let known = versions.iter().map(name).collect::<Vec<_>>().join(", ");
            let why = format!("there is no revision {to}");
            return Err(no(why, Vec::new(), &format!("there are: {known}")));
        };
        if is_running(version) {
            return Err(no(
                format!("revision {to} is what runs"),
                Vec::new(),
                "name another one",
            ));
        }
        let is_refused =
            left(version).is_some() || matches!(version.revision.availability, Availability::No(_));
        let objection = objection(version);
        return match objection {
            Some(why) if is_refused && !asked.unproven => Err(no(
                format!("revision {to}: {why}"),
                Vec::new(),
                "name another one; or take the risk: `--accept unproven --reason TEXT`",
            )),
            why => Ok(Choice {
                version,
                passed_over: Vec::new(),
                warning: why.map(|why| {
                    format!("WARNING: revision {to} is not known to have worked: {why}")
                }),
            }),
        };
    }
    let before = &versions[current.map_or(0, |at| at + 1)..];
    let mut passed_over = Vec::new();
    for version in before {
        match objection(version) {
            None => {
                return Ok(Choice {
                    version,
                    passed_over,
                    warning: None,
                });
            }
            Some(why) => passed_over.push(format!("{}: {why}", described(version))),
        }
    }
    let unknown = |it: &&Version| {
        let is_unknown = matches!(it.revision.availability, Availability::Unknown(_));
        is_unknown && !is_running(it) && left(it).is_none()
    };
    match before.iter().find(unknown) {
        Some(version) if asked.unproven => {
            passed_over.retain(|line| !line.starts_with(&format!("{}:", described(version))));
            let number = name(version);
            Ok(Choice {
                version,
                passed_over,
                warning: Some(format!(
                    "WARNING: revision {number} is not known to have worked; that was accepted"
                )),
            })
        }
        Some(version) => {
            let next = format!("name the one that worked: `--to {}`", name(version));
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

fn name(version: &Version) -> String {
    let number = version.revision.number;
    number.map_or_else(
        || version.revision.name.clone(),
        |number| number.to_string(),
    )
}

/// `revision 3 (shop/api:3)`.
pub(super) fn described(version: &Version) -> String {
    format!(
        "revision {} ({})",
        name(version),
        version.revision.images.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_driver::Revision;
    use serde_json::json;

    fn version(number: u64, is_current: bool, availability: Availability) -> Version {
        let image = format!("app:{number}");
        let pod = json!({ "containers": [{ "name": "app", "image": image }] });
        Version {
            revision: Revision {
                name: number.to_string(),
                title: String::new(),
                number: Some(number),
                since_us: None,
                images: vec![image],
                cause: None,
                is_current,
                availability,
            },
            object: json!({ "spec": { "template": { "spec": pod } } }),
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
    fn check(versions: &[Version], asked: Asked, expect: Result<(u64, usize, bool), &str>) {
        let left = |it: &Version| (it.revision.number == Some(9)).then(|| "it was left".to_owned());
        let found = choose("deployment/api", versions, asked, left);
        match (found, expect) {
            (Ok(found), Ok((number, passed_over, warned))) => {
                assert_eq!(found.version.revision.number, Some(number));
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
