//! Every code that the command line gives has a page, and the page says the three things it has to.

use std::path::Path;

const CODES: [&str; 46] = [
    "E0300", "E0301", "E0302", "E0303", "E0304", "E0305", "E0306", "E0310", "E0311", "E0312",
    "E0313", "E0314", "E0315", "E0316", "E0320", "E0321", "E0322", "E0323", "E0324", "E0325",
    "E0326", "E0327", "E0328", "E0329", "E0330", "E0331", "E0336", "E0337", "E0338", "E0340",
    "E0341", "E0342", "E0343", "E0344", "E0345", "E0346", "E0347", "E0348", "E0349", "E0353",
    "E0354", "E0355", "E0356", "E0357", "E0358", "E0359",
];

fn docs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn every_code_has_a_page() {
    for code in CODES {
        let path = docs().join("errors").join(format!("{code}.md"));
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(page.starts_with(&format!("# {code}: ")), "{code}");
        for part in [
            "**What happened.**",
            "**What state the world is in.**",
            "**What to do.**",
        ] {
            assert!(page.contains(part), "{code} lacks {part}");
        }
    }
}

#[test]
fn every_code_in_the_source_is_listed_here() {
    let mut waiting = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let files = std::fs::read_dir(&path).expect("a directory");
            waiting.extend(files.map(|file| file.expect("a file").path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        for (at, _) in text.match_indices("E03") {
            let code = &text[at..at + 5];
            assert!(CODES.contains(&code), "{}: {code}", path.display());
        }
    }
}
