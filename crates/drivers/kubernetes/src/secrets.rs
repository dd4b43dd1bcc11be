//! What stands behind the digests of secret values.

use crate::digests::Digests;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use belay_driver::Context;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Values by their digests: of the records that a step names, and of what is there.
pub(crate) struct Known<'a> {
    digests: &'a Digests,
    values: BTreeMap<String, Vec<u8>>,
}

impl<'a> Known<'a> {
    /// What came with a step.
    pub(crate) fn of(cx: &Context, digests: &'a Digests) -> Self {
        let values = BTreeMap::new();
        let mut known = Self { digests, values };
        for material in cx.material.values() {
            for value in material.secrets.values() {
                known.learn(value.as_bytes().to_vec());
            }
            for target in &material.record.targets {
                let objects = target.settings["objects"].as_array();
                objects
                    .into_iter()
                    .flatten()
                    .for_each(|it| known.learn_from(it));
            }
        }
        known
    }

    /// The values of a Secret, as it is written or as it is there.
    pub(crate) fn learn_from(&mut self, object: &Value) {
        if object["kind"] != "Secret" {
            return;
        }
        for value in object["data"]
            .as_object()
            .into_iter()
            .flat_map(|it| it.values())
        {
            if let Ok(value) = STANDARD.decode(value.as_str().unwrap_or_default()) {
                self.learn(value);
            }
        }
        let plain = object["stringData"].as_object().into_iter();
        for value in plain.flat_map(|it| it.values()).filter_map(Value::as_str) {
            self.learn(value.as_bytes().to_vec());
        }
    }

    fn learn(&mut self, value: Vec<u8>) {
        self.values.insert(self.digests.of(&value), value);
    }

    /// Puts the values in the places of their digests; answers the names of those that nobody knows.
    pub(crate) fn reveal(&self, object: &mut Value) -> Vec<String> {
        if object["kind"] != "Secret" {
            return Vec::new();
        }
        let mut missing = Vec::new();
        for (name, value) in object["data"].as_object_mut().into_iter().flatten() {
            let digest = value.as_str().unwrap_or_default();
            match self.values.get(digest) {
                Some(known) => *value = json!(STANDARD.encode(known)),
                None => missing.push(name.clone()),
            }
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_told_and_what_is_not_is_named() {
        let digests = Digests::new(&[1; 32]);
        let values = BTreeMap::new();
        let mut known = Known {
            digests: &digests,
            values,
        };
        known.learn_from(&json!({ "kind": "Secret", "stringData": { "a": "one" } }));
        known.learn_from(&json!({ "kind": "Secret", "data": { "a": STANDARD.encode("two") } }));
        known
            .learn_from(&json!({ "kind": "ConfigMap", "data": { "a": STANDARD.encode("three") } }));
        let of = |value: &str| digests.of(value.as_bytes());
        let data = json!({ "x": of("one"), "y": of("two"), "z": of("three") });
        let mut secret = json!({ "kind": "Secret", "data": data });
        assert_eq!(known.reveal(&mut secret), ["z"]);
        assert_eq!(secret["data"]["x"], STANDARD.encode("one"));
        assert_eq!(secret["data"]["y"], STANDARD.encode("two"));
    }
}
