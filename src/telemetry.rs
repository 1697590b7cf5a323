//! The telemetry plane.
