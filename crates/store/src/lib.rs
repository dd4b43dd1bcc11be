//! The durable places: journal, environment stream, evidence, sealed blobs, artifacts
