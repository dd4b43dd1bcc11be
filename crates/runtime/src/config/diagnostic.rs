//! One complaint about the file, and how it looks on a terminal. It carries everything that is shown, so it can outlive the
//! text it is about.

use std::fmt::{self, Write};

use serde::{Serialize, Serializer};

/// Which page under docs/errors explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The file cannot be read.
    Unreadable,
    /// A key that there is not.
    UnknownKey,
    /// A value of the wrong type, or out of range.
    WrongValue,
    /// A key that has to be there.
    MissingKey,
    /// No YAML, or YAML that is not accepted.
    Syntax,
    /// A key that is there twice.
    DuplicateKey,
    /// A strategy that cannot be carried out.
    ImpossibleStrategy,
    /// A file that is named and not there.
    MissingFile,
    /// A port that someone else listens on.
    PortInUse,
    /// An environment that there is not.
    UnknownEnvironment,
    /// Settings that do not go together.
    Contradiction,
    /// A reference to a secret that is none.
    MalformedSecret,
    /// Phases that cannot bring a release to every target.
    ImpossiblePhases,
}

impl Code {
    /// Every one, in the order of the numbers.
    pub const ALL: [Self; 13] = [
        Self::Unreadable,
        Self::UnknownKey,
        Self::WrongValue,
        Self::MissingKey,
        Self::Syntax,
        Self::DuplicateKey,
        Self::ImpossibleStrategy,
        Self::MissingFile,
        Self::PortInUse,
        Self::UnknownEnvironment,
        Self::Contradiction,
        Self::MalformedSecret,
        Self::ImpossiblePhases,
    ];

    /// Such as `E0102`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "E0101",
            Self::UnknownKey => "E0102",
            Self::WrongValue => "E0103",
            Self::MissingKey => "E0104",
            Self::Syntax => "E0105",
            Self::DuplicateKey => "E0106",
            Self::ImpossibleStrategy => "E0110",
            Self::MissingFile => "E0111",
            Self::PortInUse => "E0112",
            Self::UnknownEnvironment => "E0113",
            Self::Contradiction => "E0114",
            Self::MalformedSecret => "E0115",
            Self::ImpossiblePhases => "E0116",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One complaint. `Display` is the short report with the offending text underlined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Which kind.
    pub code: Code,
    /// As the file was named by whoever asked.
    pub file: String,
    /// From 1; 0 when the complaint is about the file as a whole.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In characters, within the line.
    pub length: usize,
    /// Where in the configuration, such as `environments.production.strategy.canary[1].to`; empty for the whole.
    pub path: String,
    /// The line that `line` names; values in the place of a secret are starred out.
    pub source_line: String,
    /// What is wrong, in a phrase.
    pub message: String,
    /// A whole phrase, such as "did you mean `environments`?".
    pub suggestion: Option<String>,
    /// What else helps to understand it.
    pub note: Option<String>,
}

impl Diagnostic {
    /// With a suggestion.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<Option<String>>) -> Self {
        self.suggestion = suggestion.into();
        self
    }

    /// With a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// How much of a line is shown; a file of one long line must not fill the screen.
const WIDTH: usize = 140;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error[{}]: {}", self.code, self.message)?;
        if self.line == 0 {
            writeln!(f, "  --> {}", self.file)?;
            if let Some(suggestion) = &self.suggestion {
                writeln!(f, "   = {suggestion}")?;
            }
        } else {
            self.excerpt(f)?;
        }
        let gutter = self.gutter();
        match &self.note {
            Some(note) => writeln!(f, "{:gutter$} = note: {note}", ""),
            None => Ok(()),
        }
    }
}

impl Diagnostic {
    fn gutter(&self) -> usize {
        self.line.to_string().len() + 1
    }

    fn excerpt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = self.gutter();
        writeln!(
            f,
            "{:gutter$}--> {}:{}:{}",
            "", self.file, self.line, self.column
        )?;
        writeln!(f, "{:gutter$} |", "")?;

        let before = self.column.saturating_sub(1);
        let skipped = if before + self.length > WIDTH {
            before.saturating_sub(WIDTH / 4)
        } else {
            0
        };
        let shown: Vec<char> = self
            .source_line
            .chars()
            .skip(skipped)
            .take(WIDTH)
            .map(printable)
            .collect();
        let ellipsis = if skipped > 0 { "..." } else { "" };
        let line: String = shown.iter().collect();
        writeln!(f, "{:>gutter$} | {ellipsis}{}", self.line, line.trim_end())?;

        let mut marks = String::new();
        // A tab is as wide as the terminal says, so the padding repeats it.
        for index in 0..before - skipped {
            marks.push(if shown.get(index) == Some(&'\t') {
                '\t'
            } else {
                ' '
            });
        }
        let room = WIDTH.saturating_sub(before - skipped).max(1);
        let _ = write!(marks, "{}", "^".repeat(self.length.clamp(1, room)));
        if let Some(suggestion) = &self.suggestion {
            let _ = write!(marks, " {suggestion}");
        }
        let ellipsis = " ".repeat(ellipsis.len());
        writeln!(f, "{:gutter$} | {ellipsis}{marks}", "")
    }
}

/// Control characters in the file must not reach the terminal as commands.
fn printable(character: char) -> char {
    if character.is_control() && character != '\t' {
        '\u{fffd}'
    } else {
        character
    }
}
