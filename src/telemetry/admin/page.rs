//! The monitor page: embedded files, no build step, nothing from elsewhere.
//!
//! Files are found by their exact name in a list: there is no path to play tricks with.

use axum::Router;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use axum::routing::get;

/// Fields of every answer. The page's policy allows its own style, script and calls, and nothing else; on a JSON
/// answer it does no harm, and one rule for all is one rule to check. Trusted types, with no policy that may make one:
/// a browser that knows them refuses to parse any string as markup, so what strangers sent stays text.
pub(super) const SAFE_FIELDS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Serves the page's files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, file| router.route(file.path, get(|| async { file.answer() })))
}

/// A file of the page.
struct File {
    path: &'static str,
    text: &'static str,
}

impl File {
    fn answer(&self) -> impl IntoResponse {
        let content_type = match self.path.rsplit('.').next() {
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        ([(header::CONTENT_TYPE, content_type)], self.text)
    }
}

/// A file of the folder `page`, at `/page/` and its name.
macro_rules! file {
    ($name:literal) => {
        File { path: concat!("/page/", $name), text: include_str!(concat!("../page/", $name)) }
    };
}

static FILES: &[File] = &[
    File { path: "/", text: include_str!("../page/page.html") },
    file!("page.css"),
    file!("panels.css"),
    file!("canvas.js"),
    file!("change.js"),
    file!("chart.js"),
    file!("curl.js"),
    file!("cursor.js"),
    file!("elements.js"),
    file!("events.js"),
    file!("heatmap.js"),
    file!("log.js"),
    file!("memory.js"),
    file!("nodes.js"),
    file!("page.js"),
    file!("palette.js"),
    file!("sentence.js"),
    file!("setup.js"),
    file!("socket.js"),
    file!("theme.js"),
    file!("topology.js"),
    file!("wishes.js"),
    file!("words.js"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that is imported but not in the list would leave the page dead.
    #[test]
    fn every_file_that_is_named_is_served() {
        let served: Vec<_> = FILES.iter().map(|file| file.path).collect();
        for file in FILES {
            let named = file.text.split('"').filter_map(|word| word.strip_prefix("./"));
            for name in named.filter(|name| name.ends_with(".js")) {
                assert!(served.contains(&&*format!("/page/{name}")), "{} imports {name}", file.path);
            }
        }
        assert!(
            served
                .iter()
                .all(|path| *path == "/" || file_names().contains(&path["/page/".len()..].to_owned()))
        );
        assert_eq!(FILES.len(), file_names().len(), "a file of src/telemetry/page is not served");
    }

    /// The tools of injection are not used at all: every string is set as text.
    #[test]
    fn nothing_parses_a_string_as_markup_or_code() {
        for file in FILES.iter().filter(|file| file.path.ends_with(".js")) {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "parseFromString",
            ] {
                assert!(!file.text.contains(word), "{}: {word}", file.path);
            }
        }
    }

    fn file_names() -> Vec<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/telemetry/page");
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}
