//! What an unquoted word is: number, boolean, null or text.

use super::tree::Scalar;

/// A scalar by the core schema (YAML 1.2.2, 10.3.2): `on`, `yes` and `no` are texts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resolved<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

impl Scalar {
    pub(super) fn resolve(&self) -> Resolved<'_> {
        if self.plain {
            resolve(&self.text)
        } else {
            Resolved::Text(&self.text)
        }
    }
}

pub(super) fn resolve(text: &str) -> Resolved<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        _ => {}
    }
    let radix = |prefix, radix| {
        text.strip_prefix(prefix)
            .and_then(|digits| unsigned(digits, radix))
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Resolved::Unsigned(number);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let numeric = digits.starts_with(|it: char| it.is_ascii_digit() || it == '.')
        && digits.bytes().any(|it| it.is_ascii_digit())
        && digits
            .bytes()
            .all(|it| it.is_ascii_digit() || matches!(it, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !numeric {
        return Resolved::Text(text);
    }
    if let Ok(number) = text.parse() {
        return Resolved::Unsigned(number);
    }
    if let Ok(number) = text.parse() {
        return Resolved::Signed(number);
    }
    match text.parse() {
        Ok(number) => Resolved::Float(number),
        Err(_) => Resolved::Text(text),
    }
}

fn unsigned(digits: &str, radix: u32) -> Option<u64> {
    // `from_str_radix` would take a sign, too.
    if digits.bytes().all(|it| it.is_ascii_alphanumeric()) {
        u64::from_str_radix(digits, radix).ok()
    } else {
        None
    }
}
