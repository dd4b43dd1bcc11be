//! Questions to whoever is at the terminal.

use std::io::{BufRead, Write};

/// Asks on stderr, so that stdout stays data. No answer is no.
pub(crate) fn agreed(question: &str) -> bool {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{question}");
    let _ = stderr.flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
