//! A text in which names of secrets stand for their values: `Bearer ${TOKEN}`. Only the names are kept; the values are filled
//! in where the text is used.

/// Such a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretText<'a>(Vec<Part<'a>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    /// As it stands there.
    Text(&'a str),
    /// The secret of that name.
    Secret(&'a str),
}

/// Why a text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`${{` begins the name of a secret and has no `}}`; where it stands for itself it is `$${{`"
)]
pub struct Unclosed;

impl<'a> SecretText<'a> {
    /// `${NAME}` is a secret, `$${` is `${`, all else is what it is.
    ///
    /// # Errors
    /// A name has no end.
    pub fn parse(text: &'a str) -> Result<Self, Unclosed> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            if let Some(before) = before.strip_suffix('$') {
                parts.extend([Part::Text(before), Part::Text("${")]);
                rest = &from[2..];
            } else {
                let (name, behind) = from[2..].split_once('}').ok_or(Unclosed)?;
                parts.extend([Part::Text(before), Part::Secret(name)]);
                rest = behind;
            }
        }
        parts.push(Part::Text(rest));
        Ok(Self(parts))
    }

    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Secret(name) => Some(*name),
        })
    }

    /// The text with values.
    ///
    /// # Errors
    /// The first name that has none.
    pub fn filled<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Result<String, &'a str> {
        let text = |part: &Part<'a>| match part {
            Part::Text(text) => Ok((*text).to_owned()),
            Part::Secret(name) => value(name).map(str::to_owned).ok_or(*name),
        };
        self.0.iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{SecretText, Unclosed};

    fn check(text: &str, expect: Result<&str, &str>) {
        let parsed = SecretText::parse(text).expect("a text");
        let value = |name: &str| (name == "TOKEN").then_some("${SECRET}");
        let filled = parsed.filled(value);
        assert_eq!(filled.as_deref(), expect.as_deref(), "{text}");
    }

    #[test]
    fn names_stand_for_values() {
        check("plain $5 {x}", Ok("plain $5 {x}"));
        check("Bearer ${TOKEN}", Ok("Bearer ${SECRET}"));
        check("${TOKEN}:${TOKEN}", Ok("${SECRET}:${SECRET}"));
        check("$${TOKEN} ${TOKEN}", Ok("${TOKEN} ${SECRET}"));
        check("${OTHER} ${TOKEN}", Err("OTHER"));
        check("${}", Err(""));
        assert_eq!(SecretText::parse("a ${TOKEN"), Err(Unclosed));
    }
}
