//! Whether whoever asks has the rights that something takes. The rules that hold for them are read in one request for each namespace;
//! what these leave open is asked for one by one, side by side. Who may not even ask is not held up.

use super::rights::{Right, Rights};
use crate::cluster::Cluster;
use crate::error::failed;
use crate::kubernetes::{Kubernetes, in_time};
use crate::settings::Settings;
use belay_driver::{Context, Error};
use belay_model::error::Class;
use futures_util::future::join_all;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
    SelfSubjectRulesReview, SelfSubjectRulesReviewSpec,
};
use kube::api::{Api, PostParams};
use std::collections::{BTreeMap, BTreeSet};

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// As whom the cluster knows us; absent where nothing is missing, or it did not say.
    pub who: Option<String>,
    /// What we may not do.
    pub missing: Vec<Missing>,
    /// Why some of it is not known; absent: all is.
    pub unknown: Option<String>,
    /// How many requests it took.
    pub requests: usize,
}

/// One thing that may not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// With the verbs that are missing alone.
    pub right: Right,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Right {
            namespace,
            group,
            resource,
            verbs,
            why,
            without,
        } = &self.right;
        let verbs = verbs.join(", ");
        let group = if group.is_empty() {
            String::new()
        } else {
            format!(".{group}")
        };
        let (name, part) = resource
            .split_once('/')
            .map_or((resource.as_str(), String::new()), |(name, part)| {
                (name, format!("/{part}"))
            });
        let place = match namespace {
            Some(namespace) => format!("in namespace {namespace}"),
            None => "in the whole cluster".to_owned(),
        };
        write!(f, "{verbs} {name}{group}{part} {place}: {why}")?;
        match without {
            Some(without) => write!(f, "; else {without}"),
            None => Ok(()),
        }
    }
}

impl Checked {
    /// Those without which nothing works.
    pub fn needed(&self) -> impl Iterator<Item = &Missing> {
        self.missing.iter().filter(|it| it.right.without.is_none())
    }

    /// Those without which something is less than it could be.
    pub fn useful(&self) -> impl Iterator<Item = &Missing> {
        self.missing.iter().filter(|it| it.right.without.is_some())
    }
}

impl Kubernetes {
    /// Whether we have these rights in the cluster of these settings. Changes nothing.
    ///
    /// # Errors
    /// By class: who we are, whether the server answers, and in time. That we may not ask is no error.
    pub async fn check(
        &self,
        cx: &Context,
        settings: &Settings,
        rights: &Rights,
    ) -> Result<Checked, Error> {
        in_time(cx, async {
            let cluster = self.clusters.connect(settings).await?;
            cluster.check(rights).await
        })
        .await
    }
}

/// One verb of a right.
type Asked<'a> = (&'a Right, &'static str);

impl Cluster {
    async fn check(&self, rights: &Rights) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        let places = rights.all.iter().filter_map(|it| it.namespace.as_deref());
        let places: BTreeSet<&str> = places.collect();
        let rules = join_all(places.iter().map(|it| self.rules(it))).await;
        checked.requests += rules.len();
        let rules: Result<Vec<_>, Error> = rules.into_iter().collect();
        let rules: BTreeMap<&str, Vec<ResourceRule>> = places.into_iter().zip(rules?).collect();
        let all = rights.all.iter();
        let all = all.flat_map(|it| it.verbs.iter().map(move |verb| (it, *verb)));
        let is_open = |(right, verb): &Asked<'_>| {
            let rules = right.namespace.as_deref().and_then(|it| rules.get(it));
            !rules.is_some_and(|rules| rules.iter().any(|it| grants(it, right, verb)))
        };
        let open: Vec<Asked<'_>> = all.filter(is_open).collect();
        let answers = join_all(open.iter().map(|asked| self.may(asked))).await;
        checked.requests += answers.len();
        let mut missing: Vec<Right> = Vec::new();
        for ((right, verb), answer) in open.into_iter().zip(answers) {
            match answer {
                Ok(true) => {}
                Ok(false) => match missing.last_mut().filter(|it| is_same(it, right)) {
                    Some(last) => last.verbs.push(verb),
                    None => missing.push(Right {
                        verbs: vec![verb],
                        ..right.clone()
                    }),
                },
                Err(error) if error.class == Class::Authorisation => {
                    checked.unknown = Some(error.message);
                }
                Err(error) => return Err(error),
            }
        }
        checked.missing = missing.into_iter().map(|right| Missing { right }).collect();
        if !checked.missing.is_empty() {
            checked.requests += 1;
            checked.who = self.who().await;
        }
        Ok(checked)
    }

    /// The rules that hold for us in a namespace, as far as the server knows them; none where it does not say.
    async fn rules(&self, namespace: &str) -> Result<Vec<ResourceRule>, Error> {
        let review = SelfSubjectRulesReview {
            spec: SelfSubjectRulesReviewSpec {
                namespace: Some(namespace.to_owned()),
            },
            ..SelfSubjectRulesReview::default()
        };
        let api: Api<SelfSubjectRulesReview> = Api::all(self.client());
        let answer = api.create(&PostParams::default(), &review).await;
        match answer.map_err(|error| failed("ask what we may do", error)) {
            Ok(review) => Ok(review
                .status
                .map(|it| it.resource_rules)
                .unwrap_or_default()),
            // Then each is asked for by itself.
            Err(error) if error.class == Class::Authorisation => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn may(&self, (right, verb): &Asked<'_>) -> Result<bool, Error> {
        let (resource, part) = match right.resource.split_once('/') {
            Some((resource, part)) => (resource, Some(part.to_owned())),
            None => (right.resource.as_str(), None),
        };
        let attributes = ResourceAttributes {
            namespace: right.namespace.clone(),
            group: Some(right.group.clone()),
            resource: Some(resource.to_owned()),
            subresource: part,
            verb: Some((*verb).to_owned()),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client());
        let answer = api.create(&PostParams::default(), &review).await;
        let review = answer.map_err(|error| failed("ask what we may do", error))?;
        Ok(review.status.is_some_and(|it| it.allowed))
    }

    async fn who(&self) -> Option<String> {
        let api: Api<SelfSubjectReview> = Api::all(self.client());
        let review = SelfSubjectReview::default();
        let answer = api.create(&PostParams::default(), &review).await.ok()?;
        answer.status?.user_info?.username
    }
}

fn is_same(one: &Right, other: &Right) -> bool {
    let of = |it: &Right| {
        (
            it.namespace.clone(),
            it.group.clone(),
            it.resource.clone(),
            it.why,
        )
    };
    of(one) == of(other)
}

/// Whether a rule grants it for all objects of the kind.
fn grants(rule: &ResourceRule, right: &Right, verb: &str) -> bool {
    let has = |all: &[String], one: &str| all.iter().any(|it| it == "*" || it == one);
    let groups = rule.api_groups.as_deref().unwrap_or_default();
    let resources = rule.resources.as_deref().unwrap_or_default();
    let names = rule.resource_names.as_deref().unwrap_or_default();
    let by_part = right
        .resource
        .split_once('/')
        .map(|(_, part)| format!("*/{part}"));
    let is_resource =
        has(resources, &right.resource) || by_part.is_some_and(|it| resources.contains(&it));
    names.is_empty() && has(&rule.verbs, verb) && has(groups, &right.group) && is_resource
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: (&str, &str, &str, &[&str]), wanted: (&str, &str, &str), expect: bool) {
        let (group, resource, verb, names) = rule;
        let rule = ResourceRule {
            api_groups: Some(vec![group.to_owned()]),
            resources: Some(vec![resource.to_owned()]),
            resource_names: Some(names.iter().map(|it| (*it).to_owned()).collect()),
            verbs: vec![verb.to_owned()],
        };
        let right = Right {
            namespace: Some("shop".to_owned()),
            group: wanted.0.to_owned(),
            resource: wanted.1.to_owned(),
            verbs: Vec::new(),
            why: "",
            without: None,
        };
        assert_eq!(
            grants(&rule, &right, wanted.2),
            expect,
            "{rule:?} {wanted:?}"
        );
    }

    #[test]
    fn rules_are_read_as_the_server_does() {
        let scale = ("apps", "deployments/scale", "patch");
        check(("apps", "deployments/scale", "patch", &[]), scale, true);
        check(("*", "*", "*", &[]), scale, true);
        check(("apps", "*/scale", "patch", &[]), scale, true);
        check(("apps", "deployments", "patch", &[]), scale, false);
        check(("", "deployments/scale", "patch", &[]), scale, false);
        check(("apps", "deployments/scale", "get", &[]), scale, false);
        check(
            ("apps", "deployments/scale", "patch", &["api"]),
            scale,
            false,
        );
    }
}
