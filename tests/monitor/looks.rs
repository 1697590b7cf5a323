//! The page at every width and in both themes: nothing sticks out, and pictures are kept for people to look at.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::browser::with_browser;
use crate::scene::Scene;

#[test]
fn it_fits_from_a_phone_to_a_wall_in_both_themes() {
    with_browser("looks::it_fits_from_a_phone_to_a_wall_in_both_themes", |browser| async {
        let scene = Scene::start();
        let browser = browser.open(&scene.url()).await;
        let folder = folder();
        browser
            .wait(
                "some seconds of load",
                "document.querySelector('tr.node polyline')?.getAttribute('points').split(' ').length > 8",
            )
            .await;
        for (width, height, density) in
            [(360, 780, 2), (768, 1024, 1), (1280, 900, 1), (2560, 1440, 1), (3840, 2160, 1)]
        {
            for theme in ["dark", "light"] {
                browser.shape(width, height, density, theme).await;
                browser
                    .wait(
                        "it is laid out anew",
                        &format!(
                            "innerWidth === {width} && document.querySelector('#heatmap canvas').width > 0"
                        ),
                    )
                    .await;
                browser
                    .wait("in that theme", &format!("matchMedia('(prefers-color-scheme: {theme})').matches"))
                    .await;
                let sticks_out =
                    browser.run("return document.documentElement.scrollWidth - innerWidth").await;
                assert!(sticks_out.as_i64().unwrap() <= 0, "{sticks_out} pixels stick out at {width}");
                let sharp = "return [...document.querySelectorAll('canvas')].every((one) => Math.abs(one.width - one.clientWidth * devicePixelRatio) <= 1)";
                browser.wait("canvases are sharp", &sharp["return ".len()..]).await;
                browser.run("scrollTo(0, 0); return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))").await;
                let file = folder.join(format!("monitor-{width}-{theme}.png"));
                std::fs::write(file, browser.picture().await).unwrap();
            }
        }
        browser.shape(1280, 640, 1, "dark").await;
        browser.click("tr.node .quick").await;
        std::fs::write(folder.join("monitor-drain.png"), browser.picture().await).unwrap();
        browser.finish(&[]).await;
    });
}

#[test]
fn everything_can_be_reached_with_the_keyboard() {
    with_browser("looks::everything_can_be_reached_with_the_keyboard", |browser| async {
        let scene = Scene::start();
        let browser = browser.open(&scene.url()).await;
        browser.wait("nodes", "document.querySelector('tr.node .quick')").await;
        let unnamed = "return [...document.querySelectorAll('button, input, canvas, [role=button]')].filter((node) => !node.closest('dialog, [hidden]') \
                       && (node.tabIndex < 0 || !(node.textContent.trim() || node.ariaLabel || node.labels?.length))).map((node) => node.outerHTML)";
        assert_eq!(browser.run(unnamed).await, json!([]));
        browser.keys("body", "/").await;
        browser.wait("the filter has the focus", "document.activeElement.id === 'filter'").await;
        browser.run("document.activeElement.blur()").await;
        browser.keys("body", "t").await;
        browser.wait("another theme", "document.documentElement.dataset.theme === 'dark'").await;
        browser.keys("body", "?").await;
        browser.wait("the keys are told", "document.getElementById('help').open").await;
        browser.finish(&[]).await;
    });
}

/// `target/monitor`, whatever the target folder is.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("monitor");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
