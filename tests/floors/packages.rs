//! What the manifests say: read line by line, which is enough for the one way in which ours are written.

/// The crates that a manifest depends on for its program, as code names them (`-` is `_` there).
pub(crate) fn dependencies(manifest: &str) -> Vec<String> {
    let named = entries(manifest).filter(|(section, ..)| section == "dependencies");
    named.map(|(_, name, _)| name.replace('-', "_")).collect()
}

/// Entries of any dependency section that lead to `package`, under whatever name.
pub(crate) fn depends_on(manifest: &str, package: &str) -> Vec<String> {
    let renamed = format!("package=\"{package}\"");
    let leads = |name: &str, value: &str| {
        name == package || value.split_whitespace().collect::<String>().contains(&renamed)
    };
    let sections = entries(manifest).filter(|(section, ..)| section.ends_with("dependencies"));
    let found = sections.filter(|(_, name, value)| leads(name, value));
    found.map(|(section, name, _)| format!("[{section}] {name}: leads to {package}, and must not")).collect()
}

/// `(section, key, value)` of each line. `[dependencies.name]` is an entry of `dependencies`.
fn entries(manifest: &str) -> impl Iterator<Item = (String, String, String)> {
    let mut section = String::new();
    let lines = manifest.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(move |line| {
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = header.to_owned();
            let (parent, name) = header.rsplit_once('.')?;
            return Some((parent.to_owned(), name.to_owned(), String::new()));
        }
        let (name, value) = line.split_once('=')?;
        let name = name.trim().trim_end_matches(".workspace");
        Some((section.clone(), name.to_owned(), value.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_in_both_forms() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\n# a comment = 1\nio-uring = \"0.6\"\n[dependencies.bytes]\nversion = \"1\"";
        assert_eq!(dependencies(manifest), ["io_uring", "bytes"]);
    }

    #[test]
    fn a_forbidden_package_is_found_under_any_name() {
        for manifest in [
            "[dependencies]\nloadgen = { path = \"loadgen\" }",
            "[dev-dependencies]\nloadgen.workspace = true",
            "[dependencies]\nwitness = { path = \"loadgen\", package = \"loadgen\" }",
            "[dependencies.loadgen]\npath = \"loadgen\"",
            "[target.'cfg(unix)'.dependencies]\nloadgen = \"1\"",
        ] {
            assert_eq!(depends_on(manifest, "loadgen").len(), 1, "{manifest}");
        }
        assert!(
            depends_on("[workspace]\nmembers = [\"loadgen\"]\n[dependencies]\nbytes = \"1\"", "loadgen")
                .is_empty()
        );
    }
}
