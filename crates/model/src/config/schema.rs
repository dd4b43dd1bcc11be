//! The JSON Schema of `belay.yaml`, for editors. `belay.schema.json` is this function's committed answer.

use schemars::generate::SchemaSettings;

use super::Config;

/// The JSON Schema (draft 2020-12) of `belay.yaml`.
pub fn schema() -> serde_json::Value {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Config>();
    schema.to_value()
}
