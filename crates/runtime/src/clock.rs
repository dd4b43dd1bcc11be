//! The system's clock: the only place that reads it.
