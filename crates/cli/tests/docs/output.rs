//! Compares what a page shows with what was printed, apart from what differs from run to run: times, ids, digests, ports
//! of instances, widths of columns.

use std::net::TcpListener;

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// The shown lines that were not printed, or not after those before them.
pub(crate) fn missing<'a>(shown: &'a str, printed: &str) -> Vec<&'a str> {
    let printed: Vec<_> = printed.lines().map(normal).collect();
    let mut rest = printed.as_slice();
    let shown = shown
        .lines()
        .filter(|line| !matches!(line.trim(), "" | "..."));
    let lacks = shown.filter(
        |line| match rest.iter().position(|one| *one == normal(line)) {
            Some(at) => {
                rest = &rest[at + 1..];
                false
            }
            None => true,
        },
    );
    lacks.collect()
}

fn normal(line: &str) -> String {
    let line = line.replace("just now", "0 s ago");
    let words: Vec<_> = line.split_whitespace().collect();
    let mut normal = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let unit = words.get(at + 1).is_some_and(|next| is_unit(next));
        if unit && is_number(word) {
            normal.push("TIME".to_owned());
        } else if is_unit(word) && normal.last().is_some_and(|last| last == "TIME") {
            let end: String = word.chars().filter(|c| !c.is_alphanumeric()).collect();
            normal.push(end);
        } else {
            normal.push(ids(word));
        }
    }
    normal.join(" ").replace("TIME  TIME", "TIME")
}

fn is_number(word: &str) -> bool {
    let word = word.trim_start_matches(['(', '+', '-']);
    word.parse::<f64>().is_ok()
}

fn is_unit(word: &str) -> bool {
    let word = word.trim_end_matches([')', ',', ':', ';']);
    matches!(word, "ms" | "s" | "m" | "h")
}

/// Digests, ids, dates and the ports of instances, wherever they stand in the word.
fn ids(word: &str) -> String {
    let mut text = String::new();
    let mut run = String::new();
    for c in word.chars().chain([' ']) {
        if c.is_ascii_hexdigit() && !c.is_ascii_uppercase() {
            run.push(c);
            continue;
        }
        let hex = run.len() >= 8 && run.contains(|c: char| c.is_ascii_digit());
        let port = run.len() == 5 && text.ends_with(':') && run.parse::<u16>().is_ok();
        text.push_str(if hex || port { "#" } else { &run });
        run.clear();
        text.push(c);
    }
    let text = text.trim_end();
    match is_date(text) {
        true => "DATE".to_owned(),
        false => text.to_owned(),
    }
}

fn is_date(word: &str) -> bool {
    let word = word.trim_end_matches(['Z', ',', ')']);
    let signs = word.contains('-') || word.matches(':').count() == 2;
    signs && word.len() >= 8 && word.chars().all(|c| c.is_ascii_digit() || "-:".contains(c))
}

#[test]
fn only_what_differs_from_run_to_run_is_left_out() {
    let same = [
        ("done (923 ms)", "done (1.2 s)"),
        ("SINCE  5 s ago", "SINCE just now"),
        ("r1-3a501280", "r1-e4ad8498"),
        ("t3 +39 ms first", "t3   +1.9 s first"),
        ("2026-11-21 16:10:50Z", "2027-01-02 01:02:03Z"),
        ("(127.0.0.1:30191)", "(127.0.0.1:27031)"),
    ];
    for (shown, printed) in same {
        assert!(missing(shown, printed).is_empty(), "{shown}");
    }
    let other = [
        ("release 1", "release 2"),
        ("ready 2/2", "ready 1/2"),
        ("127.0.0.1:8080", "127.0.0.1:8081"),
        ("10 % to r1", "20 % to r1"),
    ];
    for (shown, printed) in other {
        assert_eq!(missing(shown, printed), [shown]);
    }
}
