//! What people do with the page: change nodes, and filter the log.

use serde_json::{Value, json};

use crate::browser::{Browser, LIVE, with_browser};
use crate::scene::Scene;

const FIRST: &str = "tr.node .quick";

#[test]
fn a_drain_says_its_effect_before_it_drains() {
    with_browser("acting::a_drain_says_its_effect_before_it_drains", |browser| async {
        let scene = Scene::start();
        let browser = browser.open(&scene.url()).await;
        browser.wait("a node to drain", "document.querySelector('tr.node.serving .quick')").await;
        let id = browser.run("return document.querySelector('tr.node').dataset.key").await;
        browser.click(FIRST).await;
        let effect = browser.text("#effect").await;
        assert!(effect.starts_with("It takes no new requests"), "{effect}");
        browser.click("#cancel").await;
        browser.wait("the dialog is gone", "!document.getElementById('change').open").await;
        assert_eq!(state(&scene, &id), "serving");

        browser.click(FIRST).await;
        browser.click("#confirm").await;
        browser
            .wait("the page shows it", "document.querySelector('tr.node').classList.contains('draining')")
            .await;
        assert_eq!(state(&scene, &id), "draining");
        browser.wait("no requests come", "document.querySelector('tr.node .rps').textContent === '0'").await;
        browser
            .wait("and the change is told", "document.querySelector('#events').textContent.includes('audit')")
            .await;

        browser.click(FIRST).await;
        browser.click("#confirm").await;
        browser
            .wait("it serves again", "document.querySelector('tr.node').classList.contains('serving')")
            .await;
        browser.wait("requests come", "Number(document.querySelector('tr.node .rps').textContent) > 0").await;
        browser.finish(&[]).await;
    });
}

#[test]
fn a_weight_is_set_and_an_impossible_one_cannot_be() {
    with_browser("acting::a_weight_is_set_and_an_impossible_one_cannot_be", |browser| async {
        let scene = Scene::start();
        let browser = browser.open(&scene.url()).await;
        browser.wait("a node", "document.querySelector('tr.node .more')").await;
        let id = browser.run("return document.querySelector('tr.node').dataset.key").await;
        browser.click("tr.node .more").await;
        browser.click("#change input[value=weight]").await;
        browser.run("document.getElementById('change_number').value = ''").await;
        browser.keys("#change_number", "0").await;
        browser.wait("0 is refused", "document.getElementById('confirm').disabled").await;
        browser.run("document.getElementById('change_number').value = ''").await;
        browser.keys("#change_number", "3").await;
        browser
            .wait(
                "3 is said",
                "document.getElementById('effect').textContent.startsWith('From weight 1 to 3')",
            )
            .await;
        browser.click("#confirm").await;
        browser
            .wait(
                "the page shows it",
                "document.querySelector('tr.node td[data-label=Weight]').textContent === '3'",
            )
            .await;
        assert_eq!(node(&scene, &id)["weight"], json!(3));
        browser.finish(&[]).await;
    });
}

#[test]
fn a_fleet_is_grown_scaled_and_paused_and_the_timeline_says_why() {
    with_browser("acting::a_fleet_is_grown_scaled_and_paused_and_the_timeline_says_why", |browser| async {
        let scene = Scene::fleet();
        let browser = browser.open(&scene.url()).await;
        let serving = |count: u32| format!("document.querySelectorAll('tr.node.serving').length === {count}");
        let lane = |words: &str| format!("document.getElementById('lanes').textContent.includes('{words}')");
        browser.wait("the first node", &serving(1)).await;
        browser.wait("its lane", &lane("1 running, 1 wanted, 1 to 4 allowed")).await;
        browser
            .wait("the rule", "document.getElementById('events').textContent.includes('rule: below_min')")
            .await;

        browser.click(".backend .start").await;
        assert!(browser.text("#effect").await.contains("(process)"));
        browser.click("#confirm").await;
        browser.wait("a second one", &serving(2)).await;

        browser.click(".backend .scale").await;
        browser.run("document.getElementById('change_number').value = ''").await;
        browser.keys("#change_number", "3").await;
        browser.click("#confirm").await;
        browser.wait("a third one", &serving(3)).await;
        browser
            .wait("an operator decides", &lane("3 running, 3 wanted, 1 to 4 allowed, scaler paused"))
            .await;
        browser
            .wait("and is told", "document.getElementById('events').textContent.includes('rule: operator')")
            .await;
        assert!(
            scene.nodes().iter().all(|node| node["container"].as_str().is_some_and(|id| id.starts_with('p')))
        );

        browser.click(".backend .paused").await;
        browser.click("#confirm").await;
        browser.wait("the scaler decides", &format!("!{}", lane("scaler paused"))).await;
        browser.click(".backend .paused").await;
        browser.click("#confirm").await;
        browser.wait("and is paused", &lane("scaler paused")).await;
        browser.finish(&[]).await;
    });
}

#[test]
fn filters_filter() {
    with_browser("acting::filters_filter", |browser| async {
        let scene = Scene::start();
        let browser = browser.open(&scene.url()).await;
        look_at_the_log(&browser).await;
        browser.wait("lines of every kind", "document.querySelectorAll('#lines .c2xx').length > 3").await;
        browser.keys("#filter", "status>=500\u{e007}").await;
        browser.wait("errors", "document.querySelectorAll('#lines .c5xx').length > 2").await;
        let others = browser.run("return document.querySelectorAll('#lines .line:not(.c5xx)').length").await;
        assert_eq!(others, json!(0));

        browser.run("document.getElementById('filter').value = ''").await;
        browser.keys("#filter", "status>>5\u{e007}").await;
        browser.wait("a wrong filter is told", "!document.getElementById('filter_error').hidden").await;
        browser.run("document.getElementById('filter').value = ''").await;
        browser.keys("#filter", "path~slow\u{e007}").await;
        browser.wait("slow ones", "document.querySelectorAll('#lines .line').length > 1").await;
        browser.wait("the error is gone", "document.getElementById('filter_error').hidden").await;
        assert!(browser.text("#lines .request").await.contains("/slow"));
        browser.finish(&[]).await;
    });
}

#[test]
fn a_paused_log_stands_still_and_a_line_becomes_curl() {
    with_browser("acting::a_paused_log_stands_still_and_a_line_becomes_curl", |browser| async {
        let scene = Scene::start();
        let browser = browser.open(&scene.url()).await;
        look_at_the_log(&browser).await;
        browser.wait("lines", "document.querySelectorAll('#lines .line').length > 3").await;
        browser.click("#pause").await;
        let keys =
            "return [...document.querySelectorAll('#lines li')].map((line) => line.dataset.key).join()";
        let shown = browser.run(keys).await;
        browser
            .wait(
                "more lines are held back",
                "/paused, \\d+ more since/.test(document.getElementById('log_words').textContent)",
            )
            .await;
        assert_eq!(browser.run(keys).await, shown);
        browser.click("#lines .line").await;
        browser.click("#lines .curl").await;
        browser.wait("it is said", "!document.getElementById('told').hidden").await;
        let told = browser.text("#told").await;
        let command = format!("'http://{}/", scene.balancer.address());
        assert!(told.contains("curl -i --path-as-is -g") && told.contains(&command), "{told}");
        assert!(told.contains("-A '<img src=x onerror=window.hit=1>'"), "{told}");
        browser.finish(&[]).await;
    });
}

async fn look_at_the_log(browser: &Browser) {
    browser.wait("the page is live", LIVE).await;
    browser.run("document.getElementById('log').scrollIntoView()").await;
}

fn node(scene: &Scene, id: &Value) -> Value {
    let found = scene.nodes().into_iter().find(|node| node["id"] == *id);
    found.unwrap_or_else(|| panic!("no node {id}"))
}

fn state(scene: &Scene, id: &Value) -> String {
    node(scene, id)["state"].as_str().unwrap_or_default().to_owned()
}
