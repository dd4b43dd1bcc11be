//! Objects as people write them.

use super::read::{Manifest, parse};
use serde_json::Value;

/// As people write it, in one document. Where YAML would not be read as the same it is JSON, which is YAML as well.
pub fn to_yaml(object: &Value) -> String {
    let written = serde_saphyr::to_string(object).unwrap_or_default();
    let manifest = Manifest {
        file: String::new(),
        text: written,
    };
    match parse(&manifest) {
        Ok(read) if read.as_slice() == std::slice::from_ref(object) => manifest.text,
        _ => format!("{object:#}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    }
}
