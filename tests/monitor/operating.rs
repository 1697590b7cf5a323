//! What operators do with the page: let themselves in, read the file again, take nodes down and out.

use std::fs;

use serde_json::json;

use crate::browser::{Browser, LIVE, with_browser};
use crate::scene::Scene;

/// Waits for this text of an element.
async fn says(browser: &Browser, selector: &str, text: &str) {
    let holds = format!("document.querySelector({selector:?})?.textContent.includes({text:?})");
    browser.wait(text, &holds).await;
}

#[test]
fn the_token_is_asked_for_and_a_wrong_one_is_not_taken() {
    with_browser("operating::the_token_is_asked_for_and_a_wrong_one_is_not_taken", |browser| async {
        let file = std::env::temp_dir().join(format!("plimsoll-page-token-{}", std::process::id()));
        let token = "a token is no word of this page".replace(' ', "-");
        fs::write(&file, &token).unwrap();
        let scene = Scene::with(&format!(", token_file: '{}'", file.display()));
        let browser = browser.open(&scene.url()).await;
        browser.wait("the dialog", "document.getElementById('token')").await;
        assert_eq!(browser.run("return document.querySelectorAll('tr.node').length").await, json!(0));
        browser.keys("#token", "not-the-token-at-all\u{e007}").await;
        says(&browser, "#change .refusal:not([hidden])", "did not take that one").await;
        browser.keys("#token", &format!("{token}\u{e007}")).await;
        browser.wait("it is let in", LIVE).await;
        browser.wait("nodes", "document.querySelector('tr.node .quick')").await;
        // Writes carry it too.
        browser.click("tr.node .quick").await;
        browser.click("#confirm").await;
        browser.wait("a drain", "document.querySelector('tr.node').classList.contains('draining')").await;
        let told = browser.run("return location.href + document.documentElement.outerHTML").await;
        assert!(!told.as_str().unwrap().contains(&token), "the token is in the page or its address");
        let _ = fs::remove_file(file);
        browser.finish(&["401", "WebSocket connection to"]).await;
    });
}

#[test]
fn a_reload_says_what_changed_or_what_is_wrong() {
    with_browser("operating::a_reload_says_what_changed_or_what_is_wrong", |browser| async {
        let scene = Scene::start();
        let browser = browser.open(&scene.url()).await;
        browser.wait("the page is live", LIVE).await;
        let good = fs::read_to_string(&scene.balancer.file).unwrap();
        fs::write(
            &scene.balancer.file,
            good.replace("routes:\n", "routes:\n  - { path: /ping, respond: { body: pong } }\n"),
        )
        .unwrap();
        browser.click("#reload").await;
        says(&browser, "#effect", "Requests in flight keep the settings").await;
        browser.click("#confirm").await;
        says(&browser, "#reloaded", "route `/ping` is new").await;
        browser.wait("the dialog is gone", "!document.getElementById('change').open").await;

        fs::write(&scene.balancer.file, good.replace("backend: shop", "backend: shopp")).unwrap();
        browser.click("#reload").await;
        browser.click("#confirm").await;
        says(&browser, "#change .refusal:not([hidden])", "there is no backend `shopp`").await;
        browser.click("#cancel").await;
        says(&browser, "#reloaded", "Refused").await;
        // The refusal is an answer of 422, which browsers write on the console.
        browser.finish(&["/api/v1/reload"]).await;
    });
}

#[test]
fn a_node_is_taken_down_and_another_removed() {
    with_browser("operating::a_node_is_taken_down_and_another_removed", |browser| async {
        let scene = Scene::start();
        let browser = browser.open(&scene.url()).await;
        browser.wait("nodes", "document.querySelectorAll('tr.node.serving').length === 3").await;
        browser.click("tr.node .more").await;
        browser.click("#change input[value=down]").await;
        says(&browser, "#effect", "The other node takes").await;
        browser
            .wait(
                "it is marked as dangerous",
                "document.getElementById('confirm').classList.contains('danger')",
            )
            .await;
        browser.click("#confirm").await;
        browser.wait("it is down", "document.querySelector('tr.node').classList.contains('down')").await;
        says(&browser, "tr.node .why", "Taken down by an operator").await;
        assert_eq!(scene.nodes()[0]["state"], "down");

        browser.click("tr.node .more").await;
        browser.click("#change input[value=remove]").await;
        says(&browser, "#effect", "gone until the next reload").await;
        browser.click("#confirm").await;
        browser.wait("its row is gone", "document.querySelectorAll('tr.node').length === 2").await;
        assert_eq!(scene.nodes().len(), 2);
        browser.finish(&[]).await;
    });
}
