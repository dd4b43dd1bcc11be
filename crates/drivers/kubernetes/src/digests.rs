//! What stands for a secret value where it may not stand itself: equal values can be told, and none can be guessed without
//! the key.

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

/// What stands for a value in the `data` of a Secret in [`crate::Settings::objects`]; `key` is the driver's.
pub fn digest(key: &[u8; 32], value: &[u8]) -> String {
    Digests::new(key).of(value)
}

/// Objects as [`crate::Settings::objects`] has them: digests stand for the values of Secrets.
pub fn hidden(objects: Vec<Value>, key: &[u8; 32]) -> Vec<Value> {
    let digests = Digests::new(key);
    let objects = objects.into_iter();
    objects
        .map(|it| crate::object::hidden(it, &digests))
        .collect()
}

pub(crate) struct Digests(Hmac<Sha256>);

impl Digests {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let mac = <Hmac<Sha256> as Mac>::new_from_slice(key);
        Self(mac.expect("a key of any length will do"))
    }

    pub(crate) fn of(&self, bytes: &[u8]) -> String {
        let mac = self.0.clone().chain_update(bytes).finalize();
        format!("hmac:{}", hex::encode(&mac.into_bytes()[..16]))
    }

    /// Whether a text stands for a value.
    pub(crate) fn is_one(text: &str) -> bool {
        text.starts_with("hmac:")
    }

    /// Every scalar by its digest, whatever its place says.
    pub(crate) fn hide(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(|one| self.hide(one)),
            Value::Array(items) => items.iter_mut().for_each(|one| self.hide(one)),
            scalar => *scalar = Value::String(self.of(scalar.to_string().as_bytes())),
        }
    }
}
