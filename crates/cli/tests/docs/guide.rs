//! Runs a page as a reader would: top to bottom, in one shell, in an empty folder.
//!
//! | a fenced block's first line | is |
//! |---|---|
//! | `LANGUAGE file=PATH` | a file; it is written |
//! | `sh` | commands; each has to succeed |
//! | `sh exit=N` | commands, the last of which ends with exit code N; run in a subshell |
//! | `text` | lines that the commands before it print, in this order; a line `...` only shows that something is left out |
//! | anything else | not looked at |
//!
//! The ports of a page (80 and two digits) are replaced by free ones, so pages run beside each other. The folder is
//! `/tmp/hello` in pages.

use crate::output::{free_port, missing};
use crate::support::project::Project;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// A fenced block with the line it starts at.
struct Block {
    line: usize,
    is: Is,
    body: String,
}

enum Is {
    File(String),
    Commands { exit: i32 },
    Output,
}

/// Runs a page of the repository.
pub(crate) fn check(page: &str) {
    let text = std::fs::read_to_string(crate::root().join(page)).expect("the page");
    run(page, &text, &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// The same, with something of this machine in the place of what the page names, and with these variables.
pub(crate) fn check_with(page: &str, names: &[(&str, &str)], variables: &[(&str, String)]) {
    let mut text = std::fs::read_to_string(crate::root().join(page)).expect("the page");
    for (named, ours) in names {
        assert!(text.contains(named), "{page} names {named}");
        text = text.replace(named, ours);
    }
    run(page, &text, variables).unwrap_or_else(|wrong| panic!("{wrong}"));
}

fn run(page: &str, text: &str, variables: &[(&str, String)]) -> Result<(), String> {
    let ports = ports(text);
    let blocks = blocks(&to_free(text, &ports));
    let project = Project::new();
    let work = project.path().join("work");
    std::fs::create_dir(&work).expect("a folder");
    let script = script(&blocks, project.path());
    let printed = project.path().join("printed");
    let out = File::create(&printed).expect("a file");
    let belay = Path::new(env!("CARGO_BIN_EXE_belay"))
        .parent()
        .expect("a directory");
    let path = variables.iter().find(|(name, _)| *name == "PATH");
    let path = path.map(|(_, path)| path.clone());
    let path = path
        .or_else(|| std::env::var("PATH").ok())
        .unwrap_or_default();
    let mut command = Command::new("timeout");
    let patience = ["--kill-after=5", "300", "bash", "-c"];
    command.args(patience).arg(script).current_dir(&work);
    for name in [
        "BELAY_DIR",
        "BELAY_FILE",
        "BELAY_HOST",
        "BELAY_KEY",
        "BELAY_LOG",
        "BELAY_STORE",
    ] {
        command.env_remove(name);
    }
    command
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .env("PATH", format!("{}:{path}", belay.display()))
        .env("BELAY_ACTOR", "ada@laptop")
        .env("TMPDIR", project.path())
        .stdin(Stdio::null())
        .stderr(out.try_clone().expect("a copy"))
        .stdout(out);
    let status = command.status().expect("bash runs");
    let printed = std::fs::read_to_string(&printed).expect("text");
    let printed = to_page(&printed, &ports).replace(&*work.to_string_lossy(), "/tmp/hello");
    if !status.success() {
        return Err(format!("{page}: the last block below failed\n{printed}"));
    }
    compare(page, &blocks, &printed, &ports)
}

/// Holds every `text` block against what the commands before it printed.
fn compare(
    page: &str,
    blocks: &[Block],
    printed: &str,
    ports: &BTreeMap<u16, u16>,
) -> Result<(), String> {
    let mut by_line = BTreeMap::new();
    for part in printed.split("@@ ").skip(1) {
        let (line, rest) = part.split_once('\n').unwrap_or((part, ""));
        by_line.insert(line.parse::<usize>().expect("a line"), rest);
    }
    let (mut before, mut wrong) = (None, String::new());
    for block in blocks {
        match (&block.is, before) {
            (Is::Commands { .. }, _) => before = Some(block.line),
            (Is::Output, Some(line)) => {
                let shown = to_page(&block.body, ports);
                let lacks = missing(&shown, by_line[&line]);
                if !lacks.is_empty() {
                    writeln!(
                        wrong,
                        "{page}:{}: not printed, or not in this place:\n  {}\nbut\n{}",
                        block.line,
                        lacks.join("\n  "),
                        by_line[&line]
                    )
                    .expect("a string takes it");
                }
            }
            (Is::Output, None) => return Err(format!("{page}:{}: output of nothing", block.line)),
            (Is::File(_), _) => {}
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong),
    }
}

/// One script of all blocks; what a file contains waits beside it.
fn script(blocks: &[Block], stage: &Path) -> String {
    let mut script = "set -e\n".to_owned();
    for block in blocks {
        let body = &block.body;
        let line = block.line;
        match &block.is {
            Is::File(name) => {
                let content = stage.join(format!("line-{line}"));
                std::fs::write(&content, body).expect("written");
                let content = content.display();
                writeln!(
                    script,
                    "mkdir -p \"$(dirname '{name}')\"; cp '{content}' '{name}'"
                )
            }
            Is::Commands { exit: 0 } => writeln!(script, "echo '@@ {line}'\n{body}"),
            Is::Commands { exit } => writeln!(
                script,
                "echo '@@ {line}'\nset +e\n( set -e\n{body})\ncode=$?\nset -e\n\
                 [ $code = {exit} ] || {{ echo \"exit code $code, not {exit}\"; exit 1; }}"
            ),
            Is::Output => Ok(()),
        }
        .expect("a string takes it");
    }
    // Some of them the page ended by itself.
    script + "jobs -p | xargs -r kill || true\n"
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let body: String = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .map(|line| format!("{line}\n"))
            .collect();
        let words: Vec<_> = info.split(' ').collect();
        let is = match words[..] {
            ["sh"] => Is::Commands { exit: 0 },
            ["sh", exit] => Is::Commands {
                exit: exit
                    .strip_prefix("exit=")
                    .and_then(|code| code.parse().ok())
                    .expect("sh exit=N"),
            },
            ["text"] => Is::Output,
            [_, file] => Is::File(file.strip_prefix("file=").expect("file=PATH").to_owned()),
            _ => continue,
        };
        let line = number + 1;
        found.push(Block { line, is, body });
    }
    found
}

/// The page's ports, each with a free one.
fn ports(text: &str) -> BTreeMap<u16, u16> {
    let after_colon = text.split(':').skip(1);
    let ports = after_colon.filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits
            .parse()
            .ok()
            .filter(|port| (8000..8100).contains(port))
    });
    ports.map(|port| (port, free_port())).collect()
}

fn to_free(text: &str, ports: &BTreeMap<u16, u16>) -> String {
    ports.iter().fold(text.to_owned(), |text, (page, free)| {
        text.replace(&format!(":{page}"), &format!(":{free}"))
    })
}

fn to_page(text: &str, ports: &BTreeMap<u16, u16>) -> String {
    ports.iter().fold(text.to_owned(), |text, (page, free)| {
        text.replace(&format!(":{free}"), &format!(":{page}"))
    })
}

#[test]
fn a_page_that_is_wrong_is_found_out() {
    for (page, wrong) in [
        ("```sh\ntrue\n```\n```sh\nfalse\n```\n", "failed"),
        ("```sh exit=3\n(exit 4)\n```\n", "exit code 4, not 3"),
        (
            "```sh\necho one\n```\n```text\ntwo\n```\n",
            "not in this place:\n  two\n",
        ),
        (
            "```sh\nprintf '1\\n2\\n'\n```\n```text\n2\n1\n```\n",
            "not in this place:\n  1\n",
        ),
        ("```text\none\n```\n", "output of nothing"),
    ] {
        let told = run("page", page, &[]).expect_err(page);
        assert!(told.contains(wrong), "{told}");
    }
}

#[test]
fn a_page_that_is_right_passes() {
    let page = "```yaml file=a/b\nat :8080\n```\n```sh\ncat a/b\nx=1\n```\n```text\nat :8080\n```\n\
                ```sh exit=3\necho x is $x\nexit 3\n```\n```text\n...\nx is 1\n```\n```console\nfalse\n```\n";
    run("page", page, &[]).expect("it is right");
}
