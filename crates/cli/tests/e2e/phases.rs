//! Several targets and phases that people wrote: what goes out and back, in which order, and who is asked.

use crate::misfortune::SERVER;
use crate::support::project::{Project, ends, until};
use serde_json::Value;
use std::process::Output;

/// Two targets. What steps say is in the file `log`; `fail-WORD` makes the step that says that word fail.
struct World {
    project: Project,
    ports: [u16; 2],
}

impl World {
    fn new() -> Self {
        let project = Project::new();
        project.write("dist/server.py", SERVER);
        let root = project.path().display();
        project.executable(
            "dist/say",
            &format!("#!/bin/sh\necho \"$1\" >> {root}/log\n[ ! -e {root}/fail-$1 ]\n"),
        );
        let ports = [project.port, project.another_port()];
        Self { project, ports }
    }

    /// Release `number`, with these lines below the environment; `sick`: on `us` it never becomes healthy.
    fn configure(&self, number: u32, sick: bool, environment: &str) {
        let [eu, us] = self.ports;
        let ready = "instances: 1, ready: { http: /health, within: 60s }";
        let sick = if sick { "SICK=1 " } else { "" };
        self.project.write(
            "belay.yaml",
            &format!(
                "service: web\nrelease: {{ artifact: ./dist }}\nconfig: {{ RELEASE: {number} }}\n\
                 verify: [{{ http: /health, at: staged }}]\nenvironments:\n  test:\n    targets:\n      \
                 eu: {{ process: {{ run: python3 server.py, listen: \"127.0.0.1:{eu}\", {ready} }} }}\n      \
                 us: {{ process: {{ run: \"env {sick}python3 server.py\", listen: \"127.0.0.1:{us}\", ready: {{ tcp: true, within: 60s }} }} }}\n    \
                 strategy: blue_green\n    keep: {{ bake: 500ms, warm: 5m }}\n{environment}"
            ),
        );
    }

    /// What each target answers with.
    fn serve(&self, releases: [u32; 2]) {
        for (port, release) in self.ports.into_iter().zip(releases) {
            let (_, answer) = self.project.get_at(port, "/").expect("someone answers");
            assert!(answer.ends_with(&format!("release {release}")), "{answer}");
        }
    }

    /// What steps have said since this was last asked.
    fn said(&self) -> Vec<String> {
        let log = self.project.path().join("log");
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        std::fs::write(&log, "").expect("written");
        text.lines().map(str::to_owned).collect()
    }

    fn fails(&self, word: &str) {
        self.project.write(&format!("fail-{word}"), "");
    }

    fn text(output: &Output) -> String {
        let both = [output.stdout.as_slice(), b"\n", &output.stderr].concat();
        String::from_utf8_lossy(&both).into_owned()
    }
}

/// Steps and their ways back around each target.
const PHASES: &str = "    phases:
      - name: first
        targets: [eu]
        before: [{ run: ./say P1, rollback: ./say R1 }]
        after: [{ run: ./say mail, residue: subscribers have had the mail }]
      - name: second
        targets: [us]
        before: [{ run: ./say P2, rollback: ./say R2 }]
        after: [{ run: ./say last }]
";

fn rollback(document: &Value) -> &str {
    let result = document.pointer("/deployment/outcome/rollback");
    result.and_then(Value::as_str).unwrap_or_default()
}

/// Release 1 serves on both, without further steps.
fn one_serves() -> World {
    let world = World::new();
    world.configure(1, false, "");
    world.project.json(0, &["deploy"]);
    world.serve([1, 1]);
    world
}

#[test]
fn targets_go_out_one_after_the_other_and_back_together() {
    let world = one_serves();
    world.configure(2, true, "");
    let failed = world.project.json(3, &["deploy"]);
    assert_eq!(rollback(&failed), "complete", "{failed:#}");
    world.serve([1, 1]);
    let id = failed["deployment"]["id"].as_str().expect("an id");
    let told = World::text(&world.project.belay(&["history", "--events", id]));
    let place = |part: &str| told.find(part).unwrap_or_else(|| panic!("{part}: {told}"));
    assert!(place("✓ eu: all traffic to r2-") < place("us: start 1 instance of r2-"));
    let back = &told[place("going back to release 1")..];
    assert!(back.contains("eu: all traffic to r1-"), "{back}");
    let status = World::text(&world.project.belay(&["status"]));
    for line in ["  eu ", "  us "] {
        let line = status.lines().find(|row| row.contains(line));
        assert!(
            line.is_some_and(|row| row.contains("release 1 100 %")),
            "{status}"
        );
    }
}

#[test]
fn targets_go_out_side_by_side_where_that_is_said() {
    let world = one_serves();
    world.configure(2, false, "    parallel: 2\n");
    let done = world.project.json(0, &["deploy"]);
    world.serve([2, 2]);
    let id = done["deployment"]["id"].as_str().expect("an id");
    let journal = world.project.json(0, &["history", "--events", id]);
    let events = journal["events"].as_array().expect("events");
    let kinds = events.iter().map(|entry| entry["event"].as_object());
    let mut kinds = kinds.filter_map(|event| event?.keys().next().map(String::as_str));
    kinds.find(|kind| *kind == "started");
    assert_eq!(
        kinds.next(),
        Some("started"),
        "before the first one ended: {journal:#}"
    );
}

#[test]
fn phases_go_back_in_the_reverse_of_their_order() {
    let world = one_serves();
    world.configure(2, false, PHASES);
    let plan = World::text(&world.project.belay(&["plan"]));
    for part in [
        "  first on eu:",
        "  second on us:",
        "cannot be taken back: subscribers",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    world.fails("last");
    let failed = world.project.json(3, &["deploy"]);
    assert_eq!(world.said(), ["P1", "mail", "P2", "last", "R2", "R1"]);
    assert_eq!(rollback(&failed), "complete");
    let residue = &failed["deployment"]["outcome"]["residue"];
    assert_eq!(residue[0], "subscribers have had the mail");
    world.serve([1, 1]);
}

#[test]
fn what_was_run_is_taken_back_after_a_success_too() {
    let world = one_serves();
    world.configure(2, false, PHASES);
    world.project.json(0, &["deploy"]);
    assert_eq!(world.said(), ["P1", "mail", "P2", "last"]);
    let preview = world.project.belay(&["rollback", "--plan"]);
    let preview = World::text(&preview);
    for part in [
        "take back: run ./say P2",
        "cannot be taken back: subscribers",
    ] {
        assert!(preview.contains(part), "{part}: {preview}");
    }
    let back = World::text(&world.project.belay(&["rollback", "-y"]));
    assert!(
        back.contains("stays behind: subscribers have had the mail"),
        "{back}"
    );
    assert_eq!(world.said(), ["R2", "R1"]);
    world.serve([1, 1]);
}

#[test]
fn this_phase_only_leaves_the_earlier_ones() {
    let world = one_serves();
    let phases =
        format!("{PHASES}        on_failure: [{{ class: [application], do: roll_back_phase }}]\n");
    world.configure(2, false, &phases);
    world.fails("last");
    let output = world.project.belay(&["deploy"]);
    let text = World::text(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    for part in ["earlier phases stay", "belay rollback --undo dep_"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(world.said(), ["P1", "mail", "P2", "last", "R2"]);
    world.serve([2, 1]);
    let history = World::text(&world.project.belay(&["history"]));
    assert!(history.contains("failed, rolled back in part"), "{history}");
    let last = world.project.json(0, &["history"]);
    let id = last["deployments"][0]["id"].as_str().expect("an id");
    world.project.json(0, &["rollback", "--undo", id, "-y"]);
    assert_eq!(world.said(), ["R1"], "and nothing twice");
    world.serve([1, 1]);
}

fn stands(world: &World, phase: &str) -> Value {
    until(phase, || {
        let status = world.project.json(0, &["status"]);
        let open = status.pointer("/services/0/open/0").cloned();
        open.filter(|open| open["phase"] == phase)
    })
}

#[test]
fn people_are_asked_in_the_middle() {
    let world = one_serves();
    let asks = |within: &str| {
        let approve = format!("approve: {{ by: [ada, bob], count: 2{within} }}, name: us next");
        PHASES.replace(
            "before: [{ run: ./say P2,",
            &format!("before: [{{ {approve} }}, {{ run: ./say P2,"),
        )
    };
    world.configure(2, false, &asks(""));
    let begun = world.project.json(0, &["deploy", "--detach"]);
    let id = begun["deployment"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let open = stands(&world, "waiting");
    let title = "second on us: us next: wait for approval by 2 of ada, bob";
    assert_eq!(open["step_title"], title);
    world.serve([2, 1]);
    assert_eq!(
        world.project.says("eve", &["approve"]),
        Some(6),
        "not asked"
    );
    assert_eq!(world.project.says("ada", &["approve"]), Some(0));
    assert_eq!(
        world.project.says("ada", &["approve"]),
        Some(6),
        "once each"
    );
    assert_eq!(world.project.says("bob@desk", &["approve"]), Some(0));
    world.project.json(0, &["watch", &id]);
    world.serve([2, 2]);
    world.said();
    // Nobody answers: it counts as failed.
    world.configure(3, false, &asks(", within: 200ms"));
    let failed = world.project.json(3, &["deploy"]);
    assert!(failed.to_string().contains("0 of 2 said yes"), "{failed:#}");
    assert_eq!(world.said(), ["P1", "mail", "R1"]);
    world.serve([2, 2]);
}

#[test]
fn rules_ask_for_a_while_and_then_decide() {
    let world = one_serves();
    let rule = |within: &str, then: &str| {
        let ask = format!("{{ within: {within}, then: {then} }}");
        format!("{PHASES}    on_failure: [{{ do: {{ ask: {ask} }} }}]\n")
    };
    world.fails("last");
    world.configure(2, false, &rule("200ms", "ignore"));
    let done = world.project.json(0, &["deploy"]);
    let id = done["deployment"]["id"].as_str().expect("an id");
    let told = World::text(&world.project.belay(&["history", "--events", id]));
    for part in [
        "waits for a person until ",
        "), then it goes on",
        "nobody answered in time",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    world.serve([2, 2]);
    world.said();
    // As long as someone may answer it waits, and says what can be said.
    world.configure(3, false, &rule("1h", "ignore"));
    let begun = world.project.json(0, &["deploy", "--detach"]);
    let id = begun["deployment"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let open = until("it asks", || {
        let status = world.project.json(0, &["status"]);
        let open = status.pointer("/services/0/open/0").cloned();
        open.filter(|open| open["stuck"].is_string())
    });
    assert_eq!(open["phase"], "waiting");
    let status = World::text(&world.project.belay(&["status"]));
    assert!(
        status.contains("waits for a person") && !status.contains("belay approve"),
        "{status}"
    );
    std::fs::remove_file(world.project.path().join("fail-last")).expect("it was there");
    world.project.json(0, &["retry", &id]);
    assert_eq!(world.said(), ["P1", "mail", "P2", "last", "last"]);
    world.serve([3, 3]);
}

#[test]
fn a_failed_command_is_run_again_where_a_rule_says_so() {
    let world = one_serves();
    let rule = "    on_failure: [{ do: { retry: { times: 2, pause: 10ms } } }]\n";
    world.configure(2, false, &format!("{PHASES}{rule}"));
    world.fails("P2");
    world.project.json(3, &["deploy"]);
    assert_eq!(world.said(), ["P1", "mail", "P2", "P2", "P2", "R2", "R1"]);
    world.serve([1, 1]);
}

#[test]
fn a_command_gets_the_secrets_and_what_it_writes_does_not_tell_them() {
    let mut world = one_serves();
    world
        .project
        .env
        .push(("DATABASE_URL".to_owned(), "db://u:hunter2@db".to_owned()));
    world.project.executable(
        "dist/migrate",
        "#!/bin/sh\necho \"at $DB for $BELAY_IDEMPOTENCY_KEY\"; [ \"$DB\" != db://u:hunter2@db ]\n",
    );
    let steps = "    phases: [{ name: all, targets: [eu, us], before: [{ run: ./migrate }] }]\n";
    world.configure(
        2,
        false,
        &format!("{steps}secrets: {{ DB: \"env:DATABASE_URL\" }}\n"),
    );
    // It fails if it has the value.
    let failed = world.project.belay(&["deploy", "--output", "json"]);
    assert_eq!(failed.status.code(), Some(3));
    let failed = World::text(&failed);
    assert!(failed.contains("at (DB) for dep_"), "{failed}");
    assert!(!failed.contains("hunter2"), "{failed}");
}

/// The other side proves who it is, and is only spoken to by those who trust it.
#[test]
fn requests_go_over_https() {
    let mut world = one_serves();
    let token = ("SHOP_TOKEN".to_owned(), "tok-hunter2".to_owned());
    world.project.env.push(token);
    let port = world.project.another_port();
    let at = |name: &str| world.project.path().join(name);
    let key = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args([
            "-days",
            "30",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(at("key.pem"))
        .arg("-out")
        .arg(at("cert.pem"))
        .output()
        .expect("openssl");
    assert!(key.status.success(), "{}", World::text(&key));
    world.project.write(
        "secure.py",
        &format!(
            "import http.server, ssl\nclass A(http.server.BaseHTTPRequestHandler):\n    def do_POST(self):\n        \
             body = self.rfile.read(int(self.headers.get('Content-Length', 0))).decode()\n        \
             open('log', 'a').write(self.path + ' ' + body + ' ' + str(len(self.headers['Idempotency-Key']) > 9) + ' ' + self.headers['Authorization'] + '\\n')\n        \
             self.send_response(204 if self.path == '/drain' else 404)\n        self.end_headers()\n    def log_message(self, *_): pass\n\
             s = http.server.HTTPServer(('127.0.0.1', {port}), A)\nc = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
             c.load_cert_chain('cert.pem', 'key.pem')\ns.socket = c.wrap_socket(s.socket, server_side=True)\n\
             open('up', 'w').close()\ns.serve_forever()\n"
        ),
    );
    let mut server = std::process::Command::new("python3")
        .arg("secure.py")
        .current_dir(world.project.path())
        .spawn()
        .expect("python3");
    until("the other side is up", || at("up").exists().then_some(()));
    let call = format!(
        "    phases:\n      - name: tell\n        steps: [{{ run: {{ url: \"https://localhost:{port}/drain\", body: now, \
         header: {{ Authorization: \"Bearer ${{TOKEN}}\" }} }} }}]\n      - name: all\nsecrets: {{ TOKEN: \"env:SHOP_TOKEN\" }}\n"
    );
    world.configure(2, false, &call);
    let refused = world.project.belay(&["deploy"]);
    let text = World::text(&refused);
    assert_eq!(refused.status.code(), Some(3), "{text}");
    assert!(text.contains("invalid peer certificate"), "{text}");
    assert!(world.said().is_empty());
    world.project.kill_worker();
    let mut trusting = world.project.command(&["deploy"]);
    trusting.env("SSL_CERT_FILE", at("cert.pem"));
    let done = ends(&mut trusting);
    assert_eq!(done.status.code(), Some(0), "{}", World::text(&done));
    assert_eq!(world.said(), ["/drain now True Bearer tok-hunter2"]);
    world.serve([2, 2]);
    // What is said and kept of it names the secret, also when it fails.
    world.configure(3, false, &call.replace("/drain", "/nowhere"));
    let failed = world.project.json(3, &["deploy"]);
    server.kill().expect("it ran");
    server.wait().expect("it ended");
    let id = failed["deployment"]["id"].as_str().expect("an id");
    let events = world.project.json(0, &["history", "--events", id]);
    let said = [
        text,
        World::text(&done),
        failed.to_string(),
        events.to_string(),
    ];
    for said in said {
        assert!(said.contains("https://localhost"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    for name in ["belay.db", "belay.db-wal", "progress.db", "progress.db-wal"] {
        let kept = std::fs::read(at(".belay").join(name)).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&kept).contains("hunter2"),
            "{name}"
        );
    }
}
