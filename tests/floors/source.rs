//! One source file, lexed: which names it uses, on which lines, and which files it declares as its modules.
//!
//! The lexer is the compiler's own grammar of tokens (`proc-macro2`): names in comments and strings do not count,
//! names inside macro calls do.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A source file and what was found in it.
pub(crate) struct Source {
    /// Relative to the root of the workspace, with `/`.
    pub(crate) path: PathBuf,
    /// As it stands on disk.
    pub(crate) text: String,
    /// Every name, paths in `use` trees written out in full.
    pub(crate) names: Vec<Name>,
    /// Every `mod name;`.
    pub(crate) modules: Vec<Module>,
}

/// A name as the source spells it: `tokio::spawn`, `.elapsed` (a method), `println!` (a macro), `unsafe`.
pub(crate) struct Name {
    /// `["tokio", "spawn"]`.
    pub(crate) segments: Vec<String>,
    /// Inline modules around it, outermost first: `super` counts from there.
    pub(crate) inside: Vec<String>,
    /// True in a `use` declaration.
    pub(crate) import: bool,
    /// True where arguments follow.
    pub(crate) call: bool,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// `mod name;`, which means a file.
pub(crate) struct Module {
    /// Its name.
    pub(crate) name: String,
    /// Inline modules around it.
    pub(crate) inside: Vec<String>,
    /// What `#[path = "..."]` says.
    pub(crate) path: Option<String>,
}

impl Source {
    /// Lexes a file. Panics on what does not lex: such a file does not compile either.
    pub(crate) fn parse(path: impl Into<PathBuf>, text: &str) -> Self {
        let path = path.into();
        let tokens =
            TokenStream::from_str(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut source = Self { path, text: text.to_owned(), names: Vec::new(), modules: Vec::new() };
        source.walk(tokens, &[]);
        source
    }

    /// The module that this file is, from the root of its package's `src`: `src/logic/route.rs` is `["logic", "route"]`,
    /// `src/lib.rs` and `src/main.rs` are the root itself.
    pub(crate) fn module(&self) -> Vec<String> {
        let mut parts: Vec<String> =
            self.path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let src = parts.iter().position(|part| part == "src").map_or(0, |at| at + 1);
        let mut module = parts.split_off(src);
        if let Some(file) = module.pop() {
            let stem = file.trim_end_matches(".rs");
            if !(module.is_empty() && matches!(stem, "lib" | "main")) {
                module.push(stem.to_owned());
            }
        }
        module
    }

    /// Where a name leads in this package, from its root; `None` for another crate, or what is in scope already.
    /// `plimsoll` is the package's own name in its binary.
    pub(crate) fn target(&self, name: &Name) -> Option<Vec<String>> {
        let mut here = self.module();
        here.extend(name.inside.iter().cloned());
        let mut rest = name.segments.as_slice();
        match rest.first().map(String::as_str) {
            Some("crate" | "plimsoll") if rest.len() > 1 || name.import => here.clear(),
            Some("self") => {}
            Some("super") => {
                here.pop();
            }
            _ => return None,
        }
        rest = &rest[1..];
        while let Some("super") = rest.first().map(String::as_str) {
            here.pop();
            rest = &rest[1..];
        }
        here.extend(rest.iter().cloned());
        Some(here)
    }

    /// Where the compiler looks for the file that `module` means. `owner` is true where this file owns its folder: a root
    /// file, or one that was reached by `#[path]`.
    pub(crate) fn files_of(&self, module: &Module, owner: bool) -> Vec<PathBuf> {
        let directory = self.path.parent().unwrap_or(Path::new(""));
        if let Some(path) = &module.path {
            return vec![directory.join(path)];
        }
        let mut base = directory.to_path_buf();
        if !owner {
            base.push(self.path.file_stem().unwrap_or_default());
        }
        base.extend(&module.inside);
        vec![base.join(format!("{}.rs", module.name)), base.join(&module.name).join("mod.rs")]
    }

    /// Is this the root file of a crate: a library, a program, a test, a benchmark, a fuzz target?
    pub(crate) fn is_root(&self) -> bool {
        let parent = self.path.parent().and_then(Path::file_name).unwrap_or_default();
        let stem = self.path.file_stem().unwrap_or_default();
        stem == "lib" || stem == "main" || parent == "tests" || parent == "bin" || parent == "fuzz_targets"
    }

    fn walk(&mut self, tokens: TokenStream, inside: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        let mut import = false;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(word) if word == "mod" && is_ident(tokens.get(at + 1)) => {
                    self.module_at(&tokens, at, inside);
                    at += 3;
                }
                TokenTree::Ident(word) => {
                    import |= word == "use";
                    at = self.path_at(&tokens, at, Vec::new(), inside, import);
                }
                TokenTree::Group(group) => {
                    self.walk(group.stream(), inside);
                    at += 1;
                }
                TokenTree::Punct(punct) => {
                    import &= punct.as_char() != ';';
                    at += 1;
                }
                TokenTree::Literal(_) => at += 1,
            }
        }
    }

    /// `mod name;` or `mod name { ... }` at `at`.
    fn module_at(&mut self, tokens: &[TokenTree], at: usize, inside: &[String]) {
        let name = tokens[at + 1].to_string();
        match tokens.get(at + 2) {
            Some(TokenTree::Group(body)) => {
                let inside: Vec<String> = inside.iter().cloned().chain([name]).collect();
                self.walk(body.stream(), &inside);
            }
            _ => {
                let path = path_attribute(&tokens[..at]);
                self.modules.push(Module { name, inside: inside.to_vec(), path });
            }
        }
    }

    /// A path that begins at `at` and continues `prefix`; gives the place after it.
    fn path_at(
        &mut self,
        tokens: &[TokenTree],
        mut at: usize,
        prefix: Vec<String>,
        inside: &[String],
        import: bool,
    ) -> usize {
        let line = tokens[at].span().start().line;
        let method = prefix.is_empty() && at > 0 && is_punct(tokens.get(at - 1), '.');
        let mut segments = prefix;
        segments.push(if method { format!(".{}", tokens[at]) } else { tokens[at].to_string() });
        at += 1;
        while is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':') {
            match tokens.get(at + 2) {
                Some(TokenTree::Ident(word)) => segments.push(word.to_string()),
                Some(star) if is_punct(Some(star), '*') => segments.push("*".to_owned()),
                Some(TokenTree::Group(tree)) if tree.delimiter() == Delimiter::Brace => {
                    self.tree(tree.stream(), &segments, inside);
                    return at + 3;
                }
                // A turbofish: what stands in it is read as ordinary names.
                _ => break,
            }
            at += 3;
        }
        if is_punct(tokens.get(at), '!') && !is_punct(tokens.get(at + 1), '=') {
            let last = segments.last_mut().expect("a path has a segment");
            last.push('!');
        }
        let call = matches!(tokens.get(at), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
        self.names.push(Name { segments, inside: inside.to_vec(), import, call, line });
        at
    }

    /// The branches of `use prefix::{ ... }`.
    fn tree(&mut self, tokens: TokenStream, prefix: &[String], inside: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(word) if word == "self" => {
                    let line = word.span().start().line;
                    let segments = prefix.to_vec();
                    self.names.push(Name {
                        segments,
                        inside: inside.to_vec(),
                        import: true,
                        call: false,
                        line,
                    });
                    at += 1;
                }
                TokenTree::Ident(_) => at = self.path_at(&tokens, at, prefix.to_vec(), inside, true),
                TokenTree::Punct(star) if star.as_char() == '*' => {
                    let line = star.span().start().line;
                    let segments = prefix.iter().cloned().chain(["*".to_owned()]).collect();
                    self.names.push(Name {
                        segments,
                        inside: inside.to_vec(),
                        import: true,
                        call: false,
                        line,
                    });
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }
}

impl Name {
    /// `tokio::spawn`.
    pub(crate) fn written(&self) -> String {
        self.segments.join("::")
    }
}

fn is_ident(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Ident(_)))
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

/// The string of a `#[path = "..."]` among the attributes that end `before`.
fn path_attribute(before: &[TokenTree]) -> Option<String> {
    let mut at = before.len();
    while at > 0 {
        match &before[at - 1] {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                if inner.first().is_some_and(|word| word.to_string() == "path") {
                    return inner.get(2).map(|literal| literal.to_string().trim_matches('"').to_owned());
                }
            }
            // Visibility and the hash of an attribute stand in between.
            TokenTree::Ident(word) if word == "pub" => {}
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {}
            TokenTree::Punct(punct) if punct.as_char() == '#' => {}
            _ => return None,
        }
        at -= 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        Source::parse("src/logic/x.rs", text).names.iter().map(Name::written).collect()
    }

    fn targets(path: &str, text: &str) -> Vec<String> {
        let source = Source::parse(path, text);
        source.names.iter().filter_map(|name| source.target(name)).map(|path| path.join("::")).collect()
    }

    #[test]
    fn use_trees_are_written_out() {
        let found = names("use a::{self, b, c::{d, e as f}, g::*};");
        let expected = ["use", "a", "a::b", "a::c::d", "a::c::e", "as", "f", "a::g::*"];
        for name in expected.iter().filter(|name| !["as", "f"].contains(name)) {
            assert!(found.iter().any(|found| found == name), "{name} is not in {found:?}");
        }
    }

    #[test]
    fn comments_and_strings_do_not_count_and_macro_bodies_do() {
        let found =
            names("// tokio::spawn\nfn f() { g(\"monoio::spawn\"); select! { x = axum::serve() => {} } }");
        assert!(found.contains(&"axum::serve".to_owned()));
        assert!(found.contains(&"select!".to_owned()));
        assert!(!found.iter().any(|name| name.starts_with("tokio") || name.starts_with("monoio")));
    }

    #[test]
    fn methods_carry_a_dot() {
        assert!(names("fn f(t: T) { t.elapsed(); }").contains(&".elapsed".to_owned()));
    }

    #[test]
    fn super_is_followed_through_inline_modules() {
        let text = "use super::a; mod tests { use super::super::b; use super::c; use crate::d; }";
        assert_eq!(targets("src/logic/x.rs", text), ["logic::a", "logic::b", "logic::x::c", "d"]);
        assert_eq!(targets("src/main.rs", "use plimsoll::control::x;"), ["control::x"]);
    }

    #[test]
    fn modules_lead_to_files() {
        let files = |path: &str, text: &str| {
            let source = Source::parse(path, text);
            source
                .modules
                .iter()
                .map(|module| source.files_of(module, source.is_root())[0].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(files("src/lib.rs", "pub mod a; mod b;"), [Path::new("src/a.rs"), Path::new("src/b.rs")]);
        assert_eq!(
            files("src/a.rs", "mod c; mod d { mod e; }"),
            [Path::new("src/a/c.rs"), Path::new("src/a/d/e.rs")]
        );
        assert_eq!(files("tests/t.rs", "#[path = \"t/u.rs\"] mod u;"), [Path::new("tests/t/u.rs")]);
    }
}
