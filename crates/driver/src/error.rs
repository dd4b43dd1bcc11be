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

/// Most bytes of one line of what failed: platforms repeat whole objects in their errors, and an event is bounded (I11).
const LONGEST_LINE: usize = 8 << 10;
/// Most lines.
const MOST_LINES: usize = 64;

fn cut(mut line: String) -> String {
    if line.len() > LONGEST_LINE {
        line.truncate(line.floor_char_boundary(LONGEST_LINE));
        line.push('…');
    }
    line
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
            message: cut(error.message),
            // The last ones: a log ends with what matters.
            detail: error.detail[error.detail.len().saturating_sub(MOST_LINES)..]
                .iter()
                .cloned()
                .chain(code)
                .map(cut)
                .collect(),
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

    #[test]
    fn what_is_told_is_bounded() {
        let mut error = Error::not_applied(Class::Application, "é".repeat(1 << 20));
        error.detail = (0..1_000).map(|line| line.to_string()).collect();
        let failure = Failure::from(error);
        assert!(failure.message.len() <= LONGEST_LINE + '…'.len_utf8());
        assert!(failure.message.ends_with("é…"));
        assert_eq!(failure.detail.len(), MOST_LINES);
        assert_eq!(failure.detail.last().map(String::as_str), Some("999"));
    }
}
