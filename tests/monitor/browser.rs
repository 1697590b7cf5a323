//! A browser of a test's own: started for it, asked in JavaScript, and audited at its end.

use std::cell::RefCell;
use std::future::Future;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::http::Method;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::{ParseError, Url};

use crate::harness::PATIENCE;

/// True in a page that hears the balancer.
pub(crate) const LIVE: &str = "document.getElementById('live').textContent === 'live'";

/// A page in a browser.
pub(crate) struct Browser {
    client: Client,
    origin: String,
    /// What the network did: chromedriver tells it once.
    seen: RefCell<Vec<Value>>,
    /// Ends with it.
    _driver: Driver,
}

/// Runs a test in a browser that shows nothing yet; says so where there is none.
pub(crate) fn with_browser<F: Future<Output = ()>>(test: &str, run: impl FnOnce(Starter) -> F) {
    if let Some(missing) = ["chromedriver", "chromium"].into_iter().find(|program| !is_there(program)) {
        // The real standard error, which libtest does not capture: scripts/test.sh counts these lines.
        let _ = writeln!(std::io::stderr(), "skipped: test {test}: {missing} is not installed");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(Starter(())));
}

/// What a test starts its browser with.
pub(crate) struct Starter(());

impl Starter {
    /// Opens the page at `origin` (`http://127.0.0.1:PORT`).
    pub(crate) async fn open(self, origin: &str) -> Browser {
        self.open_with(origin, "").await
    }

    /// As [`Self::open`], with a script that runs before any of the page's own.
    pub(crate) async fn open_with(self, origin: &str, script: &str) -> Browser {
        let driver = Driver::start().await;
        let client = driver.session().await;
        let browser =
            Browser { client, origin: origin.to_owned(), seen: RefCell::default(), _driver: driver };
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
        browser.client.goto(origin).await.expect("the page loads");
        browser
    }
}

impl Browser {
    /// Runs a function's body in the page, and gives what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until the expression is true in the page; fails the test, saying `what`, where it never is.
    pub(crate) async fn wait(&self, what: &str, expression: &str) {
        let deadline = Instant::now() + 2 * PATIENCE;
        while self.run(&format!("return Boolean({expression})")).await != json!(true) {
            assert!(Instant::now() < deadline, "never happened: {what}\n{}", self.text("body").await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A real click, as of a pointer: it fails where the element cannot be seen or something lies over it.
    pub(crate) async fn click(&self, selector: &str) {
        self.run(&format!("document.querySelector({selector:?}).scrollIntoView({{ block: 'center' }})"))
            .await;
        let found = self.client.wait().for_element(Locator::Css(selector)).await;
        let element = found.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Real keys, into what has the focus after `selector` was focused.
    pub(crate) async fn keys(&self, selector: &str, keys: &str) {
        self.run(&format!("document.querySelector({selector:?}).focus()")).await;
        let element = self.client.find(Locator::Css(selector)).await.expect(selector);
        element.send_keys(keys).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// What a person reads there.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({selector:?})?.innerText ?? ''");
        self.run(&script).await.as_str().unwrap_or_default().to_owned()
    }

    /// A window of this size (CSS pixels) and theme.
    pub(crate) async fn shape(&self, width: u32, height: u32, density: u32, theme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": density, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.devtools("Emulation.setEmulatedMedia", feature).await;
    }

    /// What can be seen now, as a PNG.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("a screenshot")
    }

    /// Frames of the page's websocket since the last look: what it sent, or what it got.
    pub(crate) async fn frames(&self, direction: &str) -> Vec<String> {
        let events = self.network().await;
        let frames =
            events.iter().filter(|event| event["method"] == format!("Network.webSocketFrame{direction}"));
        frames
            .map(|frame| frame["params"]["response"]["payloadData"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Ends it: no error on the console but those that the test caused on purpose, and no request to anywhere else.
    pub(crate) async fn finish(self, on_purpose: &[&str]) {
        let console = self.log("browser").await;
        let unexpected: Vec<_> = console
            .iter()
            .filter(|entry| entry["level"] == "SEVERE")
            .filter_map(|entry| entry["message"].as_str())
            .filter(|message| !on_purpose.iter().any(|known| message.contains(known)))
            .collect();
        assert!(unexpected.is_empty(), "on the console: {unexpected:#?}");
        self.network().await;
        let asked: Vec<_> = self.seen.borrow().iter().filter_map(requested).collect();
        assert!(
            asked.iter().any(|url| url.ends_with("/page/page.js")),
            "the audit saw no request: {asked:?}"
        );
        let ours = [self.origin.clone(), self.origin.replacen("http", "ws", 1), "data:".to_owned()];
        let foreign: Vec<_> =
            asked.iter().filter(|url| !ours.iter().any(|own| url.starts_with(own))).collect();
        assert!(foreign.is_empty(), "requests that left the origin: {foreign:?}");
        self.client.close().await.expect("the browser ends");
    }

    /// What the network did since the last look.
    async fn network(&self) -> Vec<Value> {
        let entries = self.log("performance").await;
        let messages = entries.iter().filter_map(|entry| entry["message"].as_str());
        let parsed = messages.filter_map(|text| serde_json::from_str::<Value>(text).ok());
        let events: Vec<_> = parsed.map(|message| message["message"].clone()).collect();
        self.seen.borrow_mut().extend(events.iter().cloned());
        events
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let command = Vendor { path: "se/log", body: json!({ "type": kind }) };
        let answer = self.client.issue_cmd(command).await.expect("chromedriver keeps logs");
        answer.as_array().cloned().unwrap_or_default()
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        let sent = self.client.issue_cmd(Vendor { path: "goog/cdp/execute", body }).await;
        sent.unwrap_or_else(|error| panic!("{command}: {error}"));
    }
}

/// The address of a request or of a websocket, where the event is one.
fn requested(event: &Value) -> Option<String> {
    let url = match event["method"].as_str()? {
        "Network.requestWillBeSent" => &event["params"]["request"]["url"],
        "Network.webSocketCreated" => &event["params"]["url"],
        _ => return None,
    };
    url.as_str().map(str::to_owned)
}

/// A command that is not of the standard, but Chromium's.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

/// A chromedriver, which ends its browsers when it ends.
struct Driver {
    process: Child,
    port: u16,
}

impl Driver {
    async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).unwrap().port();
        let process = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let driver = Self { process, port };
        let deadline = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(Instant::now() < deadline, "chromedriver does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        driver
    }

    async fn session(&self) -> Client {
        let options = json!({
            "goog:chromeOptions": { "args": [
                // Root in a container has no sandbox; the only page that is opened is ours.
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                "--window-size=1280,900",
            ] },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let Value::Object(capabilities) = options else { unreachable!("it is written as an object") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        builder.connect(&format!("http://127.0.0.1:{}", self.port)).await.expect("a browser starts")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Asked to end, chromedriver ends its browsers too; killed, it would leave them.
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
        let _ = self.process.wait();
    }
}

fn is_there(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).exists())
}
