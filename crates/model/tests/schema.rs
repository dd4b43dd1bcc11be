//! `belay.schema.json` is what the types say, and what it accepts is what people write.

use std::path::Path;

use belay_model::config::{Config, schema};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../belay.schema.json");

const EXAMPLE: &str = r#"{
  "service": "bookstore-api",
  "release": { "artifact": "./dist" },
  "config": { "LOG_LEVEL": "info", "WORKERS": 4, "DEBUG": false },
  "secrets": { "DATABASE_URL": "env:DATABASE_URL", "KEY": "file:/run/secrets/key" },
  "verify": [
    { "http": "/health", "status": 204, "contains": "ok", "header": { "X": "1" }, "json": { "checks.db": true }, "at": "staged" },
    { "tcp": true, "timeout": "3s" },
    { "command": "./probe" },
    { "traffic": { "max_errors": "0.5%", "max_slower": 1.5, "min_requests": 50, "within": "30s" }, "at": "live" }
  ],
  "environments": {
    "staging": { "target": { "process": { "run": "./server", "listen": "127.0.0.1:8080" } }, "strategy": "rolling" },
    "cluster": { "target": { "kubernetes": { "context": "c", "namespace": "n", "kubeconfig": "k", "workloads": ["deployment/api"] } } },
    "charts": { "target": { "helm": { "context": "c", "namespace": "n", "kubeconfig": "k", "release": "r", "values": ["v.yaml"],
      "set": { "a": { "b": 1 } }, "history_max": 5, "hook_timeout": "1m", "abandoned_after": "10m", "gitops": "ignore" } } },
    "production": {
      "target": { "process": { "run": "./server", "listen": "[::1]:8081", "instances": 4, "ready": { "http": "/", "within": "5s" } } },
      "strategy": { "canary": [{ "to": "10%", "for": "5m" }, { "to": "100%" }] },
      "keep": { "bake": "20m", "warm": "1h", "good": 3 },
      "on_first_failure": "leave",
      "inconclusive": "roll_back"
    }
  }
}"#;

#[test]
fn the_committed_schema_is_the_generated_one() {
    let generated = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        std::fs::write(COMMITTED, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(Path::new(COMMITTED)).unwrap_or_default();
    assert!(
        committed == generated,
        "belay.schema.json is stale: UPDATE=1 cargo test -p belay-model --test schema"
    );
}

#[test]
fn the_schema_accepts_a_configuration_with_every_key() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let example: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&example)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, [""; 0]);
}

#[test]
fn the_schema_accepts_what_the_types_write() {
    let example = EXAMPLE.replace("\"WORKERS\": 4, \"DEBUG\": false", "\"WORKERS\": \"4\"");
    let config: Config = serde_json::from_str(&example).unwrap();
    let written = serde_json::to_value(&config).unwrap();
    assert!(jsonschema::is_valid(&schema(), &written), "{written}");
}

#[test]
fn the_schema_refuses_what_the_types_refuse() {
    let wrong = [
        ("\"service\":", "\"servce\":"),
        ("\"bookstore-api\"", "\"Bookstore API\""),
        ("\"artifact\":", "\"image\":"),
        ("\"max_errors\": \"0.5%\"", "\"max_errors\": 0.5"),
        ("\"max_errors\": \"0.5%\"", "\"analysis\": {}"),
        ("\"env:DATABASE_URL\"", "\"postgres://user:password@host\""),
        ("\"bake\": \"20m\"", "\"bake\": 20"),
        ("\"rolling\"", "\"rollng\""),
        ("\"process\":", "\"proccess\":"),
        ("\"deployment/api\"", "\"pod/api\""),
        ("\"namespace\": \"n\"", "\"namespace\": \"N\""),
        ("\"instances\": 4", "\"instances\": 0"),
        ("\"leave\"", "\"yes\""),
    ];
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for (right, wrong) in wrong {
        assert!(EXAMPLE.contains(right), "{right}");
        let text = EXAMPLE.replace(right, wrong);
        assert!(
            !validator.is_valid(&serde_json::from_str(&text).unwrap()),
            "{wrong}"
        );
    }
}

#[test]
fn every_key_has_a_description() {
    fn walk(path: &str, schema: &serde_json::Value, bare: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if property.get("description").is_none() {
                bare.push(format!("{path}.{name}"));
            }
        }
    }
    let schema = schema();
    let mut bare = Vec::new();
    walk("", &schema, &mut bare);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        walk(name, definition, &mut bare);
    }
    assert_eq!(bare, [""; 0]);
}
