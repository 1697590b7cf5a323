//! Every file of `bad/` is refused, with exactly the words beside it.
//!
//! `BLESS=1 cargo test --test configuration` writes the words anew: read them aloud before they are committed.

use std::fs;
use std::path::{Path, PathBuf};

use plimsoll::config;

#[test]
fn every_bad_file_is_refused_with_its_words() {
    let files = bad_files();
    assert!(files.len() >= 25, "the table of bad files is there: {files:?}");
    let wrong: Vec<_> = files.iter().filter_map(|file| mismatch(file)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How what is said of a file differs from the words beside it.
fn mismatch(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let text = fs::read_to_string(file).unwrap();
    let said = match config::parse(&text, name, &|_| None) {
        Ok(_) => return Some(format!("{name} is accepted")),
        Err(problems) => problems.to_string(),
    };
    let words = file.with_extension("txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&words, &said).unwrap();
    }
    let expected = fs::read_to_string(&words).unwrap_or_default();
    (said != expected).then(|| format!("{name}: expected\n{expected}\nbut it says\n{said}"))
}

fn bad_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configuration/bad");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}
