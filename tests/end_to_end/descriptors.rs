//! Too few file descriptors: who is connected does not notice, there is no spin, and more are accepted once there are some.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::balancer::Launch;
use crate::harness::client::Client;
use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::kernel::{cpu_time, descriptors};
use crate::rig::{Rig, get, on, wait_for};

const MOST: u32 = 256;

/// Kept for what is not a client: the number of operations.md.
const KEPT: u32 = 64;

/// A balancer that may have [`MOST`] descriptors, and clients that hold all that it gives them; more wait in the kernel.
fn exhausted(driver: crate::harness::balancer::Driver, origin: &Origin) -> (Rig, Vec<TcpStream>) {
    let launch = Launch { descriptors: Some(MOST), ..Launch::default() };
    let rig = Rig::launch(driver, &[origin], "workers: 2\n", &launch);
    assert_eq!(rig.get("/").status(), 200);
    let address = rig.balancer.address();
    let held: Vec<_> =
        (0..MOST + 50).map(|_| TcpStream::connect(address).expect("the kernel queues")).collect();
    await_shortage(&rig);
    (rig, held)
}

fn await_shortage(rig: &Rig) {
    wait_for("all descriptors in use", || {
        (descriptors(rig.balancer.pid) >= (MOST - KEPT) as usize).then_some(())
    });
}

site_cases! { on;
    fn running_out_is_no_spin(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let (rig, _held) = exhausted(driver, &origin);
        let (before, begin) = (cpu_time(rig.balancer.pid), Instant::now());
        // A span to measure over, not a wait for something.
        std::thread::sleep(Duration::from_secs(1));
        let (used, over) = (cpu_time(rig.balancer.pid) - before, begin.elapsed());
        assert!(used < over / 5, "{used:?} of CPU time in {over:?} without descriptors");
        assert!(rig.balancer.is_alive());
        assert!(descriptors(rig.balancer.pid) < (MOST - KEPT / 2) as usize, "{}", descriptors(rig.balancer.pid));
    }
    fn it_accepts_again_within_a_second(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let (rig, mut held) = exhausted(driver, &origin);
        let mut waiting = Client::connect(rig.balancer.address(), "late.test");
        waiting.send(get("/"));
        held.clear();
        let freed = Instant::now();
        assert_eq!(waiting.response().text(), "hi");
        assert!(freed.elapsed() < Duration::from_secs(1), "answered {:?} after descriptors were free", freed.elapsed());
        assert!(rig.total("accept_errors_total") > 0, "it never ran out: nothing was proven");
        rig.wait_until_quiet_but_for(waiting);
        assert!(descriptors(rig.balancer.pid) < 64, "{} descriptors stay", descriptors(rig.balancer.pid));
    }
    fn who_is_connected_does_not_notice_and_the_admin_api_answers(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let launch = Launch { descriptors: Some(MOST), ..Launch::default() };
        // They were accepted, and have no connection to the node yet.
        let rig = Rig::launch(driver, &[&origin], "workers: 1\n", &launch);
        let mut clients: Vec<_> = (0..20).map(|_| rig.client()).collect();
        wait_for("the clients' connections", || (rig.total("connections") == 20).then_some(()));
        let _held: Vec<_> = (0..MOST + 50).map(|_| TcpStream::connect(rig.balancer.address()).unwrap()).collect();
        await_shortage(&rig);
        for client in &mut clients {
            client.send(get("/"));
        }
        for client in &mut clients {
            assert_eq!(client.response().status(), 200);
        }
        assert!(rig.total("accept_errors_total") > 0, "it never ran out: nothing was proven");
    }
    fn too_few_for_max_connections_is_said_at_the_start(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let config = format!(
            "{}listeners: {{ web: {{ bind: \"127.0.0.1:0\", max_connections: 1000 }} }}\n{}",
            crate::harness::stage::common(driver),
            crate::rig::backend(&[origin.address()]),
        );
        let launch = Launch { descriptors: Some(MOST), ..Launch::default() };
        let rig = Rig { balancer: crate::harness::balancer::Balancer::launch(&config, &launch) };
        let said = rig.balancer.stderr();
        assert!(said.contains("max_connections needs 2064 file descriptors") && said.contains("ulimit -n"), "{said}");
        assert_eq!(rig.get("/").status(), 200);
    }
    fn max_connections_is_kept_and_more_wait(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let config = format!(
            "{}workers: 2\nlisteners: {{ web: {{ bind: \"127.0.0.1:0\", max_connections: 10 }} }}\n{}",
            crate::harness::stage::common(driver),
            crate::rig::backend(&[origin.address()]),
        );
        let rig = Rig::with(&config);
        let mut held: Vec<_> = (0..30).map(|_| rig.client().into_socket()).collect();
        wait_for("ten connections", || (rig.total("connections") >= 10).then_some(()));
        // Both workers look at the number before they take one: each can be one batch too far, never all thirty.
        std::thread::sleep(Duration::from_millis(300));
        let open = rig.total("connections");
        assert_eq!(open, 10, "of at most ten");
        let mut late = rig.client();
        late.send(get("/"));
        held.clear();
        assert_eq!(late.response().text(), "hi");
        let _ = late.into_socket().read(&mut []);
    }
}
