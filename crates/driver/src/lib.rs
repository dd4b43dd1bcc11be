//! What a driver is: the Driver, Router and Artifacts traits, their errors and the conformance suite
