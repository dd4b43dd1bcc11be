//! Who says that an object is theirs, by what is written on it. Whether that is so has to be looked at. Pure.

use serde_json::{Map, Value, json};

/// The fact that holds them.
pub(crate) const CLAIMS: &str = "claims";

const TRACKING: &str = "argocd.argoproj.io/tracking-id";
const INSTANCE: &str = "app.kubernetes.io/instance";

/// What a claim of Flux begins with: labels `NAME/name` and `NAME/namespace`.
const FLUX: [(&str, &str); 2] = [
    ("kustomization", "kustomize.toolkit.fluxcd.io"),
    ("helm_release", "helm.toolkit.fluxcd.io"),
];

/// The claims on an object: `application` (its name), `labelled` (the same, and anybody else writes that label, too), `kustomization`
/// and `helm_release` (`NAMESPACE/NAME`), `controller` (its owner reference). Null: there is none.
pub(crate) fn claims(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let (labels, annotations) = (&metadata["labels"], &metadata["annotations"]);
    let mut claims = Map::new();
    if let Some(id) = annotations[TRACKING].as_str() {
        // One that names another object was copied with the rest, and Argo CD takes no notice of it.
        if let Some(application) = application(id, object) {
            claims.insert("application".to_owned(), json!(application));
        }
    } else if let Some(name) = labels[INSTANCE].as_str() {
        claims.insert("labelled".to_owned(), json!(name));
    }
    for (claim, group) in FLUX {
        let [name, namespace] = ["name", "namespace"].map(|it| &labels[format!("{group}/{it}")]);
        if let (Some(name), Some(namespace)) = (name.as_str(), namespace.as_str())
            && !is_left_alone(object, group)
        {
            claims.insert(claim.to_owned(), json!(format!("{namespace}/{name}")));
        }
    }
    let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
    if let Some(controller) = owners.into_iter().find(|it| it["controller"] == true) {
        claims.insert("controller".to_owned(), controller.clone());
    }
    match claims.is_empty() {
        true => Value::Null,
        false => Value::Object(claims),
    }
}

/// The application of a tracking id, `APPLICATION:GROUP/KIND:NAMESPACE/NAME`, that is this object's own.
fn application<'a>(id: &'a str, object: &Value) -> Option<&'a str> {
    let mut parts = id.splitn(3, ':');
    let (application, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
    let own_kind = object["kind"].as_str()?;
    let own_name = object["metadata"]["name"].as_str()?;
    let is_own = kind.rsplit('/').next() == Some(own_kind)
        && name.rsplit('/').next() == Some(own_name)
        && object["metadata"]["namespace"]
            .as_str()
            .is_none_or(|own| name.split('/').next() == Some(own));
    is_own.then_some(application)
}

/// Whether Flux was told, on the object itself, to leave it as it is.
fn is_left_alone(object: &Value, group: &str) -> bool {
    let said = |place: &str, name: &str, values: &[&str]| {
        let said = object["metadata"][place][format!("{group}/{name}")].as_str();
        said.is_some_and(|said| values.contains(&said))
    };
    ["labels", "annotations"].iter().any(|place| {
        said(place, "reconcile", &["disabled"])
            || said(place, "ssa", &["Ignore", "IfNotPresent"])
            || said(place, "driftDetection", &["disabled"])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(metadata: Value, expect: Value) {
        let mut object = json!({ "kind": "Deployment", "metadata": metadata });
        object["metadata"]["name"] = json!("api");
        object["metadata"]["namespace"] = json!("shop");
        assert_eq!(claims(&object), expect, "{object}");
    }

    #[test]
    fn what_is_written_on_an_object_says_whose_it_is() {
        check(json!({}), Value::Null);
        let tracked = |id: &str| json!({ "annotations": { TRACKING: id } });
        let own = "shop:apps/Deployment:shop/api";
        check(tracked(own), json!({ "application": "shop" }));
        // Copied with the rest of another object.
        for other in [
            "shop:apps/Deployment:shop/web",
            "shop:apps/Deployment:other/api",
            "shop:apps/StatefulSet:shop/api",
            "shop",
        ] {
            check(tracked(other), Value::Null);
        }
        check(
            json!({ "labels": { INSTANCE: "shop" } }),
            json!({ "labelled": "shop" }),
        );
        let flux = |more: Value| {
            let mut labels = json!({ "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system" });
            labels
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            json!({ "labels": labels })
        };
        check(
            flux(json!({})),
            json!({ "kustomization": "flux-system/apps" }),
        );
        check(
            flux(json!({ "kustomize.toolkit.fluxcd.io/reconcile": "disabled" })),
            Value::Null,
        );
        check(
            flux(json!({ "kustomize.toolkit.fluxcd.io/ssa": "Ignore" })),
            Value::Null,
        );
        let reference = json!({ "kind": "Canary", "name": "api", "controller": true });
        check(
            json!({ "ownerReferences": [{ "kind": "Other" }, reference] }),
            json!({ "controller": reference }),
        );
    }
}
