//! Programs that are built from Go modules, once: they are kept by the hash of what they were built from and with.

use crate::release::{cache, run};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules and their sums, and how pods behave.
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kubernetes");

/// The directory with `etcd`, `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`, `kubectl` and `kwok`.
/// Building them takes two cores about ten minutes, 3 GiB of memory and 4 GB of Go's own cache.
pub(crate) fn kubernetes() -> Result<PathBuf, String> {
    let read =
        |name| std::fs::read_to_string(files().join(name)).map_err(|e| format!("{name}: {e}"));
    let (modules, sums) = (read("go.mod")?, read("go.sum")?);
    let version = modules
        .split_whitespace()
        .skip_while(|word| *word != "k8s.io/kubernetes");
    let version = version.skip(1).find(|word| word.starts_with('v'));
    let version = version.ok_or("go.mod names no version of Kubernetes")?;
    let minor = version.split('.').nth(1).unwrap_or_default();
    // What a release says of itself: clients refuse a server that has no version.
    let package = "k8s.io/component-base/version";
    let flags = format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor=1 -X {package}.gitMinor={minor} \
         -X {package}.gitTreeState=clean -X {package}.gitCommit=0000000 -X {package}.buildDate=1970-01-01T00:00:00Z"
    );
    built("kubernetes", &[&modules, &sums, &flags], |out| {
        let mut build = go();
        build.args([
            "build",
            "-mod=readonly",
            "-trimpath",
            "-ldflags",
            &flags,
            "-o",
        ]);
        run(build.arg(out).arg("tool").current_dir(files()))?;
        // It is called after the last part of its module.
        std::fs::rename(out.join("server"), out.join("etcd")).map_err(|e| format!("etcd: {e}"))
    })
}

/// The directory with `helm` of that version: the release as its authors lock it, checked against Go's checksum database.
pub(crate) fn helm(package: &str) -> Result<PathBuf, String> {
    installed("helm", package)
}

/// The directory with `registry`, which keeps OCI artifacts in its memory.
pub(crate) fn registry() -> Result<PathBuf, String> {
    let package = "github.com/google/go-containerregistry/cmd/registry@v0.20.8";
    installed("registry", package)
}

fn installed(name: &str, package: &str) -> Result<PathBuf, String> {
    built(name, &[package], |out| {
        let mut install = go();
        install.args(["install", "-trimpath", "-ldflags", "-s -w", package]);
        run(install.env("GOBIN", out))
    })
}

/// The definitions of routes and Gateways of the Gateway API. The newest version that the Go of Kubernetes' own modules can read.
pub(crate) fn routes() -> Result<[PathBuf; 3], String> {
    let dir = module("sigs.k8s.io/gateway-api@v1.6.1")?.join("config/crd/standard");
    let file = |kind: &str| dir.join(format!("gateway.networking.k8s.io_{kind}.yaml"));
    Ok(["httproutes", "grpcroutes", "gateways"].map(file))
}

/// Where the kinds of those are defined that apply what a repository says, or move traffic by themselves: Argo CD, Argo Rollouts, Flagger and
/// Flux. The modules of Flux's own controllers are not all to be had; its operator's has the manifests of all of them.
pub(crate) fn deliverers() -> Result<Vec<PathBuf>, String> {
    let argo_cd = module("github.com/argoproj/argo-cd/v3@v3.5.7")?.join("manifests/crds");
    let rollouts = module("github.com/argoproj/argo-rollouts@v1.10.1")?.join("manifests/crds");
    let flagger = module("github.com/fluxcd/flagger@v1.36.1")?.join("artifacts/flagger");
    let operator = "github.com/controlplaneio-fluxcd/flux-operator@v0.59.0";
    let flux = module(operator)?.join("config/data/flux/v2.7.5");
    let of_flux = ["source", "kustomize", "helm"].map(|it| format!("{it}-controller.yaml"));
    let mut files = vec![
        argo_cd.join("application-crd.yaml"),
        argo_cd.join("applicationset-crd.yaml"),
        rollouts.join("rollout-crd.yaml"),
        flagger.join("crd.yaml"),
    ];
    files.extend(of_flux.map(|file| flux.join(file)));
    Ok(files)
}

/// The folder of a module, checked against Go's checksum database.
fn module(module: &str) -> Result<PathBuf, String> {
    let modules = go().args(["env", "GOMODCACHE"]).output();
    let modules = modules.map_err(|error| format!("go: {error}"))?;
    let modules = PathBuf::from(String::from_utf8_lossy(&modules.stdout).trim());
    let dir = modules.join(module);
    let fetched = run(go()
        .args(["mod", "download", module])
        .env("GOFLAGS", "-mod=mod")
        .current_dir("/"));
    // One that a newer Go is needed to build is fetched all the same, and its files are all that is wanted.
    match fetched {
        Err(error) if !(error.contains("requires go") && dir.is_dir()) => Err(error),
        _ => Ok(dir),
    }
}

pub(crate) fn files() -> &'static Path {
    Path::new(FILES)
}

fn go() -> Command {
    let mut go = Command::new("go");
    go.env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .env("GOFLAGS", "-buildvcs=false");
    go
}

/// A directory that `make` filled, now or before. Whoever comes while it is being made waits.
fn built(
    name: &str,
    from: &[&str],
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let version = go().args(["env", "GOVERSION"]).output();
    let version = version.map_err(|error| format!("go: {error}; run `make needs`"))?;
    let mut hash = Sha256::new_with_prefix(&version.stdout);
    for part in from {
        hash.update(part);
        hash.update([0]);
    }
    let hash = hex::encode(hash.finalize());
    let cache = cache()?;
    let ready = cache.join(format!("{name}-{}", &hash[..16]));
    std::fs::create_dir_all(&cache).map_err(|e| format!("{}: {e}", cache.display()))?;
    let lock = File::create(cache.join(format!("{name}.lock"))).map_err(|e| e.to_string())?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|e| e.to_string())?;
    if ready.exists() {
        return Ok(ready);
    }
    // Beside the place where it goes, so that it appears whole or not at all.
    let draft = tempfile::tempdir_in(&cache).map_err(|e| e.to_string())?;
    make(draft.path())?;
    std::fs::rename(draft.keep(), &ready).map_err(|e| format!("{}: {e}", ready.display()))?;
    Ok(ready)
}
