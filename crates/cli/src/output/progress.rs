//! Progress as it happens, on stderr: a spinner per running step on a terminal, plain lines with the same words otherwise.

use crate::output::story::{Mark, Say, Story};
use crate::output::{Colour, Output, warn};
use belay_model::id::StepId;
use belay_runtime::Update;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(100);

/// Shows one deployment.
pub(crate) struct Progress {
    output: Output,
    story: Story,
    /// Absent: plain lines.
    screen: Option<MultiProgress>,
    bars: BTreeMap<StepId, (ProgressBar, String)>,
    /// Entries up to this one were told before.
    known: u64,
}

impl Progress {
    pub(crate) fn new(output: Output, known: u64) -> Self {
        let screen = (output.is_terminal() && !output.quiet)
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self {
            output,
            story: Story::default(),
            screen,
            bars: BTreeMap::new(),
            known,
        }
    }

    pub(crate) fn show(&mut self, update: &Update) {
        if self.output.quiet {
            return;
        }
        let known = update
            .entries
            .iter()
            .filter(|entry| entry.seq <= self.known);
        let (old, new) = update.entries.split_at(known.count());
        let before_us = old.last().map_or(0, |entry| entry.at_us);
        let lines = update.lines.iter().filter(|line| line.at_us >= before_us);
        let lines: Vec<_> = lines.cloned().collect();
        // Gone through all the same: what comes refers to it.
        self.story.tell(old, &[]);
        for say in self.story.tell(new, &lines) {
            match say {
                Say::Note(text) => self.line(&text),
                Say::Begin { step, title } => self.begin(step, title),
                Say::Detail(text) => self.detail(&text),
                Say::End { step, mark, text } => self.end(step, mark, &text),
            }
        }
    }

    fn begin(&mut self, step: StepId, title: String) {
        let Some(screen) = &self.screen else {
            return self.line(&format!("→ {title}"));
        };
        if let Some((old, _)) = self.bars.remove(&step) {
            old.finish_and_clear();
        }
        let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed:>4}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = screen.add(ProgressBar::new_spinner().with_style(style));
        bar.set_message(title.clone());
        bar.enable_steady_tick(TICK);
        self.bars.insert(step, (bar, title));
    }

    fn detail(&mut self, text: &str) {
        // Steps run one after the other; the newest is the one that is talked about.
        match self.bars.values().next_back() {
            Some((bar, title)) => bar.set_message(format!("{title}: {text}")),
            None => self.line(&format!("  {text}")),
        }
    }

    fn end(&mut self, step: StepId, mark: Mark, text: &str) {
        if let Some((bar, _)) = self.bars.remove(&step) {
            bar.finish_and_clear();
        }
        let colour = match mark {
            Mark::Good => Colour::Green,
            Mark::Bad => Colour::Red,
            Mark::Unsure => Colour::Yellow,
        };
        let sign = self.output.paint(colour, mark.sign());
        self.line(&format!("{sign} {text}"));
    }

    fn line(&self, text: &str) {
        match &self.screen {
            Some(screen) => {
                let _ = screen.println(text);
            }
            None => warn(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        for (bar, _) in self.bars.values() {
            bar.finish_and_clear();
        }
    }
}
