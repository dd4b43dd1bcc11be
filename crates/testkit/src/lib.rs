//! Simulated worlds, fault plans, fake clock, crash runner; for tests only
