//! Whatever strangers put into names, paths and fields, it stays text.

use serde_json::json;

use crate::browser::with_browser;
use crate::scene::{HOSTILE, Scene};

/// Puts markup in front of every string of every message, but for the words of the protocol itself: it is as if clients,
/// nodes and containers had named everything.
const EVERYTHING_IS_HOSTILE: &str = r#"
    window.hit = 0;
    const parse = JSON.parse;
    const words = new Set(["type", "state", "kind", "level", "phase", "action", "protocol", "fleet", "strategy", "time"]);
    const spoil = (value, name) => {
      if (typeof value === "string") return words.has(name) ? value : "<img src=x onerror=window.hit=1>\"'><script>window.hit=1</script>" + value;
      if (Array.isArray(value)) return value.map((one) => spoil(one, name));
      if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, spoil(one, key)]));
      return value;
    };
    JSON.parse = (text) => spoil(parse(text), "");
"#;

#[test]
fn every_string_from_outside_stays_text() {
    with_browser("strangers::every_string_from_outside_stays_text", |browser| async {
        let scene = Scene::start();
        let browser = browser.open_with(&scene.url(), EVERYTHING_IS_HOSTILE).await;
        let reload = "fetch('/api/v1/reload', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })";
        browser.run(reload).await;
        for part in [
            "#nodes .name b",
            "#nodes .why span",
            "#events .event p",
            "#setup .facts dd",
            "#topology .box .name",
        ] {
            let shown = format!(
                "[...document.querySelectorAll({part:?})].some((node) => node.textContent.includes('<img'))"
            );
            browser.wait(part, &shown).await;
        }
        browser.run("document.getElementById('log').scrollIntoView()").await;
        browser.wait("log lines", "document.querySelectorAll('#lines .line').length > 0").await;
        browser.click("#pause").await;
        browser.click("#lines .line").await;
        browser.click("#nodes .quick").await;
        browser
            .wait("the dialog", "document.getElementById('change_title').textContent.includes('<img')")
            .await;
        let made = "return document.querySelectorAll('img, iframe, object, body script, [onerror]').length";
        assert_eq!(browser.run(made).await, json!(0));
        assert_eq!(browser.run("return window.hit").await, json!(0));
        browser.finish(&[]).await;
    });
}

#[test]
fn a_field_of_a_real_request_stays_text() {
    with_browser("strangers::a_field_of_a_real_request_stays_text", |browser| async {
        let scene = Scene::start();
        let browser = browser.open(&scene.url()).await;
        browser.run("document.getElementById('log').scrollIntoView()").await;
        browser.wait("log lines", "document.querySelectorAll('#lines .line').length > 0").await;
        browser.click("#pause").await;
        browser.click("#lines .line").await;
        assert!(browser.text("#lines .details").await.contains(HOSTILE));
        assert_eq!(
            browser.run("return [window.hit ?? 0, document.querySelectorAll('img').length]").await,
            json!([0, 0])
        );
        browser.finish(&[]).await;
    });
}

#[test]
fn the_policy_refuses_markup_from_strings() {
    with_browser("strangers::the_policy_refuses_markup_from_strings", |browser| async {
        let scene = Scene::start();
        let browser = browser.open(&scene.url()).await;
        let refused = browser
            .run("try { document.body.innerHTML = '<b>x</b>'; return false } catch { return true }")
            .await;
        assert_eq!(refused, json!(true), "trusted types are not enforced");
        browser.finish(&["TrustedHTML"]).await;
    });
}
