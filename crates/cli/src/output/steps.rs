//! The steps of a plan, for people.

use crate::output::table::printable;
use belay_runtime::PlannedStep;

/// Numbered, below a line for each phase where there are several, with what stays behind.
pub(crate) fn steps(indent: usize, steps: &[PlannedStep]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut phase = None;
    for (number, step) in (1..).zip(steps) {
        let mut indent = indent;
        if let Some(label) = &step.label {
            if phase.replace(label) != Some(label) {
                lines.push(format!("{:indent$}{}:", "", printable(label)));
            }
            indent += 2;
        }
        let promotes = if step.promotes { "  (promotes)" } else { "" };
        let title = printable(&step.title);
        lines.push(format!("{:indent$}{number}. {title}{promotes}", ""));
        let residue = step.residue.iter();
        lines.extend(
            residue.map(|left| format!("{:indent$}   stays behind: {}", "", printable(left))),
        );
    }
    lines
}

/// What no way back takes away.
pub(crate) fn stays(residue: &[String]) -> Vec<String> {
    let lines = residue.iter();
    lines
        .map(|left| format!("  cannot be taken back: {}", printable(left)))
        .collect()
}
