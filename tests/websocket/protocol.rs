//! Python's `websockets` speaks the protocol with the real binary: another implementation, other mistakes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::origin::{Origin, OriginConnection, ok};
use crate::rig::Rig;

const LIBRARY: &str = "websockets==15.0.1";

/// Answers with 500 where the path says so.
fn by_path(connection: &mut OriginConnection) {
    while let Some(request) = connection.request() {
        let answer = ok("hello");
        let failing = request.target().contains("fail");
        connection.send(if failing { answer.replacen("200", "500", 1) } else { answer });
    }
}

#[test]
fn a_second_implementation_speaks_the_protocol() {
    let Some(library) = library() else { return };
    let origin = Origin::start(std::sync::Arc::new(by_path));
    let rig = Rig::start(&origin);
    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/websocket/protocol.py"))
        .arg(rig.admin().to_string())
        .arg(rig.balancer.address().to_string())
        .env("PYTHONPATH", library)
        .output()
        .unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{wrong}\n{}", rig.balancer.stderr());
    assert!(said.ends_with("all of the protocol\n"), "{said}");
}

/// The library, in a folder of the tests' own.
fn library() -> Option<PathBuf> {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("websockets");
    if !library.join("websockets/asyncio/client.py").exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(&library).arg(LIBRARY);
        if !pip.status().is_ok_and(|status| status.success()) {
            // Not by `eprintln!`: the test harness would keep it to itself.
            let _ = writeln!(
                std::io::stderr(),
                "skipped: test of the websocket by a second implementation: \
                 `python3 -m pip install {LIBRARY}` failed. Install python3-pip, or allow the network."
            );
            return None;
        }
    }
    Some(library)
}
