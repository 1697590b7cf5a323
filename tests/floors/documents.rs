//! Links in the documents: each leads to a file that is there, and to a heading that is in it.

use std::path::{Path, PathBuf};

/// A document and its text.
pub(crate) struct Document {
    /// Relative to the root of the workspace.
    pub(crate) path: PathBuf,
    /// Markdown.
    pub(crate) text: String,
}

/// Links that lead nowhere. `exists` answers for every file of the workspace.
pub(crate) fn broken_links(documents: &[Document], exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for document in documents {
        for (line, link) in links(&document.text).filter(|(_, link)| !is_remote(link)) {
            let (file, anchor) =
                link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target = resolve(&document.path, file);
            let place = format!("{}:{line}", document.path.display());
            let heads = documents.iter().find(|other| other.path == target).map(|other| anchors(&other.text));
            if !exists(&target) {
                found.push(format!("{place}: {link} leads to {}, which is not there", target.display()));
            } else if let (Some(anchor), Some(heads)) = (anchor, heads)
                && !heads.iter().any(|head| head == anchor)
            {
                found.push(format!("{place}: {} has no heading #{anchor}", target.display()));
            }
        }
    }
    found
}

/// Line and target of every `[text](target)` outside code.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(line, content)| {
        let targets = content.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        targets.filter(|target| !target.is_empty()).map(move |target| (line, target))
    })
}

/// Numbered lines that are not inside a fenced block.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((at + 1, line))
    })
}

fn is_remote(link: &str) -> bool {
    ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme))
}

fn resolve(from: &Path, file: &str) -> PathBuf {
    if file.is_empty() {
        return from.to_path_buf();
    }
    let mut target = from.parent().unwrap_or(Path::new("")).to_path_buf();
    for part in Path::new(file) {
        if part == ".." {
            target.pop();
        } else if part != "." {
            target.push(part);
        }
    }
    target
}

/// The anchors that a forge makes of headings: lower case, spaces to hyphens, punctuation gone.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    headings.map(|(_, line)| anchor(line.trim_start_matches('#').trim())).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<String> {
        let documents = [
            Document { path: "docs/a.md".into(), text: text.to_owned() },
            Document {
                path: "docs/b.md".into(),
                text: "# The first `key`\n```\n# not a heading\n```\n".to_owned(),
            },
        ];
        let files = ["docs/a.md", "docs/b.md", "README.md"];
        broken_links(&documents, |path| files.iter().any(|file| path == Path::new(file)))
    }

    #[test]
    fn good_links_pass() {
        let good = "[b](b.md) [key](b.md#the-first-key) [up](../README.md) [web](https://example.com/x) [here](#top)\n# Top";
        assert_eq!(check(good), Vec::<String>::new());
    }

    #[test]
    fn broken_links_are_found() {
        assert_eq!(check("[c](c.md)").len(), 1);
        assert_eq!(check("[key](b.md#not-a-heading)").len(), 1);
        assert_eq!(check("[here](#nowhere)").len(), 1);
        assert_eq!(check("fine\n[x](../missing.md) [y](gone.md)").len(), 2);
    }

    #[test]
    fn code_is_not_prose() {
        assert!(check("```\n[c](c.md)\n```").is_empty());
    }
}
