//! What `--help` says is committed: a change of the command line is seen in review. `UPDATE=1` rewrites the files.

use std::path::{Path, PathBuf};
use std::process::Command;

const VERBS: [&[&str]; 41] = [
    &[],
    &["check"],
    &["plan"],
    &["deploy"],
    &["promote"],
    &["status"],
    &["watch"],
    &["history"],
    &["rollback"],
    &["adopt"],
    &["abort"],
    &["ready"],
    &["retry"],
    &["skip"],
    &["abandon"],
    &["approve"],
    &["reject"],
    &["pause"],
    &["resume"],
    &["advance"],
    &["stop"],
    &["freeze"],
    &["logs"],
    &["release"],
    &["release", "list"],
    &["release", "show"],
    &["release", "lift"],
    &["store"],
    &["store", "check"],
    &["store", "migrate"],
    &["store", "backup"],
    &["store", "restore"],
    &["store", "export"],
    &["doctor"],
    &["proxy"],
    &["proxy", "run"],
    &["proxy", "status"],
    &["demo"],
    &["worker"],
    &["supervise"],
    &["--version"],
];

fn file(verb: &[&str]) -> PathBuf {
    let name = match verb {
        [] => "belay".to_owned(),
        words => words.join("-").replace("--", ""),
    };
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/help")
        .join(format!("{name}.txt"))
}

fn help(verb: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belay"));
    command.args(verb).env_clear();
    if !verb.iter().any(|word| word.starts_with('-')) {
        command.arg("--help");
    }
    let output = command.output().expect("belay runs");
    assert!(output.status.success(), "{verb:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{verb:?}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[test]
fn help_is_as_committed() {
    let update = std::env::var_os("UPDATE").is_some();
    for verb in VERBS {
        let (file, now) = (file(verb), help(verb));
        if update {
            std::fs::write(&file, &now).expect("written");
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(
            now,
            committed,
            "{} differs; UPDATE=1 rewrites it",
            file.display()
        );
    }
}

#[test]
fn every_listed_verb_has_a_file() {
    let listed = help(&[]);
    let (_, commands) = listed
        .split_once("Commands:\n")
        .expect("a list of commands");
    let names = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    let mut count = 0;
    for name in names {
        count += 1;
        assert!(
            file(&[name]).exists(),
            "{name} has no file: add it to VERBS"
        );
    }
    assert_eq!(count, 28, "verbs listed by --help");
}
