//! The dataplane plane.
