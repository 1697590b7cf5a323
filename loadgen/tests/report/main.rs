//! The reports: golden tables, files read back by other programs, and the page in a real browser.

mod browser;
mod compare;
mod files;
mod sample;
mod tables;
