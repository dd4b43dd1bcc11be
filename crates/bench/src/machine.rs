//! What it ran on, without names: kind, size, and how busy it was.

use std::fs::read_to_string;

pub(crate) struct Machine {
    load_before: String,
}

impl Machine {
    pub(crate) fn look() -> Self {
        Self {
            load_before: load(),
        }
    }

    pub(crate) fn print(&self) {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let memory = read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = memory
            .split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse::<u64>().ok());
        let cpu = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map_or("", |rest| rest.trim_start_matches([' ', '\t', ':']));
        let system = rustix::system::uname();
        let release = system.release().to_string_lossy();
        // The rest may name a provider.
        let version: Vec<&str> = release.split('.').take(2).collect();
        println!(
            "\n{cores} cores ({model}), {} GiB of memory, Linux {}, release build; load average {} before, {} after\n",
            kib.unwrap_or(0) >> 20,
            version.join("."),
            self.load_before,
            load(),
        );
    }
}

fn load() -> String {
    let text = read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
