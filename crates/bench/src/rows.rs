//! Figures: collected, printed as the Markdown table that docs/performance.md has, and written as JSON.

use anyhow::{Context, Result};
use serde::Serialize;
use std::path::PathBuf;

/// One figure, as it stands in `target/bench/NAME.json`.
#[derive(Debug, Serialize)]
struct Row {
    figure: String,
    value: f64,
    unit: &'static str,
    /// What it should be; absent: it is there to compare with.
    aim: Option<String>,
    met: Option<bool>,
    /// How often it was measured.
    runs: usize,
    /// A missed one is a bug, however slow the machine is.
    #[serde(skip)]
    is_correctness: bool,
}

#[derive(Default)]
pub(crate) struct Rows(Vec<Row>);

impl Rows {
    /// A figure without an aim.
    pub(crate) fn plain(
        &mut self,
        figure: impl Into<String>,
        value: f64,
        unit: &'static str,
        runs: usize,
    ) {
        self.0.push(Row {
            figure: figure.into(),
            value: rounded(value),
            unit,
            aim: None,
            met: None,
            runs,
            is_correctness: false,
        });
    }

    /// A speed that should be at most this.
    pub(crate) fn at_most(
        &mut self,
        figure: impl Into<String>,
        value: f64,
        unit: &'static str,
        aim: f64,
        runs: usize,
    ) {
        self.plain(figure, value, unit, runs);
        self.aim(format!("<= {aim}"), value <= aim);
    }

    /// A rate that should be at least this.
    pub(crate) fn at_least(
        &mut self,
        figure: impl Into<String>,
        value: f64,
        unit: &'static str,
        aim: f64,
        runs: usize,
    ) {
        self.plain(figure, value, unit, runs);
        self.aim(format!(">= {aim}"), value >= aim);
    }

    /// A count that must be at most this.
    pub(crate) fn must(
        &mut self,
        figure: impl Into<String>,
        value: usize,
        unit: &'static str,
        aim: usize,
        runs: usize,
    ) {
        self.plain(figure, value as f64, unit, runs);
        let text = if aim == 0 {
            "0".to_owned()
        } else {
            format!("<= {aim}")
        };
        self.aim(text, value <= aim);
        if let Some(row) = self.0.last_mut() {
            row.is_correctness = true;
        }
    }

    fn aim(&mut self, aim: String, met: bool) {
        if let Some(row) = self.0.last_mut() {
            row.aim = Some(aim);
            row.met = Some(met);
        }
    }

    pub(crate) fn are_correct(&self) -> bool {
        let missed = |row: &Row| row.is_correctness && row.met == Some(false);
        !self.0.iter().any(missed)
    }

    pub(crate) fn print(&self) {
        println!("| figure | value | unit | aim | met | runs |\n|---|---:|---|---|---|---:|");
        for row in &self.0 {
            let met = match row.met {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            let aim = row.aim.as_deref().unwrap_or_default();
            println!(
                "| {} | {} | {} | {aim} | {met} | {} |",
                row.figure, row.value, row.unit, row.runs
            );
        }
    }

    pub(crate) fn write(&self, name: &str) -> Result<()> {
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let dir = PathBuf::from(target).join("bench");
        std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let path = dir.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&self.0)? + "\n";
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        eprintln!("written to {}", path.display());
        Ok(())
    }
}

/// Three digits are more than a noisy machine can tell.
fn rounded(value: f64) -> f64 {
    let digits = if value.abs() >= 100.0 { 1.0 } else { 1000.0 };
    (value * digits).round() / digits
}

/// The value that this share of the samples (0 to 100) is not above: nearest rank, no interpolation.
pub(crate) fn percentile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_samples() {
        let check = |share, expect| {
            let samples: Vec<f64> = (1..=10).map(f64::from).collect();
            assert_eq!(percentile(&samples, share), expect, "p{share}");
        };
        check(50.0, 5.0);
        check(99.0, 10.0);
        check(0.0, 1.0);
        assert_eq!(percentile(&[3.0], 99.0), 3.0);
    }
}
