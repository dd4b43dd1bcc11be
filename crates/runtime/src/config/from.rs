//! The rules of `from:`.

use belay_model::config::{Duration, Environment, FromStanding};

use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;
use super::nearest::did_you_mean;

impl Loaded {
    pub(super) fn from(&self, name: &str, environment: &Environment, found: &mut Vec<Diagnostic>) {
        let path = format!("environments.{name}.from");
        let standing = format!("environments.{name}.from_standing");
        let Some(from) = &environment.from else {
            if environment.from_standing.is_some() {
                let message = "without `from` there is no place to be good in";
                let complaint = self.on_key(Code::Contradiction, &standing, message);
                found.push(complaint.suggest("add `from:`".to_owned()));
            }
            return;
        };
        let all = &self.config.environments;
        let Some(source) = all.get(from) else {
            let message = format!("unknown environment `{from}`");
            let complaint = self.on_value(Code::UnknownEnvironment, &path, message);
            let others = || {
                all.keys()
                    .map(String::as_str)
                    .filter(|other| *other != name)
            };
            let known: Vec<_> = others().map(|other| format!("`{other}`")).collect();
            found.push(match did_you_mean(from, others()) {
                Some(phrase) => complaint.suggest(phrase),
                None if known.is_empty() => complaint.note("there is no other environment"),
                None => complaint.note(format!("other environments: {}", known.join(", "))),
            });
            return;
        };
        if let Some(way) = self.circle(name) {
            let message = match way.as_slice() {
                [_] => format!("releases of `{name}` cannot come from `{name}`"),
                way => format!("releases would go round: {}", way.join(" from ")),
            };
            found.push(self.on_value(Code::Contradiction, &path, message));
        }
        let is_baked = environment.from_standing == Some(FromStanding::Baked);
        if is_baked && source.keep.bake == Duration::default() {
            let message = format!(
                "releases do not bake in `{from}`: its `keep.bake` is {}",
                source.keep.bake
            );
            found.push(self.on_value(Code::Contradiction, &standing, message));
        }
    }

    /// From an environment along `from` back to itself. Another one's circle is another one's complaint.
    fn circle(&self, name: &str) -> Option<Vec<String>> {
        let mut way = vec![name.to_owned()];
        let mut at = name;
        loop {
            at = self.config.environments.get(at)?.from.as_deref()?;
            if at == name {
                if way.len() > 1 {
                    way.push(name.to_owned());
                }
                return Some(way);
            }
            if way.iter().any(|passed| passed == at) {
                return None;
            }
            way.push(at.to_owned());
        }
    }
}
