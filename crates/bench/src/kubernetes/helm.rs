//! A Helm release's way back, against `helm rollback --wait` with the same helm on a release of the same chart.

use super::plain;
use super::shop::{ENVIRONMENT, PODS, Shop, deployment, said};
use crate::home::ms;
use crate::rows::Rows;
use anyhow::{Context, Result, anyhow};
use belay_load::now_us;
use belay_testbed::{ControlPlane, Helm};
use std::path::Path;
use tokio::process::Command;

const RUNS: u32 = 8;

pub(crate) async fn measure(belay: &Path, plane: &ControlPlane, rows: &mut Rows) -> Result<()> {
    for version in [Helm::V3, Helm::V4] {
        let (own, bare) = go_back_often(belay, plane, version).await?;
        let name = match version {
            Helm::V3 => "helm 3",
            Helm::V4 => "helm 4",
        };
        let bare = plain(
            rows,
            &format!("{name}: `helm rollback --wait`, 4 pods: typed -> done"),
            &bare,
        );
        let runs = own.len();
        let own = plain(
            rows,
            &format!("{name}: `belay rollback`, 4 pods: typed -> done"),
            &own,
        );
        let figure = format!("{name}: `belay rollback` : `helm rollback --wait`, p50");
        rows.at_most(figure, own / bare, "times", 1.0, runs);
    }
    Ok(())
}

async fn go_back_often(
    belay: &Path,
    plane: &ControlPlane,
    version: Helm,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut shop = Shop::empty(belay, plane)?;
    let program = version.program().map_err(|error| anyhow!(error))?;
    let folder = program.parent().context("its folder")?;
    let path = std::env::var("PATH").unwrap_or_default();
    shop.set("PATH", format!("{}:{path}", folder.display()));
    let namespace = shop.namespace.clone();
    let context = ControlPlane::CONTEXT;
    shop.write(
        "belay.yaml",
        &format!(
            "service: api\nrelease: {{ chart: ./chart, values_from: {{ image.tag: image.tag }} }}\nenvironments:\n  {ENVIRONMENT}:\n    \
             target: {{ helm: {{ context: {context}, namespace: {namespace} }} }}\n    keep: {{ bake: 0s }}\n"
        ),
    )?;
    shop.write(
        "chart/Chart.yaml",
        "{ apiVersion: v2, name: api, version: 1.0.0 }\n",
    )?;
    shop.write("chart/values.yaml", "image: { tag: \"1\" }\n")?;
    let template = deployment(
        "{{ .Release.Name }}",
        "{{ .Release.Name }}",
        "shop/api:{{ .Values.image.tag }}",
        PODS,
    );
    let template = template.replace("{{ .Release.Name }}", "'{{ .Release.Name }}'");
    shop.write("chart/templates/api.yaml", &template)?;
    let helm = async |words: &[&str]| {
        let helm = plane.helm(version).map_err(|error| anyhow!(error))?;
        let mut helm = Command::from(helm);
        helm.args(["-n", &namespace]).args(words);
        said(helm, &format!("helm {}", words.join(" "))).await
    };
    let chart = shop.path().join("chart").display().to_string();
    shop.deploy(1).await?;
    helm(&["upgrade", "--install", "plain", &chart, "--wait"]).await?;
    let (mut own, mut bare) = (Vec::new(), Vec::new());
    for release in 2..2 + RUNS {
        shop.deploy(release).await?;
        let typed_us = now_us();
        shop.roll_back().await?;
        own.push(ms(now_us() - typed_us));

        let tag = format!("image.tag={release}");
        let upgrade = ["upgrade", "plain", &chart, "--wait", "--set-string", &tag];
        helm(&upgrade).await?;
        let typed_us = now_us();
        helm(&["rollback", "plain", "--wait"]).await?;
        bare.push(ms(now_us() - typed_us));
        eprint!("\r{version:?}: {} of {RUNS}", release - 1);
    }
    eprintln!();
    Ok((own, bare))
}
