//! Holds the walls of docs/architecture.md by reading the sources: who may name whom, where `unsafe` may stand,
//! what files may be called. Every rule has a test beside it that proves it catches what it is for.

#[path = "floors/documents.rs"]
mod documents;
#[path = "floors/packages.rs"]
mod packages;
#[path = "floors/source.rs"]
mod source;
#[path = "floors/tidiness.rs"]
mod tidiness;
#[path = "floors/walls.rs"]
mod walls;

use std::fs;
use std::path::{Path, PathBuf};

use documents::Document;
use source::Source;

#[test]
fn no_floor_knows_what_is_above_or_beside_it() {
    let dependencies = packages::dependencies(&read("Cargo.toml"));
    assert!(
        dependencies.iter().any(|name| name == "monoio"),
        "Cargo.toml was not understood: {dependencies:?}"
    );
    let sources = sources(&["src"]);
    assert!(sources.len() > 10, "the sources were not found");
    hold(sources.iter().flat_map(|source| walls::violations(source, &dependencies)));
}

#[test]
fn the_witness_and_the_accused_share_no_code() {
    let mut found = packages::depends_on(&read("Cargo.toml"), "loadgen");
    found.extend(packages::depends_on(&read("loadgen/Cargo.toml"), "plimsoll"));
    hold(found.into_iter());
}

#[test]
fn unsafe_stands_only_where_it_is_listed() {
    hold(tidiness::unsafe_code(&all_sources(), tidiness::UNSAFE).into_iter());
}

#[test]
fn files_are_named_by_what_is_in_them() {
    hold(all_sources().iter().flat_map(tidiness::naming));
}

#[test]
fn no_work_is_left_unfinished() {
    let folders = ["src", "loadgen", "tests", "bench", "fuzz", "scripts", "config"];
    let files =
        folders.iter().flat_map(|folder| files(folder, &["rs", "sh", "py", "toml", "yaml", "conf", "cfg"]));
    hold(files.flat_map(|path| tidiness::marks(&path, &read(&path))));
    hold(all_sources().iter().flat_map(tidiness::ignores));
}

#[test]
fn every_source_file_is_compiled() {
    hold(tidiness::dead(&all_sources()).into_iter());
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let paths = files("docs", &["md"])
        .into_iter()
        .chain(["README.md".into()])
        .filter(|path| root().join(path).exists());
    let documents: Vec<Document> = paths.map(|path| Document { text: read(&path), path }).collect();
    hold(documents::broken_links(&documents, |path| root().join(path).exists()).into_iter());
}

/// Fails with all violations at once, one a line.
#[track_caller]
fn hold(violations: impl Iterator<Item = String>) {
    let found: Vec<String> = violations.collect();
    assert!(found.is_empty(), "{} violations:\n{}\n", found.len(), found.join("\n"));
}

fn all_sources() -> Vec<Source> {
    sources(&["src", "tests", "bench", "loadgen", "fuzz/fuzz_targets"])
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let files = folders.iter().flat_map(|folder| files(folder, &["rs"]));
    files.map(|path| Source::parse(path.clone(), &read(&path))).collect()
}

/// The files below `folder` with one of these endings, relative to the root; build output and hidden folders apart.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root().join(&folder)) else { continue };
        for entry in entries.map(|entry| entry.expect("the folder can be read")) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = folder.join(&name);
            let kind = entry.file_type().expect("the file's type is known");
            if kind.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if kind.is_file()
                && path.extension().is_some_and(|ending| endings.iter().any(|it| ending == *it))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
