//! Tables for people: no frames, so that a line can be copied, cut and searched.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

/// Between columns.
const GAP: u16 = 2;

/// A table as text. No rows: no text.
pub(crate) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head);
    let mut empty = true;
    for row in rows {
        empty = false;
        table.add_row(row);
    }
    if empty {
        return String::new();
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    if let Some(last) = table.column_mut(N - 1) {
        last.set_padding((0, 0));
    }
    if table.is_tty() {
        fit(&mut table);
    }
    let text = table.to_string();
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// On a terminal that is too narrow, cells are broken between words, as far as that is enough.
fn fit(table: &mut Table) {
    let Some(width) = table.width() else { return };
    let narrowest: Vec<u16> = (0..table.column_count())
        .map(|column| {
            let rows = table.row_iter().chain(table.header());
            let cells = rows.filter_map(|row| row.cell_iter().nth(column));
            let words = cells.flat_map(|cell| {
                let text = cell.content();
                text.split_whitespace()
                    .map(|word| word.chars().count())
                    .collect::<Vec<_>>()
            });
            u16::try_from(words.max().unwrap_or(0)).unwrap_or(u16::MAX)
        })
        .collect();
    let gaps = (0..narrowest.len()).rev().map(|after| match after {
        0 => 0,
        _ => GAP,
    });
    let least: Vec<u16> = narrowest
        .iter()
        .zip(gaps)
        .map(|(words, gap)| words.saturating_add(gap))
        .collect();
    if least.iter().copied().map(usize::from).sum::<usize>() > usize::from(width) {
        return;
    }
    table.set_content_arrangement(ContentArrangement::Dynamic);
    for (column, least) in table.column_iter_mut().zip(least) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
    }
}

/// Text of strangers (instances, reasons): control characters must not reach the terminal as commands.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_without_frames() {
        let rows = [
            ["a".to_owned(), "1".to_owned()],
            ["longer".to_owned(), String::new()],
        ];
        assert_eq!(table(["NAME", "N"], rows), "NAME    N\na       1\nlonger");
    }

    #[test]
    fn nothing_to_show_is_no_text() {
        assert_eq!(table(["NAME"], Vec::new()), "");
    }

    #[test]
    fn escapes_are_defused() {
        assert_eq!(printable("a\u{1b}[2Jb\tc"), "a\u{fffd}[2Jb\tc");
    }
}
