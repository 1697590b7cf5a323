//! The page shows what happens, notices when it no longer knows, and rests while nobody looks.

use serde_json::{Value, json};

use crate::browser::{Browser, LIVE, with_browser};
use crate::relay::Relay;
use crate::scene::Scene;

/// The requests since the start, as the page says them.
const REQUESTS: &str = "Number([...document.querySelectorAll('#facts dt')].find((dt) => dt.textContent === 'Requests')?.nextSibling.textContent.split(' ')[0].replaceAll(',', ''))";

#[test]
fn live_numbers_move() {
    with_browser("watching::live_numbers_move", |browser| async {
        let scene = Scene::start();
        let browser = browser.open(&scene.url()).await;
        browser.wait("the page is live", LIVE).await;
        browser
            .wait(
                "requests a second",
                "Number(document.querySelector('#chart_requests .big').textContent) > 5",
            )
            .await;
        browser
            .wait("a p99", "/ms|µs/.test(document.querySelector('#chart_latency .big').textContent)")
            .await;
        browser
            .wait(
                "errors by class",
                "Number(document.querySelector('#chart_errors .legend b').textContent) > 0",
            )
            .await;
        browser.wait("all nodes", "document.querySelectorAll('tr.node.serving').length === 3").await;
        browser
            .wait(
                "sparklines",
                "document.querySelector('tr.node polyline').getAttribute('points').split(' ').length > 2",
            )
            .await;
        browser
            .wait("bands that flow", "document.querySelectorAll('#topology .band:not(.idle)').length >= 6")
            .await;
        moves(&browser).await;
        browser.finish(&[]).await;
    });
}

async fn moves(browser: &Browser) {
    let before = browser.run(&format!("return {REQUESTS}")).await;
    assert!(before.as_f64().is_some_and(|number| number > 0.0), "requests: {before}");
    browser.wait("the requests rise", &format!("{REQUESTS} > {before}")).await;
}

#[test]
fn a_broken_socket_is_stale_and_then_recovers() {
    with_browser("watching::a_broken_socket_is_stale_and_then_recovers", |browser| async {
        let scene = Scene::start();
        let relay = Relay::to(scene.admin());
        let browser = browser.open(&format!("http://{}", relay.address)).await;
        browser.wait("the page is live", LIVE).await;
        relay.cut();
        browser
            .wait(
                "it says that it is stale",
                "/^stale, \\d+ s/.test(document.getElementById('live').textContent)",
            )
            .await;
        browser.wait("and looks so", "document.body.classList.contains('stale')").await;
        relay.mend();
        browser.wait("the page is live again", LIVE).await;
        moves(&browser).await;
        // The console names each handshake and call that the cut wire broke.
        browser.finish(&["WebSocket connection to", "net::ERR_"]).await;
    });
}

#[test]
fn a_hidden_page_rests() {
    with_browser("watching::a_hidden_page_rests", |browser| async {
        let scene = Scene::start();
        let browser = browser.open(&scene.url()).await;
        browser.wait("the page is live", LIVE).await;
        hide(&browser, true).await;
        browser.wait("it rests", "document.getElementById('live').textContent === 'resting'").await;
        assert!(browser.frames("Sent").await.iter().any(|frame| kind(frame) == "pause"));
        // One tick may have been under way; then nothing but events comes, though the load goes on.
        let shown = browser.run(&format!("return {REQUESTS}")).await;
        let requests =
            |nodes: Vec<Value>| nodes.iter().filter_map(|node| node["requests_total"].as_u64()).sum::<u64>();
        let target = requests(scene.nodes()) + 200;
        while requests(scene.nodes()) < target {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let ticks = browser.frames("Received").await.iter().filter(|frame| kind(frame) == "tick").count();
        assert!(ticks <= 1, "{ticks} ticks while {shown} was shown");
        hide(&browser, false).await;
        browser.wait("it goes on", LIVE).await;
        moves(&browser).await;
        browser.finish(&[]).await;
    });
}

fn kind(frame: &str) -> String {
    let message: Value = serde_json::from_str(frame).unwrap_or_default();
    message["type"].as_str().unwrap_or_default().to_owned()
}

/// Headless pages are never hidden: the page is told so as a browser would tell it.
async fn hide(browser: &Browser, hidden: bool) {
    let script = format!(
        "Object.defineProperty(document, 'hidden', {{ configurable: true, get: () => {} }});
         document.dispatchEvent(new Event('visibilitychange'));",
        json!(hidden)
    );
    browser.run(&script).await;
}

#[test]
fn a_cell_of_the_heat_map_leads_to_its_lines() {
    with_browser("watching::a_cell_of_the_heat_map_leads_to_its_lines", |browser| async {
        let scene = Scene::start();
        let browser = browser.open(&scene.url()).await;
        browser.wait("the page is live", LIVE).await;
        browser.wait("a second of load", &format!("{REQUESTS} > 100")).await;
        // From the middle of the newest column five rows up, then down: one of them has requests.
        let busy = "Number((document.getElementById('heat_words').textContent.match(/: ([\\d,]+) request/) ?? [])[1])";
        let mut found = false;
        for key in ["\u{e013}"; 5].into_iter().chain(["\u{e015}"; 16]) {
            browser.keys("#heatmap canvas", key).await;
            found = browser.run(&format!("return {busy} > 0")).await == json!(true);
            if found {
                break;
            }
        }
        assert!(found, "no cell with requests: {}", browser.text("#heat_words").await);
        browser.keys("#heatmap canvas", "\u{e007}").await;
        browser.wait("past lines", "!document.getElementById('past').hidden").await;
        browser.wait("of that cell", "document.querySelectorAll('#lines .line').length > 0").await;
        assert!(browser.text("#past").await.starts_with("Lines of "));
        browser.click("#back").await;
        browser.wait("the live log is back", "document.getElementById('past').hidden").await;
        browser.finish(&[]).await;
    });
}
