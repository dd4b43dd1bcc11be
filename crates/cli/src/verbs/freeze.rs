//! `belay freeze`: no release goes out for a while; and lifting that.

use crate::args::{Freeze as Args, Place};
use crate::cx::Cx;
use crate::exit::Failure;
use crate::output::time::moment;
use crate::output::{Report, json};
use belay_model::environment::Freeze;
use belay_model::id::{EVERY, EnvironmentName, Scope, ServiceName};
use belay_runtime::Belay;
use serde_json::{Value, json};

pub(crate) async fn run(cx: &Cx, args: Args) -> Result<Report, Failure> {
    let belay = cx.open().await?;
    let scope = meant(cx, &belay, &args).await?;
    let (service, environment) = json::scope(&scope);
    if args.lift {
        let lifted = belay.thaw(&scope, args.reason).await?;
        let mut text = format!("{}: releases go out again", name(&scope));
        for freeze in &lifted {
            text.push_str(&format!("\nlifted: frozen {}", freeze.sentence()));
        }
        let lifted: Vec<_> = lifted.iter().map(told).collect();
        let json = json!({ "thawed": {
            "service": service,
            "environment": environment,
            "lifted": lifted,
        } });
        return Ok(Report::new(text, json));
    }
    let reason = args.reason.unwrap_or_default();
    let for_ms = args.hold.map(belay_model::config::Duration::as_ms);
    let (freeze, beside) = belay.freeze(&scope, reason, for_ms).await?;
    let until = freeze.until_ms.map(|ms| ms.saturating_mul(1000));
    let until_text = until.map_or_else(
        || "until it is lifted".to_owned(),
        |until| format!("until {}", moment(until)),
    );
    let mut text = format!(
        "{}: no release goes out {until_text}; rollbacks do\nto lift it: belay freeze --lift{}",
        name(&scope),
        flags(&scope),
    );
    if let Some(beside) = &beside {
        let line = format!(
            "\nit is frozen {}, too, until that is lifted",
            beside.sentence()
        );
        text.push_str(&line);
    }
    let json = json!({ "frozen": {
        "service": service,
        "environment": environment,
        "reason": freeze.reason,
        "until": json::at(until),
        "beside": beside.as_ref().map(told),
    } });
    Ok(Report::new(text, json))
}

fn told(freeze: &Freeze) -> Value {
    json!({
        "by": freeze.actor,
        "reason": freeze.reason,
        "until": json::at(freeze.until_ms.map(|ms| ms.saturating_mul(1000))),
    })
}

/// One scope, or all of an environment or of a service. Names are looked up, so that a misspelt one is answered with the
/// right one.
async fn meant(cx: &Cx, belay: &Belay, args: &Args) -> Result<Scope, Failure> {
    let mut scope = if args.all_environments {
        let service = cx.service(args.place.service.as_deref());
        let mut scopes = belay.status().await?;
        scopes.retain(|status| {
            service
                .as_deref()
                .is_none_or(|name| status.scope.service.as_str() == name)
        });
        scopes.dedup_by(|a, b| a.scope.service == b.scope.service);
        match scopes.as_slice() {
            [one] => one.scope.clone(),
            _ => belay.find_scope(service.as_deref(), None).await?,
        }
    } else if args.all_services {
        let env = args.place.env.as_deref();
        let scopes = belay.status().await?;
        let known = scopes
            .iter()
            .find(|status| Some(status.scope.environment.as_str()) == env);
        match known {
            Some(known) => known.scope.clone(),
            None => belay.find_scope(None, env).await?,
        }
    } else {
        let place = Place {
            service: args.place.service.clone(),
            env: args.place.env.clone(),
        };
        cx.scope(belay, &place).await?
    };
    if args.all_environments {
        scope.environment = EnvironmentName::new(EVERY);
    }
    if args.all_services {
        scope.service = ServiceName::new(EVERY);
    }
    Ok(scope)
}

fn name(scope: &Scope) -> String {
    match (scope.service.as_str(), scope.environment.as_str()) {
        (EVERY, environment) => format!("environment {environment}"),
        (service, EVERY) => format!("service {service}"),
        _ => scope.to_string(),
    }
}

/// What names it again on a command line.
fn flags(scope: &Scope) -> String {
    match (scope.service.as_str(), scope.environment.as_str()) {
        (EVERY, environment) => format!(" --all-services -e {environment}"),
        (service, EVERY) => format!(" {service} --all-environments"),
        (service, environment) => format!(" {service} -e {environment}"),
    }
}
