//! The table of rights: as the documentation has it, and no larger than it has to be. All tests on the real control plane run with just
//! what the table grants them, so that a right that is missing is seen there; that each is needed is seen here, by what the API
//! servers wrote down of what they were asked (`BELAY_AUDIT`; `scripts/test` runs this after them).

use belay_driver_kubernetes::permissions::{documented, rows};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

#[test]
fn the_documentation_has_the_table() {
    for (page, helm) in [("kubernetes.md", false), ("helm.md", true)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../docs/drivers")
            .join(page);
        let text = std::fs::read_to_string(&path).expect("a page");
        let table = documented(helm);
        if std::env::var_os("UPDATE").is_some() {
            let head = table.lines().next().expect("a head");
            let begin = text.find(head).expect("a table");
            let end = begin + text[begin..].find("\n\n").expect("its end") + 1;
            std::fs::write(&path, [&text[..begin], &table, &text[end..]].concat())
                .expect("written");
            continue;
        }
        assert!(
            text.contains(&table),
            "{page} lacks what UPDATE=1 writes:\n{table}"
        );
    }
}

#[test]
fn each_row_is_told_from_the_others() {
    let whys: BTreeSet<&str> = rows().map(|(why, _)| why).collect();
    assert_eq!(whys.len(), rows().count());
}

/// A group, a resource and a verb.
type Request = (String, String, String);

/// What each account of a control plane was granted, and what for.
type Granted = BTreeMap<String, BTreeMap<Request, BTreeSet<String>>>;

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let files = entries.flatten().map(|it| it.path());
    let is_it = |it: &PathBuf| it.extension().is_some_and(|it| it == ending);
    files.filter(is_it).collect()
}

/// The files of an audit log that belong to what was granted on a control plane: a long log is more than one.
fn audits(folder: &Path, granted: &Path) -> impl Iterator<Item = PathBuf> {
    let plane = granted.file_stem().unwrap_or_default().to_os_string();
    let is_of_it = move |it: &PathBuf| {
        let name = it.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&*plane.to_string_lossy())
    };
    files(folder, "audit").into_iter().filter(is_of_it)
}

fn lines(file: &Path) -> impl Iterator<Item = Value> {
    let lines = BufReader::new(File::open(file).expect("a file")).lines();
    // The last line of a server that was killed may be half of one.
    lines
        .map_while(Result::ok)
        .filter_map(|it| serde_json::from_str(&it).ok())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn granted(file: &Path) -> Granted {
    let mut granted = Granted::new();
    for line in lines(file) {
        let own = granted.entry(text(&line["user"])).or_default();
        for verb in line["verbs"].as_array().into_iter().flatten() {
            let request = (text(&line["group"]), text(&line["resource"]), text(verb));
            own.entry(request).or_default().insert(text(&line["why"]));
        }
    }
    granted
}

/// What an account was granted and has done: who, what, and whether helm's own records were meant.
fn done(event: &Value) -> Option<(String, Request, bool)> {
    let user = event["impersonatedUser"]["username"].as_str()?.to_owned();
    let object = &event["objectRef"];
    let resource = match object["subresource"].as_str() {
        Some(part) => format!("{}/{part}", text(&object["resource"])),
        None => text(&object["resource"]),
    };
    let request = (text(&object["apiGroup"]), resource, text(&event["verb"]));
    let is_allowed = event["annotations"]["authorization.k8s.io/decision"] == "allow";
    let uri = text(&event["requestURI"]);
    let is_record = text(&object["name"]).starts_with("sh.helm.release")
        || uri.contains("sh.helm.release")
        || uri.contains("owner%3Dhelm");
    is_allowed.then_some((user, request, is_record))
}

/// What is needed and not written down.
const UNSEEN: [(&str, &str); 3] = [
    // The server asks it of itself: `a_port_is_not_forwarded_without_both_of_its_rights`.
    ("pods are asked", "create"),
    // Servers that cannot stream lists (before 1.34) are asked for one by helm, to watch from.
    ("helm runs them and waits for them", "list"),
    (
        "helm makes them before all else, and never removes them",
        "list",
    ),
];

#[test]
fn each_right_was_needed_by_a_test() {
    let Some(folder) = std::env::var_os("BELAY_AUDIT").map(PathBuf::from) else {
        println!("what the tests asked was not written down: `scripts/test` has it done");
        return;
    };
    let planes = files(&folder, "granted");
    let by = planes.iter().flat_map(|it| lines(it));
    let by: BTreeSet<String> = by.map(|it| it["by"].to_string()).collect();
    assert!(
        by.len() > 1,
        "those of the driver, and of the binary: {by:?}"
    );
    let mut needed: BTreeSet<(String, String)> = BTreeSet::new();
    for plane in planes {
        let granted = granted(&plane);
        for event in audits(&folder, &plane).flat_map(|it| lines(&it).collect::<Vec<_>>()) {
            let Some((user, request, is_record)) = done(&event) else {
                continue;
            };
            let Some(whys) = granted.get(&user).and_then(|it| it.get(&request)) else {
                continue;
            };
            let is_of_it = |it: &&String| it.starts_with("helm keeps") == is_record;
            let mut whys = whys.iter().filter(is_of_it);
            // What two rows grant is no proof for either.
            if let (Some(why), None) = (whys.next(), whys.next()) {
                needed.insert((why.clone(), request.2));
            }
        }
    }
    let all = rows().flat_map(|(why, verbs)| verbs.iter().map(move |verb| (why, *verb)));
    let is_idle = |it: &(&str, &str)| {
        let (why, verb) = (it.0.to_owned(), it.1.to_owned());
        !UNSEEN.contains(it) && !needed.contains(&(why, verb))
    };
    let idle: Vec<_> = all.filter(is_idle).collect();
    assert!(idle.is_empty(), "no test needs: {idle:#?}");
}
