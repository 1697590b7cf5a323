//! The range where attacks are fired: one balancer, one origin, a pool of connections that all clients share.

use std::io::Write as _;
use std::time::Duration;

use crate::harness::balancer::Driver;
use crate::harness::message::{Side, latin1, parse};
use crate::harness::origin::ok;
use crate::harness::stage::{Setup, Stage};

/// Behind every attack: a request that ends the connection, and bytes that no parser takes. A balancer that has been
/// led to expect a body swallows them; one that has not refuses them, and closes.
const TAIL: &[u8] =
    b"GET /end HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n\0\0\0\0\r\n\r\n\0\0\0\0\r\n\r\n";

/// How long the balancer may be silent before the client finishes.
const SILENCE: Duration = Duration::from_millis(60);

/// A stage, and a memory of what was fired since the last audit.
pub(crate) struct Range {
    pub(crate) stage: Stage,
    fired: usize,
    recent: Vec<Vec<u8>>,
}

impl Range {
    /// `None` where the driver cannot be had on this machine.
    pub(crate) fn open(driver: Driver) -> Option<Self> {
        if let Some(reason) = driver.unavailable() {
            let _ = writeln!(std::io::stderr(), "skipped: test of attacks on {}: {reason}", driver.name());
            return None;
        }
        let stage = Stage::enter(driver, Setup::One);
        stage.origin(|c| {
            while let Some(request) = c.request() {
                let whole = ok(&format!("{} {}", request.target(), request.body.len()));
                let head = whole.find("\r\n\r\n").unwrap() + 4;
                c.send(if request.method() == "HEAD" { &whole[..head] } else { &whole });
            }
        });
        Some(Self { stage, fired: 0, recent: Vec::new() })
    }

    /// Fires one attack, then looks at the origin and at the next client.
    #[track_caller]
    pub(crate) fn fire(&mut self, name: &str, attack: &[u8]) {
        self.send(name, attack);
        self.judge();
    }

    /// Fires one attack without looking; [`Self::judge`] must follow.
    #[track_caller]
    pub(crate) fn send(&mut self, name: &str, attack: &[u8]) {
        let bytes = [attack, TAIL].concat();
        self.recent.push([name.as_bytes(), b": ", attack].concat());
        self.fired += 1;
        let mut client = self.stage.client();
        let received = client.try_send(&bytes).settle(SILENCE);
        if let Err(why) = check_responses(&received, attack) {
            self.condemn(&why);
        }
    }

    /// Audits the origin, and sends the next client.
    #[track_caller]
    pub(crate) fn judge(&mut self) {
        let canary = self.stage.canary();
        let violations = self.stage.act().audit();
        if !violations.is_empty() {
            self.condemn(&format!("what reached the origin: {}", violations.join("\n")));
        }
        if let Err(why) = canary {
            self.condemn(&why);
        }
        self.stage.act().forget();
        self.recent.clear();
    }

    #[track_caller]
    fn condemn(&self, why: &str) -> ! {
        let recent: Vec<_> = self.recent.iter().map(|a| latin1(a)).collect();
        panic!("{why}\nafter {} attacks, the last of them {recent:#?}", self.fired);
    }
}

/// What the attacker reads must be a sequence of unambiguous responses too.
fn check_responses(mut received: &[u8], attack: &[u8]) -> Result<(), String> {
    // The length of an answer to HEAD, and where a tunnel begins, cannot be seen from the responses alone.
    if [&b"HEAD"[..], b"Upgrade"].iter().any(|word| memchr::memmem::find(attack, word).is_some()) {
        return Ok(());
    }
    while !received.is_empty() {
        match parse(received, Side::Response { method: "GET", ended: true }) {
            Ok(Some(message)) => received = &received[message.len..],
            Ok(None) => return Ok(()),
            Err(why) => return Err(format!("the attacker reads {why} in {:?}", latin1(received))),
        }
    }
    Ok(())
}

/// One test for each driver that fires what `$fire` fires.
macro_rules! on_both_drivers {
    ($(fn $name:ident($range:ident) $body:block)*) => {
        $(mod $name {
            #[allow(unused_imports, reason = "not every test needs what its file imports")]
            use super::*;
            fn fire(driver: $crate::harness::balancer::Driver) {
                let Some(mut open) = $crate::range::Range::open(driver) else { return };
                let $range = &mut open;
                $body
            }
            #[test]
            fn io_uring() { fire($crate::harness::balancer::Driver::IoUring); }
            #[test]
            fn epoll() { fire($crate::harness::balancer::Driver::Epoll); }
        })*
    };
}
pub(crate) use on_both_drivers;
