//! Places in a JSON body: `status`, `checks.db`, `nodes[0].state`. No wildcards, no filters: a check compares one value.

use serde_json::Value;

/// A place in a JSON document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Name(String),
    Item(usize),
}

impl JsonPath {
    /// Reads a place; absent: it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        for (index, word) in text.split('.').enumerate() {
            let (name, mut items) = word.split_at(word.find('[').unwrap_or(word.len()));
            // Only a document that is a list itself may start without a name.
            if name.is_empty() && (index > 0 || items.is_empty()) {
                return None;
            }
            if !name.is_empty() {
                parts.push(Part::Name(name.to_owned()));
            }
            while !items.is_empty() {
                let (number, rest) = items.strip_prefix('[')?.split_once(']')?;
                if !number.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                parts.push(Part::Item(number.parse().ok()?));
                items = rest;
            }
        }
        Some(Self(parts))
    }

    /// What is there.
    pub(crate) fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(document, |value, part| match part {
            Part::Name(name) => value.as_object()?.get(name),
            Part::Item(index) => value.as_array()?.get(*index),
        })
    }
}

/// Whether two values are the same to people: 1 is 1.0.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::{JsonPath, same};
    use serde_json::json;

    fn check(path: &str, expect: Option<serde_json::Value>) {
        let document = json!({ "status": "ok", "checks": { "db": true }, "nodes": [ { "state": "up" }, [1, 2] ] });
        let found = JsonPath::parse(path).and_then(|path| path.find(&document).cloned());
        assert_eq!(found, expect, "{path}");
    }

    #[test]
    fn places_are_found() {
        check("status", Some(json!("ok")));
        check("checks.db", Some(json!(true)));
        check("nodes[0].state", Some(json!("up")));
        check("nodes[1][1]", Some(json!(2)));
        check("nodes[2]", None);
        check("nodes.0", None);
        check("status.length", None);
        let list = json!([{ "a": 1 }]);
        assert_eq!(
            JsonPath::parse("[0].a").unwrap().find(&list),
            Some(&json!(1))
        );
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "", ".", "a.", "a..b", "a[", "a[]", "a[x]", "a[0]b", "a[-1]", "a.[0]", "a[+1]",
        ] {
            assert_eq!(JsonPath::parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_compared_by_value() {
        assert!(same(&json!({ "a": [1] }), &json!({ "a": [1.0] })));
        assert!(!same(&json!(1), &json!(2)));
        assert!(!same(&json!(1), &json!("1")));
        assert!(!same(
            &json!(9_007_199_254_740_993_u64),
            &json!(9_007_199_254_740_992_u64)
        ));
    }
}
