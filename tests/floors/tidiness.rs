//! What keeps a house tidy: names of files, marks of unfinished work, unsafe only where it is listed, no dead file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::source::Source;

/// The files that may hold `unsafe`, each with the reason why no safe wrapper does the job.
pub(crate) const UNSAFE: &[(&str, &str)] = &[
    ("src/dataplane/buffers.rs", "monoio's buffer traits are unsafe to implement"),
    (
        "src/dataplane/socket.rs",
        "a read and a write at a time on one stream, which the runtime's API would forbid",
    ),
    (
        "src/dataplane/datagrams.rs",
        "no crate has both recvmmsg and a sendmmsg with control messages of each message",
    ),
    ("src/dataplane/datagrams/ancillary.rs", "control messages lie in memory as C has them"),
    ("src/shared/child.rs", "`pre_exec` is unsafe: it runs between fork and exec"),
    ("src/shared/memory.rs", "mimalloc's call that gives memory back is a C function without a wrapper"),
    ("tests/allocations/counting.rs", "an allocator is unsafe to write; this one counts and hands on"),
    ("loadgen/src/node/socket.rs", "monoio gives the descriptor as a number, rustix wants a borrowed one"),
];

/// Names that say nothing of what is in a file.
const VAGUE: &[&str] = &["utils", "util", "common", "manager", "helper", "helpers", "misc", "stuff"];

/// Lines of a file in `src`: beyond it, it holds more than one idea.
const LINES_MAX: usize = 600;

/// Marks of work that somebody meant to finish. Spelled in two halves, or this file would be its own violation.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];

/// `mod.rs`, names that say nothing, files that are too long.
pub(crate) fn naming(source: &Source) -> Vec<String> {
    let stem = source.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let place = source.path.display();
    let mut found = Vec::new();
    if stem == "mod" {
        found.push(format!("{place}: a module is `name.rs` beside `name/`, never `mod.rs`"));
    }
    if source.path.iter().any(|part| VAGUE.contains(&part.to_string_lossy().trim_end_matches(".rs"))) {
        found.push(format!("{place}: name it by what is in it"));
    }
    let lines = source.text.lines().count();
    if source.path.iter().any(|part| part == "src") && lines > LINES_MAX {
        found.push(format!("{place}: {lines} lines, more than {LINES_MAX}: which two ideas are in it?"));
    }
    found
}

/// Marks of unfinished work in any text, comments above all.
pub(crate) fn marks(path: &Path, text: &str) -> Vec<String> {
    let marked =
        |line: &str| line.split(|c: char| !c.is_ascii_alphabetic()).any(|word| MARKS.contains(&word));
    let lines = text.lines().enumerate().filter(|(_, line)| marked(line));
    lines
        .map(|(at, _)| {
            format!("{}:{}: finish it, or say in words why it is as it is", path.display(), at + 1)
        })
        .collect()
}

/// An ignored test that does not say why.
pub(crate) fn ignores(source: &Source) -> Vec<String> {
    let bare = concat!("#[", "ignore]");
    let lines = source.text.lines().enumerate().filter(|(_, line)| line.trim() == bare);
    lines
        .map(|(at, _)| format!("{}:{}: `#[ignore = \"the reason\"]`", source.path.display(), at + 1))
        .collect()
}

/// `unsafe` outside the listed files; a listed file without a reason at its top, or without `unsafe`.
pub(crate) fn unsafe_code(sources: &[Source], listed: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let first = source.names.iter().find(|name| name.segments == ["unsafe"]);
        let is_listed = listed.iter().any(|(path, _)| source.path == Path::new(path));
        let place = source.path.display();
        match (first, is_listed) {
            (Some(name), false) => {
                found.push(format!("{place}:{}: `unsafe` in a file that is not listed", name.line))
            }
            (None, true) => found.push(format!("{place}: listed for `unsafe`, and has none")),
            (Some(_), true) if !allows_with_reason(&source.text) => {
                found.push(format!("{place}: must open with `#![allow(unsafe_code, reason = \"...\")]`"));
            }
            _ => {}
        }
    }
    let exists = |path: &str| sources.iter().any(|source| source.path == Path::new(path));
    let gone = listed.iter().filter(|(path, _)| !exists(path));
    found.extend(gone.map(|(path, _)| format!("{path}: listed for `unsafe`, and does not exist")));
    found
}

fn allows_with_reason(text: &str) -> bool {
    let compact: String = text.split_whitespace().collect();
    compact.contains("#![allow(unsafe_code,reason=\"")
}

/// Files that no `mod` leads to: the compiler never reads them.
pub(crate) fn dead(sources: &[Source]) -> Vec<String> {
    let mut alive: BTreeSet<PathBuf> = BTreeSet::new();
    let mut queue: Vec<(&Source, bool)> =
        sources.iter().filter(|source| source.is_root()).map(|source| (source, true)).collect();
    while let Some((source, owner)) = queue.pop() {
        if !alive.insert(source.path.clone()) {
            continue;
        }
        for module in &source.modules {
            let files: Vec<PathBuf> =
                source.files_of(module, owner).iter().map(|file| lexical(file)).collect();
            let found = sources.iter().filter(|source| files.contains(&source.path));
            queue.extend(found.map(|source| (source, module.path.is_some())));
        }
    }
    let lost = sources.iter().filter(|source| !alive.contains(&source.path));
    lost.map(|source| format!("{}: no `mod` leads here", source.path.display())).collect()
}

/// A path without `..`: `tests/a/../b.rs` is `tests/b.rs`.
fn lexical(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path {
        if part == ".." {
            clean.pop();
        } else {
            clean.push(part);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::parse(path, text)
    }

    #[test]
    fn vague_and_old_names_are_found() {
        for path in ["src/logic/mod.rs", "src/logic/utils.rs", "src/common/x.rs", "loadgen/src/manager.rs"] {
            assert_eq!(naming(&source(path, "")).len(), 1, "{path}");
        }
        assert!(naming(&source("src/logic/route.rs", "")).is_empty());
    }

    #[test]
    fn a_long_file_is_found() {
        let long = "\n".repeat(LINES_MAX + 1);
        assert_eq!(naming(&source("src/logic/route.rs", &long)).len(), 1);
        assert!(naming(&source("tests/conformance/bodies.rs", &long)).is_empty());
    }

    #[test]
    fn marks_are_found_in_comments_and_not_inside_words() {
        let text = format!("fine\n// {}: later\nlet method = 1; // MASTODON\n", MARKS[0]);
        assert_eq!(marks(Path::new("a.rs"), &text).len(), 1);
    }

    #[test]
    fn an_ignored_test_says_why() {
        let bare = format!("{}\n#[test]\nfn f() {{}}", concat!("#[", "ignore]"));
        assert_eq!(ignores(&source("tests/t.rs", &bare)).len(), 1);
        assert!(ignores(&source("tests/t.rs", "#[ignore = \"needs Docker\"] fn f() {}")).is_empty());
    }

    #[test]
    fn unsafe_is_found_where_it_is_not_listed_and_missed_where_it_is() {
        let block = "fn f() { unsafe { g() } }";
        let opened = format!("#![allow(\n    unsafe_code,\n    reason = \"no wrapper\"\n)]\n{block}");
        let listed = [("src/dataplane/a.rs", "why")];
        let check = |path: &str, text: &str| unsafe_code(&[source(path, text)], &listed).len();
        // The listed file itself is missing in the first: that is the second violation.
        assert_eq!(check("src/dataplane/b.rs", block), 2);
        assert_eq!(check("src/dataplane/a.rs", block), 1);
        assert_eq!(check("src/dataplane/a.rs", "fn f() {}"), 1);
        assert_eq!(check("src/dataplane/a.rs", &opened), 0);
    }

    #[test]
    fn a_file_that_no_module_declares_is_dead() {
        let sources = [
            source("src/lib.rs", "pub mod a;"),
            source("src/a.rs", "mod b; mod c { mod d; }"),
            source("src/a/b.rs", ""),
            source("src/a/c/d.rs", ""),
            source("src/a/lost.rs", ""),
            source("tests/t.rs", "#[path = \"harness/h.rs\"] mod h;"),
            source("tests/harness/h.rs", "mod i;"),
            source("tests/harness/i.rs", ""),
            source("tests/u/main.rs", "#[path = \"../harness/h.rs\"] mod h; mod v;"),
            source("tests/u/v.rs", ""),
        ];
        assert_eq!(dead(&sources), ["src/a/lost.rs: no `mod` leads here"]);
    }
}
