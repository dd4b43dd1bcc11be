//! Plans as plain commands: of processes there are none, and that is said.

use crate::misfortune::SERVER;
use crate::support::project::Project;

#[test]
fn only_belay_starts_processes() {
    let project = Project::new();
    project.write("dist/server.py", SERVER);
    project.configure(
        "RELEASE: 1",
        "run: python3 server.py, instances: 1",
        "  []",
        "strategy: basic",
    );
    let refused = project.json(2, &["plan", "--as", "sh"]);
    assert_eq!(refused["error"]["code"], "E0325", "{refused:#}");
    let detail = refused["error"]["detail"].to_string();
    assert!(
        detail.contains("no plain commands: start 1 instance"),
        "{detail}"
    );
}
