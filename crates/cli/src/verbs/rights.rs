//! `belay doctor kubernetes`: whether whoever asks may do on a cluster what Belay does there, and a Role that allows it.

use crate::args::{self, Doctor};
use crate::cx::{Cx, variables};
use crate::exit::{Exit, Failure};
use crate::output::Report;
use crate::output::table::printable;
use crate::verbs::deploy;
use belay_model::config::Strategy;
use belay_model::id::{EnvironmentName, Scope, ServiceName};
use belay_runtime::{Checked, Missing, Right, Subject, Takes};
use serde_json::{Value, json};

pub(crate) async fn run(cx: &Cx, args: &Doctor) -> Result<Report, Failure> {
    let takes = takes(cx, args).await?;
    match args.print_rbac {
        true => Ok(role(&takes, args)),
        false => check(&takes, args).await,
    }
}

async fn takes(cx: &Cx, args: &Doctor) -> Result<Vec<Takes>, Failure> {
    if let Some(namespace) = &args.namespace {
        let strategy = match args.strategy {
            args::Strategy::Basic => Strategy::Basic,
            args::Strategy::Rolling => Strategy::Rolling,
            args::Strategy::Canary => Strategy::Canary(Vec::new()),
            args::Strategy::BlueGreen => Strategy::BlueGreen,
        };
        return Ok(vec![belay_runtime::takes_of_strategy(namespace, &strategy)]);
    }
    if let Some(uri) = cx.uri(&args.place)? {
        let takes = match args.read_only {
            true => belay_runtime::takes_of_look(&uri, &variables()).await?,
            false => {
                let gitops = args.gitops.map(Into::into);
                belay_runtime::takes_of_back(&uri, gitops, &variables()).await?
            }
        };
        return Ok(vec![takes]);
    }
    for (word, is_given) in [
        ("--read-only", args.read_only),
        ("--gitops", args.gitops.is_some()),
    ] {
        if is_given {
            return Err(Failure::usage(format!("{word} belongs to a URI")));
        }
    }
    let verb = "doctor kubernetes";
    let loaded = deploy::load(cx, args.place.service.as_ref(), |service| {
        format!("belay {verb} {service} -e ENV")
    })?;
    let environment = deploy::environment(&loaded, &args.place, verb)?;
    let mut takes = belay_runtime::takes(&loaded, &environment, &variables()).await?;
    if cx.has_store() {
        let belay = cx.open_alone().await?;
        let scope = Scope {
            service: ServiceName::new(&loaded.config.service),
            environment: EnvironmentName::new(&environment),
        };
        for it in &mut takes {
            belay.takes_of_past(&scope, it).await?;
        }
    }
    Ok(takes)
}

fn role(takes: &[Takes], args: &Doctor) -> Report {
    let account = args.service_account.as_ref();
    let account = account.map(|(namespace, name)| Subject::Account {
        namespace: namespace.clone(),
        name: name.clone(),
        made: false,
    });
    let subject = account.or_else(|| args.user.clone().map(Subject::User));
    let roles = takes.iter().map(|it| it.role(subject.as_ref()));
    let text = roles.collect::<Vec<_>>().join("---\n");
    let rights = takes.iter().flat_map(|it| &it.rights.all);
    let rights: Vec<Value> = rights.map(right).collect();
    Report::new(text.clone(), json!({ "rights": rights, "yaml": text }))
}

async fn check(takes: &[Takes], args: &Doctor) -> Result<Report, Failure> {
    let (mut lines, mut found, mut needed, mut who) = (Vec::new(), Vec::new(), Vec::new(), None);
    for it in takes {
        let checked = it.check().await?;
        lines.extend(told(it, &checked));
        needed.extend(checked.needed().map(|it| printable(&it.to_string())));
        found.push(document(it, &checked));
        who = who.or(checked.who);
    }
    let failure = (!needed.is_empty()).then(|| {
        let who = who.map_or_else(|| "who asks".to_owned(), |who| printable(&who));
        let message = format!("{who} may not do what Belay does there");
        let missing = Failure::new(Exit::Unusable, "E0336", message).detail(needed);
        missing.next(command(args))
    });
    let report = Report::new(lines.join("\n"), json!({ "kubernetes": found }));
    Ok(report.failing(failure))
}

fn told(takes: &Takes, checked: &Checked) -> Vec<String> {
    let namespace = takes.namespace();
    let mut lines = Vec::new();
    if checked.missing.is_empty() && checked.unknown.is_none() {
        let requests = checked.requests;
        lines.push(format!(
            "ok   {namespace}: all that it takes is allowed ({requests} request(s) to find out)"
        ));
    }
    if let Some(why) = &checked.unknown {
        lines.push(format!(
            "?    {namespace}: not all of it is known: failed to {}",
            printable(why)
        ));
    }
    let line = |mark: &str, it: &Missing| format!("{mark} {}", printable(&it.to_string()));
    lines.extend(checked.needed().map(|it| line("BAD ", it)));
    lines.extend(checked.useful().map(|it| line("less", it)));
    lines
}

/// The command that prints a Role with what is missing.
fn command(args: &Doctor) -> String {
    let mut command = "belay doctor kubernetes".to_owned();
    if let Some(service) = &args.place.service {
        command += &format!(" {service}");
    }
    if let Some(environment) = &args.place.env {
        command += &format!(" -e {environment}");
    }
    if args.read_only {
        command += " --read-only";
    }
    if args.gitops == Some(args::Gitops::Hold) {
        command += " --gitops hold";
    }
    command + " --print-rbac    a Role that allows it, for whoever may grant that"
}

fn right(right: &Right) -> Value {
    json!({
        "namespace": right.namespace, "group": right.group, "resource": right.resource, "verbs": right.verbs,
        "why": right.why, "without": right.without,
    })
}

fn document(takes: &Takes, checked: &Checked) -> Value {
    json!({
        "for": takes.title,
        "namespace": takes.namespace(),
        "who": checked.who,
        "missing": checked.missing.iter().map(|it| right(&it.right)).collect::<Value>(),
        "unknown": checked.unknown,
        "requests": checked.requests,
    })
}
