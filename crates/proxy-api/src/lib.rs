//! Admin API types and client of belay proxy
