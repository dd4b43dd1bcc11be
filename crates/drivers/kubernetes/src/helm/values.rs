//! Values of a chart, by their paths as `helm --set` has them: `image.tag`, `annotations.example\.com/team`.

use serde_json::{Map, Value};

/// A path leads through something that has no names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("put a value at `{path}`: `{at}` is no mapping")]
pub struct WrongPath {
    path: String,
    at: String,
}

/// Puts a value at a path; mappings on the way are made.
///
/// # Errors
/// Something else is in the way.
pub fn put(values: &mut Value, path: &str, value: Value) -> Result<(), WrongPath> {
    let mut names = names(path);
    let last = names.pop().unwrap_or_default();
    let mut at = values;
    let mut walked = String::new();
    for name in &names {
        at = step(at, path, &walked)?.entry(name).or_insert(Value::Null);
        walked = format!("{walked}{}{name}", if walked.is_empty() { "" } else { "." });
    }
    step(at, path, &walked)?.insert(last, value);
    Ok(())
}

fn step<'a>(
    at: &'a mut Value,
    path: &str,
    walked: &str,
) -> Result<&'a mut Map<String, Value>, WrongPath> {
    if at.is_null() {
        *at = Value::Object(Map::new());
    }
    let wrong = || WrongPath {
        path: path.to_owned(),
        at: walked.to_owned(),
    };
    at.as_object_mut().ok_or_else(wrong)
}

fn names(path: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        let last = names.last_mut().expect("there is one");
        match letter {
            '\\' => last.extend(letters.next()),
            '.' => names.push(String::new()),
            letter => last.push(letter),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_put_at_their_paths() {
        let mut values = json!({ "image": { "tag": "1", "pull": "always" }, "list": [1] });
        put(&mut values, "image.tag", json!("2")).unwrap();
        put(&mut values, r"meta.example\.com/team", json!("a")).unwrap();
        let expect = json!({
            "image": { "tag": "2", "pull": "always" }, "list": [1], "meta": { "example.com/team": "a" },
        });
        assert_eq!(values, expect);
        let wrong = put(&mut values, "image.tag.deep", json!(1)).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "put a value at `image.tag.deep`: `image.tag` is no mapping"
        );
        assert!(put(&mut values, "list.a", json!(1)).is_err());
    }
}
