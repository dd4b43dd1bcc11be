//! Where words go: data to stdout, talk to stderr, and nothing of it decides anything.

pub(crate) mod json;
pub(crate) mod preview;
pub(crate) mod progress;
pub(crate) mod steps;
pub(crate) mod story;
pub(crate) mod table;
pub(crate) mod time;

use crate::exit::{Exit, Failure};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};

/// What stdout gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document, when the command ends.
    Json,
}

/// What a verb ends with. Both forms say the same; one of them is printed.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) exit: Exit,
    pub(crate) text: String,
    pub(crate) json: Value,
    /// Why the exit code is not 0, although the verb itself went well.
    pub(crate) failure: Option<Failure>,
}

impl Report {
    pub(crate) fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            exit: Exit::Ok,
            text: text.into(),
            json,
            failure: None,
        }
    }

    /// For verbs that wrote their own output.
    pub(crate) fn silent() -> Self {
        Self::new("", Value::Null)
    }

    pub(crate) fn failing(mut self, failure: Option<Failure>) -> Self {
        if let Some(failure) = failure {
            self.exit = failure.exit;
            self.failure = Some(failure);
        }
        self
    }
}

/// How to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    pub(crate) colour: bool,
}

impl Output {
    /// Someone sees progress as it happens.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Someone can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Talk: on stderr, unless it is not wanted.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            warn(text);
        }
    }

    /// The end of a verb.
    pub(crate) fn finish(&self, result: Result<Report, Failure>) -> Exit {
        match result {
            Ok(report) => self.report(report),
            Err(failure) => {
                if self.format == Format::Json {
                    let exit = failure.exit.number();
                    print(&pretty(&json!({ "error": failure.json(), "exit": exit })));
                }
                warn(&failure.to_string());
                failure.exit
            }
        }
    }

    fn report(&self, report: Report) -> Exit {
        match self.format {
            Format::Text => {
                print(&report.text);
            }
            Format::Json => {
                let mut json = report.json;
                if let Some(object) = json.as_object_mut() {
                    object.insert("exit".to_owned(), json!(report.exit.number()));
                    if let Some(failure) = &report.failure {
                        object.insert("error".to_owned(), failure.json());
                    }
                }
                if !json.is_null() {
                    print(&pretty(&json));
                }
            }
        }
        if let Some(failure) = &report.failure {
            warn(&failure.to_string());
        }
        report.exit
    }

    /// The same text in a colour, where colours are wanted.
    pub(crate) fn paint(&self, colour: Colour, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{}m{text}\u{1b}[0m", colour as u8)
        } else {
            text.to_owned()
        }
    }
}

/// The few that are used: ANSI codes.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
}

fn pretty(json: &Value) -> String {
    // A `Value` has string keys only and always serialises.
    serde_json::to_string_pretty(json).unwrap_or_default()
}

/// Data to stdout, with a line end. Answers whether someone still reads: a reader that left is no error.
pub(crate) fn print(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{}", text.trim_end_matches('\n'));
    written.and_then(|()| stdout.flush()).is_ok()
}

/// To stderr whatever was asked for. Nobody can be told if that fails.
pub(crate) fn warn(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
