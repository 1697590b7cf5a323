//! The page in headless Chromium: it draws itself without an error, and hostile text stays text.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use loadgen::{report::html, result::RunResult};

use crate::sample;

/// Where Debian and its like put it.
const BROWSERS: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

struct Visit {
    /// The page as it is after its script ran.
    dom: String,
    /// What the browser wrote, console messages among it.
    log: String,
}

#[test]
fn the_page_draws_every_chart_without_an_error() {
    let Some(browser) = browser() else { return };
    let visit = visit(browser, "page", &sample::search(), "");
    assert_no_errors(&visit);
    for id in ["curve", "latency", "heat", "load", "own", "steps"] {
        let start = visit.dom.find(&format!("id=\"{id}\"")).expect(id);
        let part = &visit.dom[start..(start + 400).min(visit.dom.len())];
        assert!(part.contains("<svg") || part.contains("<canvas"), "{id}: {part}");
    }
    assert!(
        visit.dom.contains("2 000")
            || visit.dom.contains("2\u{202f}000")
            || visit.dom.contains("1\u{202f}996")
    );
    assert!(visit.dom.contains("x-plimsoll-reason: no_healthy_node"));
    assert!(visit.dom.contains("web: 3 to 4 nodes"));
    for (theme, name) in [("#light", "light"), ("#dark", "dark")] {
        screenshot(browser, "page", theme, name, 1180);
    }
    screenshot(browser, "page", "#light", "narrow", 480);
}

#[test]
fn a_closed_loop_and_an_empty_result_draw_too() {
    let Some(browser) = browser() else { return };
    assert_no_errors(&visit(browser, "closed", &sample::closed(), ""));
    assert_no_errors(&visit(browser, "empty", &RunResult::default(), ""));
    screenshot(browser, "closed", "#light", "closed", 1180);
}

#[test]
fn hostile_text_neither_runs_nor_becomes_markup() {
    let Some(browser) = browser() else { return };
    let visit = visit(browser, "hostile", &sample::hostile(), "");
    assert_no_errors(&visit);
    let title = &visit.dom[visit.dom.find("<title>").unwrap()..visit.dom.find("</title>").unwrap()];
    assert!(title.contains("loadgen"), "{title}");
    let body = &visit.dom[visit.dom.find("<body").unwrap()..];
    assert!(!body.contains("<img"), "an element of the text's making");
    assert_eq!(body.matches("<script").count(), 2, "the data and the page's own");
    assert!(body.contains("&lt;/script&gt;&lt;script&gt;"), "it is there, as text");
    screenshot(browser, "hostile", "#light", "hostile", 1180);
}

fn assert_no_errors(visit: &Visit) {
    let errors: Vec<&str> = visit.log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert_eq!(errors, [""; 0], "the console is silent");
    assert!(visit.dom.contains("class=\"tile"), "the script ran: {:.300}", visit.dom);
}

fn browser() -> Option<&'static Path> {
    let found = BROWSERS.iter().map(Path::new).find(|path| path.exists());
    if found.is_none() {
        let _ =
            writeln!(std::io::stderr(), "skipped: test of the page in a browser: no Chromium is installed");
    }
    found
}

fn visit(browser: &Path, name: &str, result: &RunResult, theme: &str) -> Visit {
    let page = sample::folder().join(format!("{name}.html"));
    std::fs::write(&page, html::render(result).expect("a page")).expect("a file");
    let output = chromium(browser, name)
        .args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=3000", "--dump-dom"])
        .arg(format!("file://{}{theme}", page.display()))
        .output()
        .expect("it runs");
    Visit {
        dom: String::from_utf8_lossy(&output.stdout).into_owned(),
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Keeps a picture of a page that was visited, for people to look at.
fn screenshot(browser: &Path, page: &str, theme: &str, name: &str, width: u32) {
    let (page_file, picture) = (sample::folder().join(format!("{page}.html")), picture(name));
    let _ = std::fs::remove_file(&picture);
    let output = chromium(browser, name)
        .args(["--hide-scrollbars", "--virtual-time-budget=3000"])
        .arg(format!("--window-size={width},3600"))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}{theme}", page_file.display()))
        .output()
        .expect("it runs");
    let len = std::fs::metadata(&picture).map(|file| file.len()).unwrap_or(0);
    assert!(len > 10_000, "no picture of {name}: {}", String::from_utf8_lossy(&output.stderr));
}

fn picture(name: &str) -> PathBuf {
    sample::folder().join(format!("{name}.png"))
}

/// A browser with a profile of its own that talks to nobody.
fn chromium(browser: &Path, name: &str) -> Command {
    let profile = sample::folder().join(format!("profile-{name}"));
    let _ = std::fs::remove_dir_all(&profile);
    let mut command = Command::new(browser);
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]);
    command
}
