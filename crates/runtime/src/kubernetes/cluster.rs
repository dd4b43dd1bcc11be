//! Which cluster is meant: said once, when something is asked for, and part of the record from then on. What somebody makes
//! the current context later moves nothing.

use super::Error;
use crate::config::nearest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A cluster, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// The file that somebody named; absent: the usual one of whoever works, or the cluster that they are in.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Absent: the cluster that we are in.
    pub(crate) context: Option<String>,
}

/// What a target means that says this context and this kubeconfig. `base`: what paths in the configuration are relative to; `env`: the variables of whoever asks.
pub(crate) fn cluster(
    context: Option<&str>,
    kubeconfig: Option<&Path>,
    base: &Path,
    env: &BTreeMap<String, String>,
) -> Result<Cluster, crate::Error> {
    let named = match kubeconfig {
        Some(path) => Some(base.join(path).components().collect()),
        None => from_variable(env)?,
    };
    let usual = || Some(Path::new(env.get("HOME")?).join(".kube/config"));
    let file = named.clone().or_else(usual).filter(|file| file.is_file());
    let Some(file) = file else {
        if let Some(named) = named {
            return Err(Error::Cluster {
                what: format!(
                    "read the kubeconfig {}: there is no such file",
                    named.display()
                ),
                next: "correct `kubeconfig:` or KUBECONFIG".to_owned(),
            }
            .into());
        }
        if env.contains_key("KUBERNETES_SERVICE_HOST") && context.is_none() {
            let context = None;
            return Ok(Cluster {
                kubeconfig: None,
                context,
            });
        }
        return Err(Error::Cluster {
            what: "find a kubeconfig: ~/.kube/config is not there, and none is named".to_owned(),
            next: "name it with `kubeconfig:` in the target, or in KUBECONFIG".to_owned(),
        }
        .into());
    };
    let contexts = belay_driver_kubernetes::contexts(&file).map_err(|why| Error::Cluster {
        what: format!("read the kubeconfig {}: {why}", file.display()),
        next: "see what `kubectl config view` says of it".to_owned(),
    })?;
    let known = || match contexts.is_empty() {
        true => "it has none".to_owned(),
        false => format!("there are: {}", contexts.join(", ")),
    };
    let Some(context) = context else {
        return Err(Error::Cluster {
            what: format!("choose a context of {}", file.display()),
            next: format!("name one with `context:` in the target; {}", known()),
        }
        .into());
    };
    if !contexts.iter().any(|it| it == context) {
        let near = nearest(context, contexts.iter().map(String::as_str));
        return Err(Error::Cluster {
            what: format!("find the context `{context}` in {}", file.display()),
            next: near.map_or_else(known, |near| format!("did you mean `{near}`?")),
        }
        .into());
    }
    Ok(Cluster {
        kubeconfig: named,
        context: Some(context.to_owned()),
    })
}

/// The file that `KUBECONFIG` names. Several together are a cluster that only their reader can put together.
fn from_variable(env: &BTreeMap<String, String>) -> Result<Option<PathBuf>, crate::Error> {
    let Some(value) = env.get("KUBECONFIG") else {
        return Ok(None);
    };
    let files = std::env::split_paths(value).filter(|file| !file.as_os_str().is_empty());
    let files: Vec<PathBuf> = files.collect();
    match files.as_slice() {
        [] => Ok(None),
        [file] => std::path::absolute(file)
            .map(Some)
            .map_err(|source| crate::Error::Io {
                what: format!("find {}", file.display()),
                source,
            }),
        _ => Err(Error::Cluster {
            what: "choose a kubeconfig: KUBECONFIG names several".to_owned(),
            next: "name the one with `kubeconfig:` in the target".to_owned(),
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "apiVersion: v1\nkind: Config\ncontexts: [{ name: prod, context: { cluster: c, user: u } }]\n";

    /// Its context and its kubeconfig.
    type Written<'a> = (Option<&'a str>, Option<&'a str>);

    fn target<'a>(context: Option<&'a str>, kubeconfig: Option<&'a str>) -> Written<'a> {
        (context, kubeconfig)
    }

    /// What is meant, in a folder with a kubeconfig, or what is said and what to do.
    fn check(
        (context, kubeconfig): &Written<'_>,
        env: &[(&str, &str)],
        expect: Result<Cluster, (&str, &str)>,
    ) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config"), CONFIG).unwrap();
        std::fs::write(dir.path().join("other"), "a: [").unwrap();
        let here = dir.path().display().to_string();
        let env = env.iter().map(|(name, value)| {
            let value = value.replace("DIR", &here);
            ((*name).to_owned(), value)
        });
        let found = cluster(
            *context,
            kubeconfig.map(Path::new),
            dir.path(),
            &env.collect(),
        );
        let found = found.map(|mut found| {
            let file = found.kubeconfig.as_ref();
            let file = file.map(|file| file.strip_prefix(dir.path()).unwrap().to_owned());
            found.kubeconfig = file;
            found
        });
        match (found, expect) {
            (Ok(found), Ok(expect)) => assert_eq!(found, expect),
            (
                Err(crate::Error::Kubernetes(Error::Cluster { what, next })),
                Err((what_expected, next_expected)),
            ) => {
                assert_eq!(what.replace(&here, "DIR"), what_expected);
                assert_eq!(next, next_expected);
            }
            (found, expect) => panic!("{found:?} is not {expect:?}"),
        }
    }

    fn at(
        kubeconfig: Option<&str>,
        context: Option<&str>,
    ) -> Result<Cluster, (&'static str, &'static str)> {
        Ok(Cluster {
            kubeconfig: kubeconfig.map(PathBuf::from),
            context: context.map(str::to_owned),
        })
    }

    #[test]
    fn the_file_is_said_or_the_usual_one() {
        let prod = target(Some("prod"), None);
        check(
            &target(Some("prod"), Some("./config")),
            &[],
            at(Some("config"), Some("prod")),
        );
        check(
            &prod,
            &[("KUBECONFIG", "DIR/config:")],
            at(Some("config"), Some("prod")),
        );
        let none = "find a kubeconfig: ~/.kube/config is not there, and none is named";
        let name = "name it with `kubeconfig:` in the target, or in KUBECONFIG";
        check(&prod, &[("HOME", "DIR")], Err((none, name)));
        check(
            &prod,
            &[("KUBECONFIG", "DIR/config:DIR/other")],
            Err((
                "choose a kubeconfig: KUBECONFIG names several",
                "name the one with `kubeconfig:` in the target",
            )),
        );
        check(
            &target(Some("prod"), Some("gone")),
            &[],
            Err((
                "read the kubeconfig DIR/gone: there is no such file",
                "correct `kubeconfig:` or KUBECONFIG",
            )),
        );
    }

    #[test]
    fn the_context_is_never_guessed() {
        let env = [
            ("KUBECONFIG", "DIR/config"),
            ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ];
        check(
            &target(None, None),
            &env,
            Err((
                "choose a context of DIR/config",
                "name one with `context:` in the target; there are: prod",
            )),
        );
        check(
            &target(Some("prd"), None),
            &env,
            Err((
                "find the context `prd` in DIR/config",
                "did you mean `prod`?",
            )),
        );
        check(
            &target(Some("elsewhere"), None),
            &env,
            Err((
                "find the context `elsewhere` in DIR/config",
                "there are: prod",
            )),
        );
        check(&target(None, None), &env[1..], at(None, None));
    }
}
