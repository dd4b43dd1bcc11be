//! Which Services lead to what runs. Pure.

use super::pods;
use crate::workload::is_served_by;
use serde_json::Value;

/// The names of the Services among these objects that send traffic to a workload among them, as they are ordered.
pub fn services(objects: &[Value]) -> Vec<String> {
    let workloads: Vec<&Value> = objects.iter().filter(|it| pods::is_workload(it)).collect();
    let leads = |it: &&Value| workloads.iter().any(|workload| is_served_by(it, workload));
    let services = objects
        .iter()
        .filter(|it| it["kind"] == "Service" && it["apiVersion"] == "v1");
    let names = services
        .filter(leads)
        .filter_map(|it| it["metadata"]["name"].as_str());
    names.map(str::to_owned).collect()
}
