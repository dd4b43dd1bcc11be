//! Relative links of every page lead to a file, and to a heading where they name one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[test]
fn every_relative_link_leads_somewhere() {
    let root = crate::root();
    let pages = pages(&root);
    assert!(
        pages.contains_key(&root.join("README.md")),
        "{}",
        root.display()
    );
    let broken: Vec<_> = pages
        .iter()
        .flat_map(|(page, text)| broken(page, text))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn pages(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(pages(&path));
        } else if name.ends_with(".md") {
            let text = std::fs::read_to_string(&path).expect("text");
            found.insert(path, text);
        }
    }
    found
}

fn broken(page: &Path, text: &str) -> Vec<String> {
    let links = links(text).into_iter().filter(|link| !link.contains("://"));
    let wrong = links.filter(|link| {
        let (file, heading) = link.split_once('#').unwrap_or((link, ""));
        let file = match file {
            "" => page.to_owned(),
            file => page.parent().expect("a directory").join(file),
        };
        let there = || match file == *page {
            true => headings(text),
            false => headings(&std::fs::read_to_string(&file).unwrap_or_default()),
        };
        !file.exists() || (!heading.is_empty() && !there().iter().any(|one| one == heading))
    });
    wrong
        .map(|link| format!("{}: {link}", page.display()))
        .collect()
}

/// Text outside fenced blocks, line by line.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

fn links(text: &str) -> Vec<&str> {
    prose(text)
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link)
        .collect()
}

/// As the usual renderers name them.
fn headings(text: &str) -> Vec<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let slug = |line: &str| -> String {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let kept = text
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn a_broken_link_is_found_out() {
    let page = crate::root().join("README.md");
    let text = "# One, two\n[a](docs/cli.md) [b](docs/none.md) [c](#one-two) [d](#three)\n```\n[e](none)\n```\n";
    let found = broken(&page, text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].ends_with("docs/none.md") && found[1].ends_with("#three"),
        "{found:?}"
    );
}
