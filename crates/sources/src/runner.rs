//! The engine's `Runner`: commands of the user's, and calls over HTTP and HTTPS. Whom to trust is what the machine trusts
//! (or `SSL_CERT_FILE` names).
//!
//! Each is told what it is run for: `BELAY_DEPLOYMENT`, `BELAY_STEP`, `BELAY_ATTEMPT`, and `BELAY_IDEMPOTENCY_KEY`,
//! which is the same however often a step is tried (over HTTP: the header `Idempotency-Key`). Commands get the release's secrets
//! as its instances do; in what is kept of their output the values are hidden. Headers of calls name them, and have their values
//! when they are sent.

use crate::http::root;
use crate::program::{Group, Tail, finish};
use async_trait::async_trait;
use belay_driver::{Artifacts, Error, Progress};
use belay_engine::ports::{Clock, Runner, Running};
use belay_model::config::{CommandLine, SecretText};
use belay_model::error::{Class, Failure};
use belay_model::plan::Call;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use tokio::process::Command;

/// See the module.
pub struct Programs {
    /// Where releases' files are: commands run in their release's directory.
    pub artifacts: Arc<dyn Artifacts>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Runner for Programs {
    async fn run(&self, running: &Running, progress: Arc<dyn Progress>) -> Result<(), Failure> {
        let span = belay_analysis::span(running.timeout_ms);
        let late = || {
            let message = format!("end within {span}");
            Failure::from(Error::maybe_applied(Class::Timeout, message))
        };
        let done = async {
            match &running.call {
                Call::Command(line) => self.command(running, line, progress).await,
                Call::Http {
                    method,
                    url,
                    header,
                    body,
                } => {
                    let body = body.clone().unwrap_or_default();
                    request(running, method, url, header, body).await
                }
            }
        };
        tokio::select! {
            biased;
            done = done => done,
            () = self.clock.sleep_ms(running.timeout_ms) => Err(late()),
        }
    }
}

impl Programs {
    async fn command(
        &self,
        running: &Running,
        line: &CommandLine,
        progress: Arc<dyn Progress>,
    ) -> Result<(), Failure> {
        let directory = self.directory(running).await?;
        let own = directory.as_ref().map(|dir| dir.join(line.program()));
        let mut command = match own {
            Some(own) if line.program().contains('/') => Command::new(own),
            _ => Command::new(line.program()),
        };
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        command
            .args(line.arguments())
            .env_remove("BELAY_TOKEN")
            .env_remove("BELAY_STORE")
            .env_remove("BELAY_KEY")
            .env_remove("PGPASSWORD")
            .envs(running.record().iter().flat_map(|record| &record.config))
            .envs(running.material.iter().flat_map(|one| &one.secrets))
            .envs(told(running))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| {
            let message = format!("run {line}: {error}");
            Error::not_applied(Class::Application, message)
        })?;
        let mut group = Group::of(&child);
        let (tail, mut ended) = (Tail::default(), None);
        finish(&mut child, &tail, &mut ended).await;
        group.disarm();
        let secrets = running.material.as_ref().map(|one| &one.secrets);
        let output = match secrets {
            Some(secrets) => hidden(tail.text(), secrets),
            None => tail.text(),
        };
        for line in output.lines() {
            progress.line(line);
        }
        let why = match &ended {
            Some(Ok(status)) if status.success() => return Ok(()),
            Some(Ok(status)) => format!("run {line}: {status}"),
            Some(Err(error)) => format!("wait for {line}: {error}"),
            None => format!("wait for {line}"),
        };
        let detail = output.lines().map(|line| format!("output: {line}"));
        // With an exit code it says itself that it is not done, and rules may have it run again.
        let error = match ended {
            Some(Ok(status)) if status.code().is_some() => {
                Error::not_applied(Class::Application, why)
            }
            _ => Error::maybe_applied(Class::Application, why),
        };
        Err(error.with_detail(detail.collect()).into())
    }

    /// The release's files; none where a rollback leads to nothing.
    async fn directory(&self, running: &Running) -> Result<Option<PathBuf>, Failure> {
        match running.record() {
            Some(record) => Ok(Some(self.artifacts.directory(&record.artifact).await?)),
            None => Ok(None),
        }
    }
}

/// What a program is run for.
fn told(running: &Running) -> BTreeMap<&'static str, String> {
    let mut told = BTreeMap::from([
        ("BELAY_DEPLOYMENT", running.deployment.to_string()),
        ("BELAY_STEP", running.step.to_string()),
        ("BELAY_ATTEMPT", running.attempt.to_string()),
        ("BELAY_IDEMPOTENCY_KEY", key(running)),
    ]);
    if let Some(record) = running.record() {
        told.insert("BELAY_SERVICE", record.scope.service.to_string());
        told.insert("BELAY_ENVIRONMENT", record.scope.environment.to_string());
        told.insert("BELAY_RELEASE", record.release.to_string());
    }
    told
}

/// What a command wrote, without the values of its secrets: it is kept, and shown. One of a few letters would hide words.
fn hidden(output: String, secrets: &BTreeMap<String, String>) -> String {
    const SHORTEST: usize = 4;
    let lines = secrets
        .iter()
        .flat_map(|(name, value)| value.lines().map(move |line| (name, line)));
    let mut lines: Vec<_> = lines.filter(|(_, line)| line.len() >= SHORTEST).collect();
    // The longest first: a part of it that is another secret would leave the rest of it to be read.
    lines.sort_by_key(|(_, line)| std::cmp::Reverse(line.len()));
    lines.into_iter().fold(output, |output, (name, line)| {
        output.replace(line, &format!("({name})"))
    })
}

/// The value of a header, with those of the secrets that it names. None of them is in what is said of it.
fn header_value(running: &Running, value: &str) -> Result<HeaderValue, String> {
    let text = SecretText::parse(value).map_err(|error| error.to_string())?;
    let secret = |name: &str| {
        let material = running.material.as_ref()?;
        material.secrets.get(name).map(String::as_str)
    };
    let filled = text.filled(secret);
    let filled = filled.map_err(|name| format!("the release has no secret `{name}`"))?;
    let mut filled = HeaderValue::from_str(&filled)
        .map_err(|_| "a header cannot have that value, a line end perhaps".to_owned())?;
    filled.set_sensitive(text.names().next().is_some());
    Ok(filled)
}

fn key(running: &Running) -> String {
    format!("{}/{}", running.deployment, running.step)
}

async fn request(
    running: &Running,
    method: &str,
    url: &str,
    header: &BTreeMap<String, String>,
    body: String,
) -> Result<(), Failure> {
    let invalid = |why: String| Failure::from(Error::not_applied(Class::Application, why));
    let uri: Uri = url
        .parse()
        .map_err(|error| invalid(format!("call {url}: {error}")))?;
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|error| invalid(format!("call {url}: {error}")))?;
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header("User-Agent", "belay")
        .header("Idempotency-Key", key(running));
    for (name, value) in header {
        let value = header_value(running, value);
        let value = value.map_err(|why| invalid(format!("call {url}: header {name}: {why}")))?;
        request = request.header(name, value);
    }
    let request = request
        .body(Full::<Bytes>::from(body))
        .map_err(|error| invalid(format!("call {url}: {error}")))?;
    let is_secure = request.uri().scheme_str() == Some("https");
    let mut client = Client::builder(TokioExecutor::new());
    client.pool_max_idle_per_host(0);
    let answer = if is_secure {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|error| invalid(format!("call {url}: find whom to trust: {error}")))?;
        let connector = connector.https_only().enable_http1().build();
        client.build(connector).request(request).await
    } else {
        client.build_http().request(request).await
    };
    let answer = answer.map_err(|error| {
        let message = format!("call {url}: {}", root(&error));
        // Where no connection was made nobody was told anything.
        if error.is_connect() {
            Error::not_applied(Class::Connectivity, message)
        } else {
            Error::maybe_applied(Class::Connectivity, message)
        }
    })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let message = format!("call {url}: it answered {status}");
    Err(match status {
        StatusCode::UNAUTHORIZED => Error::not_applied(Class::Authentication, message),
        StatusCode::FORBIDDEN => Error::not_applied(Class::Authorisation, message),
        StatusCode::TOO_MANY_REQUESTS => Error::not_applied(Class::Quota, message),
        status if status.is_client_error() => Error::not_applied(Class::Application, message),
        _ => Error::maybe_applied(Class::Application, message),
    }
    .into())
}

#[cfg(test)]
mod tests {
    use super::hidden;

    #[test]
    fn of_a_secret_that_begins_like_another_one_nothing_is_left() {
        let secrets = [("A", "hunt"), ("B", "hunter2\nsecond line"), ("C", "no")];
        let secrets = secrets.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let output = "no hunt for hunter2, second line".to_owned();
        assert_eq!(hidden(output, &secrets.into()), "no (A) for (B), (B)");
    }
}
