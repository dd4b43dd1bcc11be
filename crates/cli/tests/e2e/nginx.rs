//! A server that is not ours: Debian's nginx with two configurations as two releases, one of which answers 500 for one
//! path, under load from wrk.

use crate::support::project::{Project, until};

/// nginx takes no port from its environment, so the release has a start script that fills it in.
const START: &str = r#"#!/bin/sh
set -e
dir=$(mktemp -d)
sed "s/@PORT@/$PORT/; s#@DIR@#$dir#g" nginx.conf.in > "$dir/nginx.conf"
exec "$(command -v nginx || echo /usr/sbin/nginx)" -e "$dir/error.log" -p "$dir" -c "$dir/nginx.conf" -g "daemon off;"
"#;

fn configuration(release: u32, orders: &str) -> String {
    format!(
        "worker_processes 1;\npid @DIR@/nginx.pid;\nevents {{ worker_connections 256; }}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path @DIR@/body; proxy_temp_path @DIR@/proxy; fastcgi_temp_path @DIR@/fastcgi;\n  \
         uwsgi_temp_path @DIR@/uwsgi; scgi_temp_path @DIR@/scgi;\n  server {{\n    listen 127.0.0.1:@PORT@;\n    \
         location /health {{ return 200 'ok'; }}\n    location /orders {{ {orders} }}\n    \
         location / {{ return 200 'release {release}'; }}\n  }}\n}}\n"
    )
}

fn release(project: &Project, number: u32, orders: &str) {
    project.write("dist/start.sh", START);
    project.write("dist/nginx.conf.in", &configuration(number, orders));
}

#[test]
fn nginx_with_a_broken_path_goes_back_by_itself() {
    let project = Project::new();
    project.configure(
        "",
        "run: \"sh ./start.sh\", instances: 2, ready: { http: /health }",
        "  - { http: /health, at: staged }\n  - { traffic: { max_errors: 1%, min_requests: 50 }, at: live }",
        "strategy: { canary: [ { to: 20%, for: 3s } ] }\n    keep: { bake: 1s, warm: 5m }",
    );
    release(&project, 1, "return 200 'orders';");
    project.json(0, &["deploy", "--until", "promoted"]);
    let (pages, orders) = (project.load("/"), project.load("/orders"));
    project.json(0, &["watch"]);

    release(&project, 2, "return 500 'no orders today';");
    let failed = project.json(3, &["deploy"]);
    let cause = failed
        .pointer("/deployment/cause")
        .and_then(|cause| cause.as_str())
        .unwrap_or_default();
    assert!(
        cause.contains("answers") && cause.contains("with an error"),
        "{failed:#}"
    );
    let (_, answer) = project.get("/").expect("release 1 serves");
    assert!(answer.ends_with("release 1"), "{answer}");

    release(&project, 3, "return 200 'orders again';");
    project.json(0, &["deploy"]);
    // What was released is kept: going back works although ./dist is gone.
    std::fs::remove_dir_all(project.path().join("dist")).expect("removed");
    project.json(0, &["rollback", "--yes", "--reason", "a test"]);
    let (_, answer) = project.get("/").expect("release 1 serves");
    assert!(answer.ends_with("release 1"), "{answer}");

    let (pages, orders) = (pages.stop(), orders.stop());
    assert!(
        pages.requests > 100 && orders.requests > 100,
        "{pages:?} {orders:?}"
    );
    assert_eq!(
        (pages.errors, pages.broken),
        (0, 0),
        "the path that works never failed: {pages:?}"
    );
    assert!(
        orders.errors > 0,
        "the bad answers were really given: {orders:?}"
    );
    assert_eq!(orders.broken, 0, "{orders:?}");

    let processes = project.processes().into_iter();
    let workers = processes.filter(|(_, line)| line.contains("worker process"));
    let workers: Vec<String> = workers.map(|(pid, _)| format!("/proc/{pid}/cwd")).collect();
    assert!(!workers.is_empty(), "each nginx has a worker of its own");
    drop(project);
    // Whoever is gone, or nobody's child yet, stands nowhere.
    let is_gone = |at: &String| std::fs::read_link(at).is_err();
    until("nothing is left", || {
        workers.iter().all(is_gone).then_some(())
    });
}
