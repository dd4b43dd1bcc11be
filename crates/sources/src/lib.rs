//! Verification that touches the world: HTTP, TCP, commands, proxy counters
