//! The files that a configuration names: are they there? Only looks, and only at names and modes, never at contents.

use std::path::{Component, Path, PathBuf};

use belay_model::config::{CommandLine, Environment, ReleaseKind, SecretRef, Target};

use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;
use super::nearest::nearest;
use super::steps;

/// What a release is made from, once it was found.
enum Artifact {
    Directory(PathBuf),
    File(PathBuf),
    /// Objects of Kubernetes: there is no program among them.
    Manifests,
}

impl Loaded {
    /// A path in the file is relative to the file.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        // Through its components, which leaves out a `.` in the middle.
        self.path
            .parent()
            .unwrap_or(Path::new(""))
            .join(path)
            .components()
            .collect()
    }

    pub(super) fn files(
        &self,
        environments: &[(&str, &Environment)],
        artifact: Option<&Path>,
        found: &mut Vec<Diagnostic>,
    ) {
        self.secret_files("secrets", self.config.secrets.iter(), found);
        for (name, environment) in environments {
            self.secret_files(
                &format!("environments.{name}.secrets"),
                environment.secrets.iter(),
                found,
            );
        }
        let artifact = match artifact {
            Some(directory) => Ok(Artifact::Directory(directory.to_owned())),
            None => match self.artifact() {
                Some(artifact) => artifact,
                None => return,
            },
        };
        let artifact = match artifact {
            Ok(artifact) => artifact,
            // Without the artifact nothing can be said about what should be in it.
            Err(missing) => return found.push(*missing),
        };
        for (index, check) in self.config.verify.iter().enumerate() {
            if let Some(command) = &check.command {
                for (_, environment) in environments {
                    self.program(
                        &artifact,
                        &format!("verify[{index}].command"),
                        command,
                        environment,
                        found,
                    );
                }
            }
        }
        for (name, environment) in environments {
            let path = format!("environments.{name}");
            for place in environment.places() {
                if let Target::Process(process) = place.target {
                    let path = format!("{path}.{}.process.run", place.key());
                    self.program(&artifact, &path, &process.run, environment, found);
                }
            }
            let mut commands = Vec::new();
            for (number, phase) in environment.phases.iter().enumerate() {
                let path = format!("{path}.phases[{number}]");
                for (key, steps) in [
                    ("steps", &phase.steps),
                    ("before", &phase.before),
                    ("after", &phase.after),
                    ("rollback.before", &phase.rollback.before),
                    ("rollback.after", &phase.rollback.after),
                ] {
                    steps::commands(&format!("{path}.{key}"), steps, &mut commands);
                }
            }
            for (path, line) in commands {
                self.program(&artifact, &path, line, environment, found);
            }
            for (index, check) in environment.verify.iter().enumerate() {
                if let Some(command) = &check.command {
                    self.program(
                        &artifact,
                        &format!("{path}.verify[{index}].command"),
                        command,
                        environment,
                        found,
                    );
                }
            }
        }
    }

    fn secret_files<'a>(
        &self,
        path: &str,
        secrets: impl Iterator<Item = (&'a String, &'a SecretRef)>,
        found: &mut Vec<Diagnostic>,
    ) {
        for (name, secret) in secrets {
            if let SecretRef::File(file) = secret
                && !self.resolve(file).is_file()
            {
                let message = format!("there is no file `{}`", self.resolve(file).display());
                let path = format!("{path}.{name}");
                found.push(
                    self.on_value(Code::MissingFile, &path, message)
                        .suggest(sibling(&self.resolve(file), &file.to_string_lossy())),
                );
            }
        }
    }

    /// None: nobody can tell what it is.
    fn artifact(&self) -> Option<Result<Artifact, Box<Diagnostic>>> {
        let (written, key, is_artifact) = match self.config.release.kind().ok()? {
            ReleaseKind::Artifact(path) => (path, "release.artifact", true),
            ReleaseKind::Manifests(path) => (path, "release.manifests", false),
            ReleaseKind::Chart(path) => (path, "release.chart", false),
            ReleaseKind::RemoteChart(..) | ReleaseKind::Running => return None,
        };
        let path = self.resolve(written);
        let complain = |message: String| self.on_value(Code::MissingFile, key, message);
        Some(Err(Box::new(match std::fs::metadata(&path) {
            Ok(_) if !is_artifact => return Some(Ok(Artifact::Manifests)),
            Ok(metadata) if metadata.is_dir() => return Some(Ok(Artifact::Directory(path))),
            Ok(metadata) if metadata.is_file() => return Some(Ok(Artifact::File(path))),
            Ok(_) => complain(format!(
                "`{}` is neither a directory nor a file",
                path.display()
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => complain(format!(
                "there is no file or directory `{}`",
                path.display()
            ))
            .suggest(
                sibling(&path, &written.to_string_lossy())
                    .or_else(|| is_artifact.then(|| "build it first".to_owned())),
            ),
            Err(error) => complain(format!("cannot look at `{}`: {error}", path.display())),
        })))
    }

    fn program(
        &self,
        artifact: &Artifact,
        path: &str,
        command: &CommandLine,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        let program = Path::new(command.program());
        let complain = |code, message: String| self.on_value(code, path, message);
        if !command.program().contains('/') {
            let config = self.config.config_in(environment);
            let search = config
                .get("PATH")
                .map(Into::into)
                .or_else(|| std::env::var_os("PATH"))
                .unwrap_or_default();
            if std::env::split_paths(&search)
                .any(|directory| is_executable(&directory.join(program)))
            {
                return;
            }
            let missing = complain(
                Code::MissingFile,
                format!("there is no program `{}` on the PATH", program.display()),
            );
            let inside = artifact
                .find(program)
                .is_some()
                .then(|| format!("did you mean `./{}`?", program.display()));
            return found.push(missing.suggest(inside));
        }
        if program.is_relative() && leaves(program) {
            let message = format!(
                "`{}` is outside of the artifact, so it would not be part of a release",
                program.display()
            );
            return found.push(complain(Code::Contradiction, message));
        }
        let file = if program.is_absolute() {
            program.is_file().then(|| program.into())
        } else {
            artifact.find(program)
        };
        match file {
            Some(file) if is_executable(&file) => {}
            Some(file) => found.push(
                complain(
                    Code::MissingFile,
                    format!("`{}` is not executable", file.display()),
                )
                .suggest(format!("chmod +x {}", file.display())),
            ),
            None => {
                let (place, suggestion) = match artifact {
                    _ if program.is_absolute() => {
                        (String::new(), sibling(program, command.program()))
                    }
                    Artifact::Directory(directory) => (
                        format!(" in `{}`", directory.display()),
                        sibling(&directory.join(program), command.program()),
                    ),
                    Artifact::Manifests => {
                        let advice = "name a program that is on the PATH";
                        (
                            ": the release is manifests".to_owned(),
                            Some(advice.to_owned()),
                        )
                    }
                    Artifact::File(file) => {
                        let only = file.file_name().unwrap_or_default().to_string_lossy();
                        (
                            format!(": the artifact is the file `{}`", file.display()),
                            Some(format!("did you mean `./{only}`?")),
                        )
                    }
                };
                let message = format!("there is no program `{}`{place}", program.display());
                found.push(complain(Code::MissingFile, message).suggest(suggestion));
            }
        }
    }
}

impl Artifact {
    /// The file of this name in the artifact. An artifact of one file is a directory with that file in it.
    fn find(&self, program: &Path) -> Option<PathBuf> {
        match self {
            Self::Directory(directory) => {
                Some(directory.join(program.strip_prefix(".").unwrap_or(program)))
                    .filter(|file| file.is_file())
            }
            Self::File(file) => {
                let name = program.strip_prefix(".").unwrap_or(program);
                (file.file_name() == Some(name.as_os_str())).then(|| file.clone())
            }
            Self::Manifests => None,
        }
    }
}

fn leaves(path: &Path) -> bool {
    let mut depth = 0_i32;
    path.components().any(|component| {
        depth += match component {
            Component::Normal(_) => 1,
            Component::ParentDir => -1,
            _ => 0,
        };
        depth < 0
    })
}

/// The file beside a missing one that was probably meant, in the way the missing one was written.
fn sibling(missing: &Path, written: &str) -> Option<String> {
    // A directory of build output can be huge, and more names than these would not be looked through by a person either.
    const MAX_NAMES: usize = 1000;
    let wanted = missing.file_name()?.to_str()?;
    let directory = missing
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let names: Vec<String> = std::fs::read_dir(directory)
        .ok()?
        .take(MAX_NAMES)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let before = &written[..written.rfind('/').map_or(0, |slash| slash + 1)];
    nearest(wanted, names.iter().map(String::as_str))
        .map(|name| format!("did you mean `{before}{name}`?"))
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}
