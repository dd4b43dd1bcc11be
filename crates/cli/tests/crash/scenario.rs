//! What is deployed, and how it has to end.

use crate::support::bookstore::bookstore;
use crate::support::project::Project;

/// A deployment that is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) strategy: Strategy,
    pub(crate) way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    BlueGreen,
    Canary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Release 2 is good.
    Forward,
    /// Release 2 is bad and goes back by itself.
    Back,
    /// Release 2 is good, and someone goes back to release 1.
    Return,
}

/// What of Belay is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Killed {
    /// Commands, the worker, supervisors; traffic flows on.
    AllButProxy,
    /// The proxy and its supervisor, too.
    All,
}

impl Killed {
    pub(crate) const EITHER: [Killed; 2] = [Killed::AllButProxy, Killed::All];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Killed::AllButProxy => "all-but-proxy",
            Killed::All => "all",
        }
    }
}

impl Scenario {
    /// The command that is killed.
    pub(crate) fn command(&self) -> &'static [&'static str] {
        match self.way {
            Way::Forward | Way::Back => &["deploy"],
            Way::Return => &["rollback", "--yes"],
        }
    }

    /// The release that serves at the end, alone.
    pub(crate) fn serves(&self) -> u32 {
        match self.way {
            Way::Forward => 2,
            Way::Back | Way::Return => 1,
        }
    }

    /// Everything up to the command: release 1 serves, or 2 where it is left again.
    pub(crate) fn prepare(&self, project: &Project) {
        self.release(project, 1);
        project.json(0, &["deploy"]);
        self.release(project, 2);
        if self.way == Way::Return {
            project.json(0, &["deploy"]);
        }
    }

    /// A release fails where it is told so: no request of a user's has to fail for it.
    fn release(&self, project: &Project, number: u32) {
        let bad = self.way == Way::Back && number == 2;
        let verdict = if bad { "bad" } else { "good" };
        project.write("dist/verdict", &format!("release {number} is {verdict}\n"));
        let strategy = match self.strategy {
            Strategy::BlueGreen => "blue_green",
            Strategy::Canary => "{ canary: [ { to: 50%, for: 200ms } ] }",
        };
        // On the way back, blue and green both stand; a canary's old release is started again. Forward, what was kept
        // is removed soon, as that is part of the deployment.
        let warm = match (self.way, self.strategy) {
            (Way::Return, Strategy::BlueGreen) => "5m",
            _ => "200ms",
        };
        project.write(
            "belay.yaml",
            &format!(
                "service: web\n\
                 release: {{ artifact: ./dist }}\n\
                 config: {{ RELEASE: \"{number}\" }}\n\
                 verify:\n\
                 \x20 - {{ http: /health, at: staged }}\n\
                 \x20 - {{ command: \"grep -q good verdict\", at: live }}\n\
                 environments:\n\
                 \x20 test:\n\
                 \x20   target: {{ process: {{ run: {}, listen: \"127.0.0.1:{}\", instances: {INSTANCES}, ready: {{ http: /health }} }} }}\n\
                 \x20   strategy: {strategy}\n\
                 \x20   keep: {{ bake: 200ms, warm: {warm} }}\n",
                // Not in the artifact: copies of a debug build would be most of the work.
                bookstore().display(),
                project.port
            ),
        );
    }
}

/// Copies of a release.
pub(crate) const INSTANCES: usize = 2;
