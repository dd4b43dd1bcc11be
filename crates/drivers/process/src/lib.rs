//! Local processes as a platform: supervisors, groups of instances
