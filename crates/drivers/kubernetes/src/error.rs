//! What the API server's answers mean.

use belay_driver::Error;
use belay_model::error::{Class, Effect};
use kube::core::Status;

/// A call that only looks failed; `what` reads well after "failed to".
pub(crate) fn failed(what: &str, error: kube::Error) -> Error {
    let class = match error {
        kube::Error::Api(status) => return refused(what, &status),
        kube::Error::Auth(_) => Class::Authentication,
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => {
            Class::Connectivity
        }
        _ => Class::Unknown,
    };
    Error::not_applied(class, format!("{what}: {}", causes(&error)))
}

/// A call that changes something failed: whether it did has to be said.
pub(crate) fn unsure(what: &str, error: kube::Error) -> Error {
    let may_be_done = match &error {
        // What the server could not do itself, or not in time, may have been written by then.
        kube::Error::Api(status) => status.code >= 500 && !was_not_admitted(status),
        error => !was_never_sent(error),
    };
    let mut error = failed(what, error);
    if may_be_done {
        error.effect = Effect::MaybeApplied;
    }
    error
}

/// Whoever is asked before anything is written said no, or nothing.
fn was_not_admitted(status: &Status) -> bool {
    let said = &status.message;
    said.contains("failed calling webhook") || is_denied(said)
}

/// A webhook, or a policy, says no to what is in the release; whatever the number of its answer.
fn is_denied(message: &str) -> bool {
    let webhook = message.contains("admission webhook") && message.contains("denied the request");
    webhook || (message.contains("AdmissionPolicy") && message.contains("denied request"))
}

/// The namespace is on its way out, or gone.
fn is_without_namespace(message: &str) -> bool {
    message.contains("because it is being terminated")
        || (message.starts_with("namespaces \"") && message.ends_with("not found"))
}

/// Nobody took the connection.
pub(crate) fn was_never_sent(error: &dyn std::error::Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        let io = cause.downcast_ref::<std::io::Error>();
        if io.is_some_and(|it| it.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        next = cause.source();
    }
    false
}

fn refused(what: &str, status: &Status) -> Error {
    let class = match status.code {
        _ if is_denied(&status.message) => Class::Application,
        // Somebody removes it, with all that is in it.
        403 | 404 if is_without_namespace(&status.message) => Class::Conflict,
        401 => Class::Authentication,
        // A quota is an admission plugin, and says no as one.
        403 if status.message.contains("exceeded quota") => Class::Quota,
        // So do others, about what is in the release.
        403 if status.message.contains("denied") && status.message.contains("admission") => {
            Class::Application
        }
        403 => Class::Authorisation,
        408 | 504 => Class::Timeout,
        409 => Class::Conflict,
        400 | 422 => Class::Application,
        429 => Class::Quota,
        500..=503 => Class::Connectivity,
        _ => Class::Unknown,
    };
    let seconds = status.details.as_ref().map(|it| it.retry_after_seconds);
    let mut error = Error::not_applied(class, format!("{what}: {}", status.message));
    error.retry_after_ms = seconds.filter(|it| *it > 0).map(|it| u64::from(it) * 1000);
    error.platform_code = Some(format!("{} {}", status.code, status.reason));
    error
}

/// What went wrong, down to what the operating system said.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
