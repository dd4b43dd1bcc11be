//! The one error of drivers. It always says whether the effect may have been applied.

use belay_model::error::{Class, Effect, Failure};

/// A driver's call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind of thing went wrong.
    pub class: Class,
    /// Whether the platform may have changed.
    pub effect: Effect,
    /// The platform says when to try again, milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The platform's own code, verbatim.
    pub platform_code: Option<String>,
    /// A lower-case fragment that reads well after "failed to".
    pub message: String,
    /// More lines that help: the last output, the last answer seen.
    pub detail: Vec<String>,
}

impl Error {
    /// An error that changed nothing.
    pub fn not_applied(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            effect: Effect::NotApplied,
            retry_after_ms: None,
            platform_code: None,
            message: message.into(),
            detail: Vec::new(),
        }
    }

    /// An error after which nobody knows.
    pub fn maybe_applied(class: Class, message: impl Into<String>) -> Self {
        Self {
            effect: Effect::MaybeApplied,
            ..Self::not_applied(class, message)
        }
    }

    /// The same with more lines.
    #[must_use]
    pub fn with_detail(mut self, detail: Vec<String>) -> Self {
        self.detail = detail;
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // People look it up in the platform's documentation; it has no place of its own in the journal.
        let code = error
            .platform_code
            .map(|code| format!("the platform's code: {code}"));
        Failure {
            class: error.class,
            effect: error.effect,
            message: error.message,
            detail: error.detail.into_iter().chain(code).collect(),
            retry_after_ms: error.retry_after_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platforms_code_is_told() {
        let mut error = Error::not_applied(Class::Conflict, "replace it");
        error.detail = vec!["its last words".to_owned()];
        assert_eq!(Failure::from(error.clone()).detail, ["its last words"]);
        error.platform_code = Some("409 Conflict".to_owned());
        let told = ["its last words", "the platform's code: 409 Conflict"];
        assert_eq!(Failure::from(error).detail, told);
    }
}
