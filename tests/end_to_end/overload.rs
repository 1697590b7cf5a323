//! Three times as much as can be served: what can be is, in bounded time, and the rest is told so at once.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::client::Client;
use crate::harness::origin::{Origin, ok};
use crate::harness::site::site_cases;
use crate::queues::busy;
use crate::rig::{Rig, get, limited, on};
use crate::traffic::{Traffic, p99};

const SERVICE: Duration = Duration::from_millis(20);
const PLACES: usize = 4;
const TIMEOUT: Duration = Duration::from_millis(500);

/// Asks every `pause`, or as soon as it was served; (served, refused), with how long each took.
fn ask(address: SocketAddr, pause: Duration, until: Instant) -> (Vec<Duration>, Vec<Duration>) {
    let mut client = Client::connect(address, "overload.test");
    let (mut served, mut refused) = (Vec::new(), Vec::new());
    while Instant::now() < until {
        let began = Instant::now();
        let answer = client.send(get("/")).response();
        let took = began.elapsed();
        match (answer.status(), answer.field("x-plimsoll-reason")) {
            (200, _) => served.push(took),
            (503, Some("queue_full" | "queue_timeout")) => {
                assert!(answer.field("retry-after").is_some());
                refused.push(took);
            }
            other => panic!("{other:?}"),
        }
        std::thread::sleep(pause.saturating_sub(took));
    }
    (served, refused)
}

site_cases! { on;
    fn three_times_the_capacity(driver) {
        let most = Arc::new(AtomicUsize::new(0));
        let origin = busy(SERVICE, most.clone());
        let keys = format!("queue: {{ max: 1000, timeout: {}ms }}", TIMEOUT.as_millis());
        let server = format!("max_connections: {PLACES}");
        let rig = Rig::with(&limited(driver, &[origin.address()], &server, &keys, "workers: 2\n"));

        // The peak: as many clients as there are places.
        let traffic = Traffic::start(rig.balancer.address(), PLACES);
        let began = Instant::now();
        traffic.wait_for_more(200);
        let peak = traffic.answered() as f64 / began.elapsed().as_secs_f64();
        traffic.stop();

        let clients = 150;
        let pause = Duration::from_secs_f64(f64::from(clients) / (3.0 * peak));
        let began = Instant::now();
        let until = began + Duration::from_secs(4);
        let asking: Vec<_> = (0..clients)
            .map(|_| {
                let address = rig.balancer.address();
                std::thread::spawn(move || ask(address, pause, until))
            })
            .collect();
        let all: Vec<_> = asking.into_iter().map(|client| client.join().expect("answers")).collect();
        let seconds = began.elapsed().as_secs_f64();
        let mut served: Vec<_> = all.iter().flat_map(|(served, _)| served.clone()).collect();
        let mut refused: Vec<_> = all.iter().flat_map(|(_, refused)| refused.clone()).collect();
        served.sort_unstable();
        refused.sort_unstable();

        let goodput = served.len() as f64 / seconds;
        let offered = (served.len() + refused.len()) as f64 / seconds;
        let (slowest, fast) = (served[served.len() * 99 / 100], refused[refused.len() * 9 / 10]);
        eprintln!("peak {peak:.0}/s, offered {offered:.0}/s, served {goodput:.0}/s, p99 {slowest:?}, 90 % refused within {fast:?}");
        assert!(offered > 2.0 * peak, "the clients did not offer enough: {offered:.0} of {peak:.0}");
        assert!(goodput >= 0.9 * peak, "{goodput:.0} of {peak:.0}");
        assert!(slowest <= TIMEOUT + SERVICE + Duration::from_millis(200), "{slowest:?}");
        assert!(fast <= Duration::from_millis(10), "{fast:?}");
        assert!(most.load(SeqCst) <= PLACES);
        rig.wait_until_quiet();
    }
    fn a_limit_that_is_found_out_keeps_a_node_from_being_buried(driver) {
        // Two requests at a time, whoever else waits inside it.
        let slots = Arc::new([Mutex::new(()), Mutex::new(())]);
        let now = AtomicUsize::new(0);
        // How many each request found there, itself too; all of them added up.
        let found = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let seen = found.clone();
        let origin = Origin::start(Arc::new(move |c| {
            while c.request().is_some() {
                let at = now.fetch_add(1, SeqCst);
                seen[0].fetch_add(1, SeqCst);
                seen[1].fetch_add(at + 1, SeqCst);
                let slot = slots[at % 2].lock().unwrap();
                std::thread::sleep(Duration::from_millis(5));
                drop(slot);
                now.fetch_sub(1, SeqCst);
                c.send(ok("served"));
            }
        }));
        let keys = "adaptive_limit: {}, queue: {}";
        let rig = Rig::with(&limited(driver, &[origin.address()], "weight: 1", keys, "workers: 2\n"));
        // One at a time: what it takes with nothing else to do is known then.
        let quiet = Traffic::start(rig.balancer.address(), 1);
        quiet.wait_for_more(100);
        crate::traffic::assert_all_ok(&quiet.stop());
        let flood = Traffic::start(rig.balancer.address(), 40);
        flood.wait_for_more(600);
        let before = [0, 1].map(|which| found[which].load(SeqCst));
        flood.wait_for_more(600);
        let after = [0, 1].map(|which| found[which].load(SeqCst));
        crate::traffic::assert_all_ok(&flood.stop());
        // On average: the limit moves up when the machine stood still for a moment, and down again.
        let buried = (after[1] - before[1]) as f64 / (after[0] - before[0]) as f64;
        assert!((1.5..=16.0).contains(&buried), "{buried:.1} at once");
        rig.wait_until_quiet();
    }
    fn the_node_is_as_fast_as_before_once_it_is_over(driver) {
        let origin = busy(Duration::from_millis(2), Arc::default());
        let keys = "queue: { max: 50, timeout: 200ms }";
        let rig = Rig::with(&limited(driver, &[origin.address()], "max_connections: 2", keys, "workers: 1\n"));
        let until = Instant::now() + Duration::from_secs(1);
        let flood: Vec<_> = (0..40)
            .map(|_| {
                let address = rig.balancer.address();
                std::thread::spawn(move || ask(address, Duration::from_millis(5), until))
            })
            .collect();
        flood.into_iter().for_each(|client| drop(client.join().expect("answers")));
        let traffic = Traffic::start(rig.balancer.address(), 2);
        traffic.wait_for_more(100);
        let outcomes = traffic.stop();
        crate::traffic::assert_all_ok(&outcomes);
        assert!(p99(&outcomes) < Duration::from_millis(200), "{:?}", p99(&outcomes));
    }
}
