//! A service of four pods in a namespace of its own, with a project that deploys it, and the real client beside it.

use crate::home::Home;
use crate::kubernetes::endpoints::Endpoints;
use anyhow::{Context, Result, anyhow, bail};
use belay_testbed::ControlPlane;
use serde_json::Value;
use std::ops::Deref;
use std::path::Path;
use tokio::process::Command;

pub(crate) const ENVIRONMENT: &str = "bench";
/// Pods of a release.
pub(crate) const PODS: usize = 4;

pub(crate) struct Shop<'a> {
    home: Home,
    plane: &'a ControlPlane,
    pub(crate) namespace: String,
}

impl Deref for Shop<'_> {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl<'a> Shop<'a> {
    /// With these lines below its environment, and release 1 there.
    pub(crate) async fn new(belay: &Path, plane: &'a ControlPlane, lines: &str) -> Result<Self> {
        let shop = Self::empty(belay, plane)?;
        let (namespace, context) = (&shop.namespace, ControlPlane::CONTEXT);
        shop.write(
            "belay.yaml",
            &format!(
                "service: api\nrelease: {{ manifests: ./k8s }}\nenvironments:\n  {ENVIRONMENT}:\n    \
                 target: {{ kubernetes: {{ context: {context}, namespace: {namespace} }} }}\n{lines}"
            ),
        )?;
        shop.write("k8s/api.yaml", &manifests("api", &image(1), PODS))?;
        shop.deploy(1).await?;
        Ok(shop)
    }

    /// With nothing in its project.
    pub(crate) fn empty(belay: &Path, plane: &'a ControlPlane) -> Result<Self> {
        let mut home = Home::new(belay, ENVIRONMENT)?;
        home.set("KUBECONFIG", plane.kubeconfig().display().to_string());
        let namespace = plane.namespace().map_err(|error| anyhow!(error))?;
        Ok(Self {
            home,
            plane,
            namespace,
        })
    }

    /// See [`Home::set`].
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.home.set(name, value);
    }

    /// Puts a release out; answers the deployment.
    pub(crate) async fn deploy(&self, release: u32) -> Result<Value> {
        let image = image(release);
        let line = ["deploy", "-e", ENVIRONMENT, "--image", &image];
        Ok(self.run(&line).await?["deployment"].clone())
    }

    /// Who is behind one of the namespace's Services, from now on.
    pub(crate) async fn endpoints(&self, service: &str) -> Result<Endpoints> {
        Endpoints::of(self.plane, &self.namespace, service).await
    }

    /// Has the real client do something in the namespace; answers what it says.
    pub(crate) async fn kubectl(&self, words: &[&str]) -> Result<String> {
        let mut kubectl = Command::from(self.plane.kubectl());
        kubectl.args(["-n", &self.namespace]).args(words);
        said(kubectl, &format!("kubectl {}", words.join(" "))).await
    }

    /// Has the real client make objects.
    pub(crate) async fn apply(&self, name: &str, manifests: &str) -> Result<()> {
        let file = format!("plain/{name}.yaml");
        self.write(&file, manifests)?;
        let file = self.path().join(file).display().to_string();
        self.kubectl(&["apply", "-f", &file]).await?;
        Ok(())
    }
}

/// Runs a command that has to exit with 0; answers what it says.
pub(crate) async fn said(mut command: Command, line: &str) -> Result<String> {
    let done = command
        .output()
        .await
        .with_context(|| format!("run {line}"))?;
    if !done.status.success() {
        let talk = String::from_utf8_lossy(&done.stderr);
        bail!("{line}: {}\n{talk}", done.status);
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// That of a release.
pub(crate) fn image(release: u32) -> String {
    format!("shop/api:{release}")
}

/// A Deployment and its Service, both of this name.
pub(crate) fn manifests(name: &str, image: &str, pods: usize) -> String {
    format!(
        "{}---\n{{ apiVersion: v1, kind: Service, metadata: {{ name: {name} }}, \
         spec: {{ selector: {{ app: {name} }}, ports: [{{ port: 8080 }}] }} }}\n",
        deployment(name, name, image, pods),
    )
}

/// A Deployment whose pods have a label `app`.
pub(crate) fn deployment(name: &str, app: &str, image: &str, pods: usize) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name} }}\nspec:\n  replicas: {pods}\n  \
         selector: {{ matchLabels: {{ app: {app} }} }}\n  template:\n    metadata: {{ labels: {{ app: {app} }} }}\n    \
         spec: {{ containers: [{{ name: api, image: \"{image}\", ports: [{{ containerPort: 8080 }}] }}] }}\n"
    )
}
