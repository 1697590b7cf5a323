//! The configuration: read (`raw`), checked and finished (`finish`) into [`Settings`] that cannot be wrong.

pub mod settings;

pub use settings::Settings;
