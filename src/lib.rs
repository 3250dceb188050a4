//! driftrun.
