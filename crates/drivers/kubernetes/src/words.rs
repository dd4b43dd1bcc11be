//! What steps are called.

use crate::params::is_theirs;
use belay_model::state::Resource;

/// How a workload is rolled.
pub(crate) fn roll(
    key: &str,
    want: &Resource,
    there: Option<&Resource>,
    replace_stuck: bool,
) -> String {
    let images = images(want);
    let mut more = match there.filter(|it| is_theirs(it)) {
        Some(there) => format!(", taken over from {}", managers(there)),
        None => String::new(),
    };
    if replace_stuck {
        more += ", and delete pods that are stuck";
    }
    match there {
        None => format!("create {key} with {images}"),
        // What differs is its configuration, or how far it is.
        Some(there) if self::images(there) == images => format!("roll {key}{more}"),
        Some(_) => format!("roll {key} to {images}{more}"),
    }
}

/// How a workload is brought up beside what is there.
pub(crate) fn stage(key: &str, want: &Resource, pods: u32) -> String {
    let pods = match pods {
        1 => "1 pod".to_owned(),
        pods => format!("{pods} pods"),
    };
    format!("create {key} with {pods} of {}", images(want))
}

fn managers(there: &Resource) -> String {
    let managers = there.facts["managers"].as_array().into_iter().flatten();
    let names = managers.filter_map(|it| it.as_str()?.strip_suffix(" (Update)"));
    let mut names: Vec<&str> = names
        .filter(|it| *it != "kube-controller-manager")
        .collect();
    names.dedup();
    names.join(", ")
}

fn images(resource: &Resource) -> String {
    let containers = &resource.spec["spec"]["template"]["spec"]["containers"];
    let containers = containers.as_array().into_iter().flatten();
    let images: Vec<&str> = containers.filter_map(|it| it["image"].as_str()).collect();
    images.join(", ")
}

/// A few of them by name.
pub(crate) fn list<'a>(keys: impl ExactSizeIterator<Item = &'a String>) -> String {
    const SHOWN: usize = 6;
    let more = keys.len().saturating_sub(SHOWN);
    let mut shown: Vec<String> = keys.take(SHOWN).cloned().collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}
