//! The reference of `belay.yaml` names every key and every word of the schema.

use serde_json::Value;
use std::collections::BTreeSet;

#[test]
fn the_reference_names_every_key() {
    let read = |name: &str| std::fs::read_to_string(crate::root().join(name)).expect(name);
    let schema: Value = serde_json::from_str(&read("belay.schema.json")).expect("JSON");
    let mut words = BTreeSet::new();
    collect(&schema, &mut words);
    assert!(
        words.contains("max_slower") && words.contains("blue_green"),
        "{words:?}"
    );
    let page = read("docs/belay-yaml.md");
    let lacking: Vec<_> = words
        .iter()
        .filter(|word| !page.contains(&format!("`{word}`")))
        .collect();
    assert!(lacking.is_empty(), "docs/belay-yaml.md lacks {lacking:?}");
}

/// Names of properties, and words that are values.
fn collect(schema: &Value, words: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                words.extend(properties.keys().cloned());
            }
            if let Some(Value::String(word)) = object.get("const") {
                words.insert(word.clone());
            }
            object.values().for_each(|value| collect(value, words));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, words)),
        _ => {}
    }
}
