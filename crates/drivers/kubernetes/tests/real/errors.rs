//! Who we are, what we may, and whether anybody answers.

use crate::place::{Place, context, place, said, until};
use belay_driver::{Context, Driver, Error};
use belay_driver_kubernetes::Settings;
use belay_model::error::{Class, Effect};
use belay_testbed::ControlPlane;
use std::net::TcpListener;
use std::path::PathBuf;

/// A kubeconfig that differs.
fn kubeconfig(place: &Place, dir: &tempfile::TempDir, changes: &[&[&str]]) -> PathBuf {
    let path = dir.path().join("kubeconfig");
    std::fs::copy(place.account.kubeconfig(), &path).expect("copied");
    for change in changes {
        let mut kubectl = place.plane.kubectl();
        // The last one counts.
        said(
            kubectl
                .arg("--kubeconfig")
                .arg(&path)
                .arg("config")
                .args(*change),
            "",
        );
    }
    path
}

async fn refused(cx: &Context, changes: &[&[&str]]) -> Error {
    let place = place();
    let dir = tempfile::tempdir().expect("a directory");
    let path = kubeconfig(&place, &dir, changes);
    let of = |settings: Settings| {
        let kubeconfig = Some(path.clone());
        place.target_with(Settings {
            kubeconfig,
            ..settings
        })
    };
    let workload = of(Settings {
        workloads: vec!["deployment/api".to_owned()],
        ..Settings::default()
    });
    let release = of(Settings {
        helm: Some("shop".to_owned()),
        ..Settings::default()
    });
    let mut errors = Vec::new();
    for target in [workload, release] {
        let error = place.driver.observe(cx, &target).await;
        let error = error.expect_err("refused");
        assert_eq!(error.effect, Effect::NotApplied);
        errors.push(error);
    }
    assert_eq!(errors[0].class, errors[1].class, "{errors:?}");
    errors.remove(0)
}

#[tokio::test]
async fn a_wrong_token_is_authentication() {
    let changes: [&[&str]; 2] = [
        &["unset", "users.admin"],
        &["set-credentials", "admin", "--token=wrong"],
    ];
    let error = refused(&context(), &changes).await;
    assert_eq!(error.class, Class::Authentication, "{error:?}");
    assert_eq!(error.platform_code.as_deref(), Some("401 Unauthorized"));
}

/// A token that has expired is refused as one that is wrong; here its account is gone, which takes a moment to be heard of.
#[tokio::test]
async fn a_token_that_is_good_no_more_is_asked_for_again() {
    let place = place();
    let account = format!("--serviceaccount={}:one", place.namespace);
    place.kubectl(&[
        "create",
        "rolebinding",
        "one",
        "--clusterrole=cluster-admin",
        &account,
    ]);
    let token = || {
        place.kubectl(&["create", "serviceaccount", "one"]);
        place.kubectl(&["create", "token", "one"]).trim().to_owned()
    };
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    // As a plugin of a cloud does, but that it never says how long.
    let script = dir.path().join("plugin.sh");
    let said = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}"#;
    let plugin = format!("printf '{said}' \"$(cat {})\"\n", file.display());
    std::fs::write(&script, plugin).expect("written");
    std::fs::write(&file, token()).expect("written");
    let changes: [&[&str]; 2] = [
        &["unset", "users.admin"],
        &[
            "set-credentials",
            "admin",
            "--exec-api-version=client.authentication.k8s.io/v1",
            "--exec-command=sh",
            &format!("--exec-arg={}", script.display()),
        ],
    ];
    let path = kubeconfig(&place, &dir, &changes);
    let target = place.target_with(Settings {
        kubeconfig: Some(path),
        workloads: vec!["deployment/api".to_owned()],
        ..Settings::default()
    });
    place.observe(&target).await;
    place.kubectl(&["delete", "serviceaccount/one"]);
    until("the token is good no more", async || {
        match place.driver.observe(&context(), &target).await {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.class, Class::Authentication, "{error:?}");
                true
            }
        }
    })
    .await;
    std::fs::write(&file, token()).expect("written");
    place.observe(&target).await;
}

#[tokio::test]
async fn an_account_without_rights_is_authorisation() {
    let place = place();
    let token = place.kubectl(&["create", "token", "default"]);
    let token = format!("--token={}", token.trim());
    let changes: [&[&str]; 2] = [
        &["unset", "users.admin"],
        &["set-credentials", "admin", &token],
    ];
    let error = refused(&context(), &changes).await;
    assert_eq!(error.class, Class::Authorisation, "{error:?}");
}

fn at(address: &str) -> [String; 3] {
    [
        "set-cluster".to_owned(),
        "test".to_owned(),
        format!("--server=https://{address}"),
    ]
}

#[tokio::test]
async fn nobody_there_is_connectivity() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    };
    let change = at(&address.to_string());
    let error = refused(&context(), &[&change.each_ref().map(String::as_str)]).await;
    assert_eq!(error.class, Class::Connectivity, "{error:?}");
}

#[tokio::test]
async fn no_answer_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let change = at(&address.to_string());
    let cx = Context {
        deadline_ms: 300,
        ..context()
    };
    let error = refused(&cx, &[&change.each_ref().map(String::as_str)]).await;
    assert_eq!(error.class, Class::Timeout, "{error:?}");
}

#[tokio::test]
async fn a_context_that_is_not_there_is_named() {
    let changes: [&[&str]; 1] = [&["rename-context", ControlPlane::CONTEXT, "other"]];
    let error = refused(&context(), &changes).await;
    assert_eq!(error.class, Class::Unknown, "{error:?}");
    assert!(error.message.contains(ControlPlane::CONTEXT), "{error:?}");
}
