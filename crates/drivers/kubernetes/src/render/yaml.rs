//! Objects as people write them.

use serde_json::Value;

/// As people write it, in one document. Where YAML would not be read as the same it is JSON, which is YAML as well.
pub fn to_yaml(object: &Value) -> String {
    let written = serde_saphyr::to_string(object).unwrap_or_default();
    // Modes of files (0644) are read in two ways, as manifests and as values.
    let is_same = [true, false].into_iter().all(|legacy| {
        let options = serde_saphyr::options! { legacy_octal_numbers: legacy };
        let read = serde_saphyr::from_str_with_options::<Value>(&written, options);
        read.is_ok_and(|read| read == *object)
    });
    match is_same {
        true => written,
        false => format!("{object:#}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::read::{Manifest, parse};
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let odd = [
            "on",
            "0644",
            "1e3",
            "~",
            "",
            " x ",
            "a: b",
            "- c",
            "#d",
            "two\nlines\n",
            "'quoted'",
            "\"",
            "\\",
            "y",
            "2026-01-01",
            "{}",
        ];
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "odd" },
            "data": odd.iter().enumerate().map(|(at, it)| (format!("k{at}"), (*it).into())).collect::<serde_json::Map<_, _>>(),
            "list": [{ "mode": 420, "empty": {}, "none": [] }, true],
        });
        let text = to_yaml(&object);
        assert!(text.starts_with("apiVersion: v1\n"), "{text}");
        let manifest = Manifest {
            file: "odd.yaml".to_owned(),
            text,
        };
        assert_eq!(parse(&manifest).expect("objects"), [object]);
        // What is no object of the API, too.
        assert_eq!(to_yaml(&json!({ "tag": 1 })), "tag: 1\n");
    }
}
