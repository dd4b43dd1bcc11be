//! Deploys, goes back and takes it back with the real store, driver, supervisors and proxy. The executable of this test
//! stands in for `belay`: it is started as `supervise`, `proxy run` and `worker`, too.

mod cases;
mod world;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["supervise", dir] => belay_runtime::supervise(Path::new(dir)),
        ["proxy", "run", "--dir", dir] => proxy(dir),
        ["worker", "--detached", "--dir", dir] => worker(dir),
        words => run(words),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let builder = builder.worker_threads(2).enable_all();
    builder.build().expect("a runtime")
}

/// The proxy of a store lives in it.
fn proxy(store: &str) -> ExitCode {
    let dir = Path::new(store).join("proxy");
    runtime().block_on(async {
        let shutdown = belay_proxy::signalled().expect("signals");
        let run = belay_proxy::run(belay_proxy::Options::new(dir), shutdown);
        run.await.expect("the proxy runs");
    });
    ExitCode::SUCCESS
}

fn worker(dir: &str) -> ExitCode {
    belay_runtime::detach();
    runtime().block_on(async {
        let belay = world::open(PathBuf::from(dir)).await;
        let left = belay_runtime::run_worker(&belay, Some(200)).await;
        left.expect("the worker works");
    });
    ExitCode::SUCCESS
}

/// A harness as small as it gets: cases one after the other, by name if some are named.
fn run(words: &[&str]) -> ExitCode {
    let names: Vec<&&str> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let cases = cases::all();
    if words.contains(&"--list") {
        for (name, _) in &cases {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let mut python = Command::new("python3");
    if python
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        eprintln!(
            "skipped: these tests deploy a server written in Python, and there is no python3"
        );
        let in_ci = std::env::var_os("CI").is_some();
        return if in_ci {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    let mut failed = Vec::new();
    for (name, case) in cases {
        if !names.is_empty() && !names.iter().any(|wanted| name.contains(**wanted)) {
            continue;
        }
        let began = std::time::Instant::now();
        let verdict = std::panic::catch_unwind(|| runtime().block_on(world::with(case)));
        let word = if verdict.is_ok() { "ok" } else { "FAILED" };
        println!(
            "test {name} ... {word} ({:.1} s)",
            began.elapsed().as_secs_f64()
        );
        if verdict.is_err() {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {}", failed.join(", "));
    ExitCode::FAILURE
}
