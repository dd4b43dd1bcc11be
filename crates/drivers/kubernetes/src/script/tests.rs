use super::*;
use crate::params::Params;
use std::collections::BTreeMap;

fn settings() -> Settings {
    Settings {
        context: Some("the prod".to_owned()),
        namespace: "shop".to_owned(),
        ..Settings::default()
    }
}

#[test]
fn values_of_secrets_come_from_variables() {
    let data = json!({ "db.url": "hmac:00", "KEY": "hmac:11", "plain": "eA==", "odd": "`$\\" });
    let named =
        json!({ "apiVersion": "v1", "kind": "Secret", "name": "shop-secrets", "namespace": null });
    let wanted = Wanted {
        spec: json!({ "data": data }),
        named,
        force: true,
    };
    let objects = BTreeMap::from([("secret/shop-secrets".to_owned(), wanted)]);
    let text = commands(&settings(), &State::default(), &Params::Put { objects });
    assert!(
        text.starts_with("if kubectl --context 'the prod' -n shop get secret/shop-secrets "),
        "{text}"
    );
    assert!(
        text.contains(": \"${db_url:?set it to the value of db.url in secret/shop-secrets}\""),
        "{text}"
    );
    assert!(
        text.contains("\"KEY\": \"$(printf %s \"$KEY\" | base64 | tr -d '\\n')\""),
        "{text}"
    );
    // The rest is as it is, and the shell makes nothing of it.
    assert!(text.contains("\"odd\": \"\\`\\$\\\\\\\\\""), "{text}");
    assert!(!text.contains("hmac:"), "{text}");
}

#[test]
fn words_are_words() {
    assert_eq!(quoted("deployment.apps/api"), "deployment.apps/api");
    assert_eq!(quoted("it's"), "'it'\\''s'");
    assert_eq!(quoted(""), "''");
}
