//! What the API server fills in where nothing is said: the same with it and without. Whoever sends whole objects (helm 3,
//! `kubectl apply` without `--server-side`) owns these fields, so that ownership alone does not tell them.

use serde_json::{Map, Value, json};

/// Removes what only says what goes without saying.
pub(crate) fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => strip_fields(fields),
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn strip_fields(fields: &mut Map<String, Value>) {
    for (name, value) in fields.iter_mut() {
        if !is_free(name) {
            strip(value);
        }
    }
    let image = fields.get("image").and_then(Value::as_str);
    let pull_policy = image.map(
        |image| match image.rsplit_once('/').map_or(image, |it| it.1) {
            name if !name.contains([':', '@']) || name.ends_with(":latest") => "Always",
            _ => "IfNotPresent",
        },
    );
    let port = fields.get("port").cloned();
    fields.retain(|name, value| {
        let goes_without_saying = match name.as_str() {
            "imagePullPolicy" => value.as_str() == pull_policy,
            "targetPort" => Some(&*value) == port.as_ref(),
            // Its new name is `serviceAccountName`, and the server keeps both.
            "serviceAccount" => true,
            _ => is_default(name, value),
        };
        !goes_without_saying && !value.is_null()
    });
}

/// Whether people choose the names in it, so that none has a meaning here.
fn is_free(name: &str) -> bool {
    matches!(
        name,
        "data"
            | "binaryData"
            | "stringData"
            | "labels"
            | "annotations"
            | "matchLabels"
            | "nodeSelector"
            | "selector"
    )
}

fn is_default(name: &str, value: &Value) -> bool {
    match name {
        "terminationMessagePath" => value == "/dev/termination-log",
        "terminationMessagePolicy" => value == "File",
        "dnsPolicy" => value == "ClusterFirst",
        "restartPolicy" => value == "Always",
        "schedulerName" => value == "default-scheduler",
        "terminationGracePeriodSeconds" => value == 30,
        "progressDeadlineSeconds" => value == 600,
        "revisionHistoryLimit" | "periodSeconds" => value == 10,
        "protocol" => value == "TCP",
        "scheme" => value == "HTTP",
        // Nothing, where the server keeps nothing.
        "minReadySeconds" => value == 0,
        "value" => value == "",
        "hostNetwork" | "hostPID" | "hostIPC" | "paused" | "readOnly" | "stdin" | "stdinOnce"
        | "tty" => value == false,
        "podManagementPolicy" => value == "OrderedReady",
        "successThreshold" | "timeoutSeconds" => value == 1,
        "failureThreshold" => value == 3,
        "defaultMode" => value == 0o644,
        "sessionAffinity" => value == "None",
        "internalTrafficPolicy" => value == "Cluster",
        "ipFamilyPolicy" => value == "SingleStack",
        "ipFamilies" => *value == json!(["IPv4"]),
        "type" => value == "ClusterIP" || value == "RollingUpdate" || value == "Opaque",
        "maxSurge" | "maxUnavailable" => value == "25%",
        "resources" | "securityContext" | "strategy" | "rollingUpdate" => *value == json!({}),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: Value, left: Value) {
        let mut stripped = said;
        strip(&mut stripped);
        assert_eq!(stripped, left);
    }

    #[test]
    fn what_goes_without_saying_is_not_said() {
        check(
            json!({ "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%" } } }),
            json!({}),
        );
        check(
            json!({ "strategy": { "type": "Recreate" } }),
            json!({ "strategy": { "type": "Recreate" } }),
        );
        check(
            json!({ "ports": [{ "port": 80, "targetPort": 80, "protocol": "TCP" }] }),
            json!({ "ports": [{ "port": 80 }] }),
        );
    }

    #[test]
    fn what_is_nothing_is_not_kept() {
        check(
            json!({ "env": [{ "name": "EMPTY", "value": "" }], "minReadySeconds": 0, "hostNetwork": false }),
            json!({ "env": [{ "name": "EMPTY" }] }),
        );
        let said = json!({ "minReadySeconds": 5, "hostNetwork": true, "data": { "value": "" } });
        check(said.clone(), said);
    }

    #[test]
    fn how_an_image_is_pulled_depends_on_its_tag() {
        let container = |image, policy| json!({ "image": image, "imagePullPolicy": policy });
        for (image, policy) in [
            ("host:5000/app:1", "IfNotPresent"),
            ("host:5000/app", "Always"),
            ("app:latest", "Always"),
            ("app@sha256:ab", "IfNotPresent"),
        ] {
            check(container(image, policy), json!({ "image": image }));
        }
        check(container("app:1", "Always"), container("app:1", "Always"));
    }

    #[test]
    fn what_people_name_is_theirs() {
        let data = json!({ "data": { "protocol": "TCP" }, "env": [{ "name": "scheme", "value": "HTTP" }] });
        check(data.clone(), data);
    }
}
