//! A story as Rust: what `Debug` says of it, with the words of [`super::words`], is an expression but for its lists.

use super::story::Story;

/// A test that plays it, to be pasted into `crates/engine/tests`; `why` is told above it.
pub fn as_test(story: &Story, name: &str, why: &str) -> String {
    let story = format!("{story:#?}").replace('[', "vec![");
    // Where two things have one name, and where there is nothing to write them with.
    let story = story.replace("capacity: Ask,", "capacity: BackCapacity::Ask,");
    let story = story.replace("foreign_change: ", "foreign_change: ForeignChange::");
    let story = durations(&story);
    let mut lines = vec![
        format!("/// {why}"),
        "#[test]".to_owned(),
        format!("fn {name}() {{"),
    ];
    lines.push("    use belay_testkit::sim::words::*;".to_owned());
    let mut story = story.lines();
    let first = story.next().unwrap_or_default();
    lines.push(format!("    let story = {first}"));
    lines.extend(story.map(|line| format!("    {line}")));
    let last = lines.last_mut().expect("some");
    last.push(';');
    lines.push("    let breaches = belay_testkit::sim::play(&story).breaches;".to_owned());
    lines.push("    assert!(breaches.is_empty(), \"{breaches:#?}\");".to_owned());
    lines.push("}".to_owned());
    lines.join("\n") + "\n"
}

/// `Duration { ms: 5 }`, over three lines, as a call.
fn durations(story: &str) -> String {
    let mut parts = story.split("Duration {");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inside, rest) = part.split_once('}').unwrap_or((part, ""));
        let ms: String = inside.chars().filter(char::is_ascii_digit).collect();
        text.push_str(&format!("Duration::from_ms({ms})"));
        text.push_str(rest);
    }
    text
}
