//! The configuration, through the library and the real binary: what is accepted, what is refused, and with which words.

mod bad_files;
mod command;
mod documentation;
mod examples;
mod settings;
