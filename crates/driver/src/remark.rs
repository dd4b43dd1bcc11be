//! What a driver has to say of a plan before anything changes.

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Worth knowing: a sentence that needs no more.
    Note(String),
    /// What is put out may not stay, or not get there: a sentence.
    Warning(String),
    /// No release may go out so. A way back is never refused for it, and takes it for a warning.
    Refusal(Refusal),
}

/// Why no release may go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A stable code, such as `E0326`; docs/errors has a page of that name.
    pub code: &'static str,
    /// What is in the way: a lower-case fragment that stands for itself.
    pub what: String,
    /// What to do next.
    pub next: String,
}

impl Remark {
    /// One line for people where nothing is refused for it.
    pub fn line(&self) -> String {
        match self {
            Self::Note(text) => text.clone(),
            Self::Warning(text) => format!("WARNING: {text}"),
            Self::Refusal(refusal) => {
                let Refusal { what, next, .. } = refusal;
                format!("WARNING: {what}; {next}")
            }
        }
    }

    /// Why nothing may go out, if that is so.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refusal(refusal) => Some(refusal),
            Self::Note(_) | Self::Warning(_) => None,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, what, next } = self;
        write!(f, "{what}; {next} ({code})")
    }
}
