//! Clients that people use: curl, Python's `http.client`, Node's `fetch`, a browser. Each does what our raw clients do not do
//! of themselves.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tungstenite::protocol::{Role, WebSocket};

use crate::harness::PATIENCE;
use crate::harness::message::Message;
use crate::harness::origin::{Origin, OriginConnection, Script, ok};
use crate::harness::site::site_cases;
use crate::rig::{Rig, on};

const MIB: usize = 1 << 20;

/// Runs a program with this input; what it wrote, or `None`, said aloud, where it is not installed.
fn run(test: &str, program: &str, arguments: &[&str], input: Vec<u8>) -> Option<String> {
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "skipped: test {test}: {program}: {error}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().expect("its input");
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("it ends");
    let _ = writer.join();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Answers each request with what arrived: method, version of the client (from `via`), and the bytes of the body. Says
/// `100 Continue` where it is asked to.
fn telling() -> Script {
    Arc::new(|c: &mut OriginConnection| {
        while let Some(head) = c.head() {
            let expected = head.field("expect").is_some();
            if expected {
                c.send("HTTP/1.1 100 Continue\r\n\r\n");
            }
            let body = match head.field("content-length").and_then(|length| length.parse().ok()) {
                Some(length) => c.raw(length).len(),
                None => chunked(c, &head),
            };
            let via = head.field("via").unwrap_or("none");
            c.send(ok(&format!("{} {via} {body} expect={expected}", head.method())));
        }
    })
}

/// Bytes of a chunked body's data; 0 where there is none.
fn chunked(c: &mut OriginConnection, head: &Message) -> usize {
    if !head.lists("transfer-encoding", "chunked") {
        return 0;
    }
    let mut total = 0;
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(c.raw(1));
        }
        let text = std::str::from_utf8(&line[..line.len() - 2]).expect("a size");
        let size = usize::from_str_radix(text, 16).expect("a size");
        c.raw(size + 2);
        total += size;
        if size == 0 {
            return total;
        }
    }
}

site_cases! { on;
    fn curl_uploads_with_an_expectation(driver) {
        let rig = Rig::start(driver, &[&Origin::start(telling())], "");
        let url = format!("http://{}/up", rig.balancer.address());
        // curl expects 100-continue of itself above a mebibyte.
        let sized = ["-sS", "-H", "Content-Length: 3145728", "-H", "Transfer-Encoding:", "-T", "-", &url];
        let Some(said) = run("curl_uploads_with_an_expectation", "curl", &sized, vec![b'x'; 3 * MIB]) else { return };
        assert_eq!(said, "PUT 1.1 plimsoll 3145728 expect=true");
        let said = run("", "curl", &["-sS", "-T", "-", &url], vec![b'x'; 3 * MIB]).expect("curl");
        assert_eq!(said, "PUT 1.1 plimsoll 3145728 expect=true", "chunked");
    }
    fn curl_speaks_http_1_0(driver) {
        let rig = Rig::start(driver, &[&Origin::start(telling())], "");
        let url = format!("http://{}/", rig.balancer.address());
        let Some(said) = run("curl_speaks_http_1_0", "curl", &["-sS0", "-w", " %{num_connects}", &url, &url], Vec::new())
        else { return };
        assert_eq!(said, "GET 1.0 plimsoll 0 expect=false 1GET 1.0 plimsoll 0 expect=false 1");
    }
    fn curl_uses_a_connection_again(driver) {
        let rig = Rig::start(driver, &[&Origin::start(telling())], "");
        let url = format!("http://{}/", rig.balancer.address());
        let again = ["-sS", "-w", " %{num_connects};", &url, "-d", "abc", &url];
        let Some(said) = run("curl_uses_a_connection_again", "curl", &again, Vec::new()) else { return };
        assert_eq!(said, "POST 1.1 plimsoll 3 expect=false 1;POST 1.1 plimsoll 3 expect=false 0;");
        assert_eq!(rig.total("connections_total"), 1);
    }
    fn curl_downloads_what_has_no_length(driver) {
        let block = vec![b'y'; MIB];
        let origin = Origin::start(Arc::new(move |c: &mut OriginConnection| {
            c.head();
            c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for _ in 0..64 {
                c.send("100000\r\n");
                c.send(&block);
                c.send("\r\n");
            }
            c.send("0\r\n\r\n");
        }));
        let rig = Rig::start(driver, &[&origin], "");
        let url = format!("http://{}/", rig.balancer.address());
        let sized = ["-sS", "-o", "/dev/null", "-w", "%{size_download} %{http_code}", &url];
        let Some(said) = run("curl_downloads_what_has_no_length", "curl", &sized, Vec::new()) else { return };
        assert_eq!(said, format!("{} 200", 64 * MIB));
    }
    fn python_sends_chunks_and_keeps_its_connection(driver) {
        let rig = Rig::start(driver, &[&Origin::start(telling())], "");
        let program = format!(
            "import http.client\n\
             c = http.client.HTTPConnection('{}')\n\
             for body in (iter([b'abc', b'defg']), b'xy', None):\n\
             \x20   c.request('POST' if body else 'GET', '/', body, encode_chunked=body is not None and not isinstance(body, bytes))\n\
             \x20   print(c.getresponse().read().decode())\n",
            rig.balancer.address()
        );
        let Some(said) = run("python_sends_chunks_and_keeps_its_connection", "python3", &["-c", &program], Vec::new())
        else { return };
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(
            lines,
            ["POST 1.1 plimsoll 7 expect=false", "POST 1.1 plimsoll 2 expect=false", "GET 1.1 plimsoll 0 expect=false"]
        );
        assert_eq!(rig.total("connections_total"), 1);
    }
    fn node_fetches_and_streams(driver) {
        let rig = Rig::start(driver, &[&Origin::start(telling())], "");
        let program = format!(
            "const url = 'http://{}/';\n\
             const body = new ReadableStream({{ start(c) {{ c.enqueue(new Uint8Array(70000)); c.enqueue(new Uint8Array(5)); c.close(); }} }});\n\
             for (const options of [{{}}, {{ method: 'PUT', body, duplex: 'half' }}, {{ method: 'POST', body: 'abc' }}]) {{\n\
             \x20 const answer = await fetch(url, options); console.log(answer.status, await answer.text());\n\
             }}",
            rig.balancer.address()
        );
        let arguments = ["--input-type=module", "-e", &program];
        let Some(said) = run("node_fetches_and_streams", "node", &arguments, Vec::new()) else { return };
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(
            lines,
            [
                "200 GET 1.1 plimsoll 0 expect=false",
                "200 PUT 1.1 plimsoll 70005 expect=false",
                "200 POST 1.1 plimsoll 3 expect=false"
            ]
        );
    }
    fn a_browser_loads_posts_and_opens_a_websocket(driver) {
        let Some(browser) = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
            .into_iter()
            .find(|path| Path::new(path).exists())
        else {
            let _ = writeln!(std::io::stderr(), "skipped: test of a browser on {}: no Chromium is installed", driver.name());
            return;
        };
        let told = Arc::new(Mutex::new(None));
        let origin = Origin::start(Arc::new({
            let told = Arc::clone(&told);
            move |c: &mut OriginConnection| serve_page(c, &told)
        }));
        let rig = Rig::start(driver, &[&origin], "");
        let profile =
            std::env::temp_dir().join(format!("plimsoll-browser-{}-{}", std::process::id(), driver.name()));
        let mut visit = Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("http://{}/page", rig.balancer.address()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let deadline = Instant::now() + 3 * PATIENCE;
        while told.lock().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = visit.kill();
        let _ = visit.wait();
        let _ = std::fs::remove_dir_all(&profile);
        assert_eq!(told.lock().unwrap().as_deref(), Some("/done?posted=200000&said=hello"));
    }
}

/// Tells what it did by the target of a last request.
const PAGE: &str = "<!doctype html><link rel=icon href=data:,><script>\
    (async () => {\
      const answer = await fetch('/post', { method: 'POST', body: new Uint8Array(200000) });\
      const posted = await answer.text();\
      const socket = new WebSocket(`ws://${location.host}/ws`);\
      socket.onopen = () => socket.send('hello');\
      socket.onmessage = message => { fetch(`/done?posted=${posted}&said=${message.data}`); socket.close(); };\
    })();\
    </script>";

/// A page, what it posts to, what it opens a WebSocket to, and what it tells.
fn serve_page(c: &mut OriginConnection, told: &Mutex<Option<String>>) {
    while let Some(head) = c.head() {
        match head.target() {
            "/page" => {
                let length = PAGE.len();
                c.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{PAGE}"
                ));
            }
            "/post" => {
                let length = head.field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
                let body = c.raw(length).len();
                c.send(ok(&body.to_string()));
            }
            "/ws" => return serve_socket(c, &head),
            target => {
                if target.starts_with("/done") {
                    *told.lock().unwrap() = Some(target.to_owned());
                }
                c.send(ok("thanks"));
            }
        }
    }
}

fn serve_socket(c: &mut OriginConnection, head: &Message) {
    c.tunnel();
    let key = head.field("sec-websocket-key").expect("a key");
    let key = tungstenite::handshake::derive_accept_key(key.as_bytes());
    c.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {key}\r\n\r\n"
    ));
    let mut socket = WebSocket::from_raw_socket(c, Role::Server, None);
    while let Ok(message) = socket.read() {
        if !message.is_close() && socket.send(message).is_err() {
            break;
        }
    }
}
