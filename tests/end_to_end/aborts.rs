//! Clients that leave in the middle: what was done for them stops, and nothing of them stays.

use std::sync::Arc;

use crate::harness::gate::Gate;
use crate::harness::origin::{Act, Origin, Script, ok};
use crate::harness::site::site_cases;
use crate::kernel::descriptors;
use crate::rig::{Rig, get, on, wait_for};

/// Clients that leave in each case: more than could hide in a pool's noise.
const CLIENTS: usize = 40;

/// Answers `/` at once, and does on `/abort` what `act` says.
fn origin(act: impl Fn(&mut crate::harness::origin::OriginConnection) + Send + Sync + 'static) -> Origin {
    let script: Script = Arc::new(move |c| {
        while let Some(head) = c.head() {
            if head.target() == "/abort" {
                act(c);
                // The end of the connection is the balancer's to say.
                c.rest();
                return;
            }
            c.send(ok("hi"));
        }
    });
    Origin::start(script)
}

/// Descriptors that are open when the balancer has served its first request, and is idle.
fn at_rest(rig: &Rig) -> usize {
    assert_eq!(rig.get("/").status(), 200);
    rig.wait_until_quiet();
    descriptors(rig.balancer.pid)
}

/// All is as it was before; the next client is served.
#[track_caller]
fn nothing_is_left(rig: &Rig, act: &Act, before: usize) {
    act.wait("the end of every connection that served `/abort`", |seen| {
        let aborted = seen.iter().filter(|s| s.requests.iter().any(|r| r.target() == "/abort"));
        let (all, closed) =
            aborted.fold((0, 0), |(all, closed), s| (all + 1, closed + usize::from(s.closed)));
        (all == CLIENTS && closed == CLIENTS).then_some(())
    });
    rig.wait_until_quiet();
    wait_for("as many descriptors as before", || (descriptors(rig.balancer.pid) <= before + 2).then_some(()));
    assert_eq!(rig.get("/").text(), "hi");
    assert_eq!(rig.total("panics_total"), 0);
}

#[track_caller]
fn wait_for_aborts(act: &Act) {
    act.wait("every client's request", |seen| {
        let aborts = seen.iter().flat_map(|s| &s.requests).filter(|r| r.target() == "/abort").count();
        (aborts == CLIENTS).then_some(())
    });
}

site_cases! { on;
    fn in_the_middle_of_an_upload(driver) {
        let origin = origin(|_| ());
        let rig = Rig::start(driver, &[&origin], "");
        let before = at_rest(&rig);
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| rig.client()).collect();
        for client in &mut clients {
            client.send("POST /abort HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\nsome of it");
        }
        wait_for_aborts(&origin.act());
        // One half says goodbye, the other half is cut off.
        for (n, client) in clients.into_iter().enumerate() {
            if n % 2 == 0 { client.reset() } else { drop(client) }
        }
        nothing_is_left(&rig, &origin.act(), before);
    }
    fn in_the_middle_of_a_response(driver) {
        let origin = origin(|c| {
            c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
            while c.send(&chunk) {}
        });
        let rig = Rig::start(driver, &[&origin], "");
        let before = at_rest(&rig);
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| rig.client()).collect();
        for client in &mut clients {
            client.send(get("/abort")).head();
        }
        for (n, client) in clients.into_iter().enumerate() {
            if n % 2 == 0 { client.reset() } else { drop(client) }
        }
        nothing_is_left(&rig, &origin.act(), before);
    }
    fn before_the_response(driver) {
        let origin = origin(|_| ());
        let rig = Rig::start(driver, &[&origin], "");
        let before = at_rest(&rig);
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| rig.client()).collect();
        clients.iter_mut().for_each(|client| { client.send(get("/abort")); });
        wait_for_aborts(&origin.act());
        assert_eq!(rig.total("in_flight"), CLIENTS as u64);
        clients.into_iter().for_each(crate::harness::client::Client::reset);
        nothing_is_left(&rig, &origin.act(), before);
        assert_eq!(rig.metric("plimsoll_requests_total", &["code=\"0\""]), CLIENTS as f64);
    }
    fn before_their_request_is_whole(driver) {
        let origin = origin(|_| ());
        let rig = Rig::start(driver, &[&origin], "");
        let before = at_rest(&rig);
        for n in 0..CLIENTS {
            let mut client = rig.client();
            client.send("GET /abort HTTP/1.1\r\nHo");
            if n % 2 == 0 { client.reset() } else { drop(client) }
        }
        rig.wait_until_quiet();
        wait_for("as many descriptors as before", || (descriptors(rig.balancer.pid) <= before + 2).then_some(()));
        assert!(origin.act().requests().iter().all(|r| r.target() != "/abort"));
        assert_eq!(rig.get("/").text(), "hi");
    }
    fn a_thousand_times_leaks_nothing(driver) {
        let origin = Origin::start(crate::harness::origin::answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "workers: 2\n");
        let before = at_rest(&rig);
        for n in 0..1000 {
            let mut client = rig.client();
            match n % 4 {
                0 => drop(client),
                1 => { client.send(get("/")); client.reset() }
                2 => { client.send("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\nx"); }
                _ => { client.send("GE"); client.reset() }
            }
        }
        rig.wait_until_quiet();
        // The pool keeps connections to the node that are still good.
        let pooled = || origin.act().seen().iter().filter(|s| !s.closed).count();
        wait_for("the descriptors of the pool alone", || (descriptors(rig.balancer.pid) <= before + pooled()).then_some(()));
        assert_eq!(rig.get("/").text(), "hi");
    }
    fn a_gate_that_never_opens_is_left_by_its_clients(driver) {
        let gate = Gate::default();
        let wait = gate.clone();
        let origin = origin(move |_| wait.pass());
        let rig = Rig::start(driver, &[&origin], "workers: 1\n");
        let mut client = rig.client();
        client.send(get("/abort"));
        origin.act().wait("the request", |seen| seen.iter().any(|s| !s.requests.is_empty()).then_some(()));
        client.finish();
        // FIN alone is a client that may still read; it gets no more than a moment.
        client.closed();
        rig.wait_until_quiet();
        gate.open();
    }
}
