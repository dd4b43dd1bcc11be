//! What the design says about the tree, held against the tree.

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Arrows of DESIGN section 3, and of ADR 0001: crate -> what of ours it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("belay-model", &[]),
    ("belay-driver", &["belay-model"]),
    ("belay-analysis", &[]),
    (
        "belay-engine",
        &["belay-model", "belay-driver", "belay-analysis"],
    ),
    (
        "belay-sources",
        &[
            "belay-model",
            "belay-driver",
            "belay-engine",
            "belay-analysis",
            "belay-proxy-api",
        ],
    ),
    ("belay-store", &["belay-model", "belay-engine"]),
    ("belay-driver-process", &["belay-model", "belay-driver"]),
    ("belay-driver-kubernetes", &["belay-model", "belay-driver"]),
    ("belay-proxy-api", &[]),
    ("belay-proxy", &["belay-proxy-api"]),
    (
        "belay-runtime",
        &[
            "belay-model",
            "belay-driver",
            "belay-engine",
            "belay-analysis",
            "belay-sources",
            "belay-store",
            "belay-driver-process",
            "belay-driver-kubernetes",
            "belay-proxy-api",
        ],
    ),
    (
        "belay-cli",
        &[
            "belay-runtime",
            "belay-proxy",
            "belay-proxy-api",
            "belay-model",
            "belay-load",
        ],
    ),
    ("belay-load", &[]),
    (
        "belay-bench",
        // Nothing uses it, and it is never shipped: it may use what tests may, beside what it measures.
        &[
            "belay-model",
            "belay-driver",
            "belay-engine",
            "belay-store",
            "belay-load",
            "belay-testbed",
        ],
    ),
    (
        "belay-testkit",
        &["belay-model", "belay-driver", "belay-engine"],
    ),
    ("belay-testbed", &[]),
    ("bookstore", &[]),
];

/// Crates that the model must never use, whatever for.
const NOT_IN_MODEL: &[&str] = &["tokio", "sqlx", "http", "hyper", "reqwest"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace")
}

fn packages() -> Vec<Package> {
    let manifest = root().join("Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .expect("cargo metadata");
    metadata.packages
}

#[test]
fn arrows_are_those_of_the_design() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ARROWS
        .iter()
        .map(|(name, uses)| (*name, uses.iter().copied().collect()))
        .collect();
    let ours: BTreeSet<String> = packages()
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let listed: BTreeSet<String> = allowed.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(ours, listed, "every crate has its arrows in this table");
    let mut wrong = Vec::new();
    for package in packages() {
        for dependency in &package.dependencies {
            // Optional ones count; what only tests use does not.
            let only_tests = dependency.kind == DependencyKind::Development;
            let name = dependency.name.as_str();
            if !only_tests && ours.contains(name) && !allowed[package.name.as_str()].contains(name)
            {
                wrong.push(format!("{} -> {name}", package.name));
            }
        }
        if package.name.as_str() == "belay-model" {
            let bad = package
                .dependencies
                .iter()
                .filter(|one| NOT_IN_MODEL.contains(&one.name.as_str()));
            wrong.extend(bad.map(|one| format!("belay-model -> {}", one.name)));
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that are not in the design: {wrong:#?}"
    );
}

#[test]
fn rust_version_and_lints_come_from_the_root() {
    for package in packages() {
        let version = package.rust_version.as_ref().map(ToString::to_string);
        assert_eq!(version.as_deref(), Some("1.95.0"), "{}", package.name);
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("readable");
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{} has lints of its own",
            package.name
        );
    }
    assert!(
        !root().join("rust-toolchain.toml").exists() && !root().join("rust-toolchain").exists()
    );
}

/// Time and sleep have one door: the `Clock` port.
#[test]
fn the_core_takes_time_from_its_clock() {
    let core = [
        "crates/engine/src",
        "crates/model/src",
        "crates/analysis/src",
        "crates/driver/src",
    ];
    let banned = [
        "SystemTime::now",
        "Instant::now",
        "tokio::time::sleep",
        "thread::sleep",
        "set_var(",
    ];
    let mut found = Vec::new();
    for file in sources() {
        let name = file
            .strip_prefix(root())
            .expect("inside")
            .to_string_lossy()
            .into_owned();
        // The suite of drivers is a test, run against real software in real time.
        let is_suite = name.starts_with("crates/driver/src/conformance/");
        if core.iter().any(|prefix| name.starts_with(prefix)) && !is_suite {
            let text = std::fs::read_to_string(&file).expect("readable");
            let calls = banned.iter().filter(|call| text.contains(**call));
            found.extend(calls.map(|call| format!("{name}: {call}")));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// A list of authorities in the build would be trusted beside those that people name: docs/adr/0006, 10.
#[test]
fn nobody_is_trusted_unasked() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let mut lists = lock
        .split("[[package]]")
        .filter(|one| one.contains("\nname = \"webpki-roots\"\n"))
        .peekable();
    assert!(
        lists.peek().is_some(),
        "sqlx does not ask for a list any more"
    );
    assert!(
        lists.all(|one| !one.contains("\nsource = ")),
        "one is Mozilla's"
    );
}

#[test]
fn error_codes_have_pages_and_pages_have_codes() {
    let mut codes = BTreeSet::new();
    for file in sources()
        .into_iter()
        .filter(|file| !file.ends_with("tidy.rs"))
    {
        let text = std::fs::read_to_string(file).expect("readable");
        let found = text
            .match_indices("\"E0")
            .filter_map(|(at, _)| Some((text.get(at + 1..at + 6)?, at)));
        let whole = found.filter(|(code, at)| {
            code[1..].chars().all(|digit| digit.is_ascii_digit()) && text[at + 6..].starts_with('"')
        });
        codes.extend(whole.map(|(code, _)| code.to_owned()));
    }
    let pages: BTreeSet<String> = std::fs::read_dir(root().join("docs/errors"))
        .expect("docs/errors")
        .filter_map(|entry| {
            entry
                .ok()?
                .file_name()
                .into_string()
                .ok()?
                .strip_suffix(".md")
                .map(str::to_owned)
        })
        .filter(|name| name.starts_with('E'))
        .collect();
    assert_eq!(codes, pages);
}

#[test]
fn invariants_have_tests() {
    let listed = rows_with_tests("ARCHITECTURE.md", "| I");
    assert!(listed >= 12, "only {listed} invariants are listed");
}

#[test]
fn scenarios_have_tests() {
    let listed = rows_with_tests("docs/drivers/kubernetes-scenarios.md", "| ");
    assert!(listed >= 20, "only {listed} scenarios are listed");
}

/// How many rows of a page's tables name tests; each of those is there.
fn rows_with_tests(page: &str, begins: &str) -> usize {
    let text = std::fs::read_to_string(root().join(page)).expect(page);
    let tests: String = sources()
        .iter()
        .map(|file| std::fs::read_to_string(file).expect("readable"))
        .collect();
    let mut rows = text.lines().filter(|line| line.starts_with(begins));
    // The names of the columns.
    let rows = rows.by_ref().filter(|line| !line.starts_with("| scenario"));
    let mut listed = 0;
    for line in rows {
        let names: Vec<&str> = line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| name.contains('_'))
            .collect();
        assert!(!names.is_empty(), "no test is named: {line}");
        for name in names {
            assert!(
                tests.contains(&format!("fn {name}(")),
                "{page} names a test that is not there: {name}"
            );
        }
        listed += 1;
    }
    listed
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join("crates"), root().join("examples")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}
