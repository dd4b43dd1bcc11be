//! The data plane: routes, groups, weights, health, drain, counters
