//! Addresses: several at once, every family, and those that somebody else has.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::commands::{Ended, run_config};
use crate::harness::balancer::Driver;
use crate::harness::client::Client;
use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::harness::stage::common;
use crate::rig::{Rig, backend, get, on};

fn scratch(name: &str, driver: Driver) -> PathBuf {
    // A socket's path is short by law (108 bytes), and a target directory's may be long.
    std::env::temp_dir().join(format!("plimsoll-e2e-{}-{name}-{}.sock", std::process::id(), driver.name()))
}

fn config(driver: Driver, bind: &str, origin: &Origin) -> String {
    format!(
        "{}workers: 2\nlisteners: {{ web: {{ bind: {bind} }} }}\n{}",
        common(driver),
        backend(&[origin.address()])
    )
}

/// A GET over a unix socket; everything that came.
fn get_over(path: &PathBuf) -> String {
    let mut socket = UnixStream::connect(path).expect("the balancer listens there");
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

site_cases! { on;
    fn one_listener_has_addresses_of_every_family(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let path = scratch("every", driver);
        let bind = format!("[\"127.0.0.1:0\", \"[::1]:0\", \"127.0.0.1:0\", \"unix:{}\"]", path.display());
        let rig = Rig::with(&config(driver, &bind, &origin));
        let addresses = &rig.balancer.addresses;
        assert_eq!(addresses.iter().filter(|(a, _)| a.is_ipv4()).count(), 2, "{addresses:?}");
        assert_eq!(addresses.iter().filter(|(a, _)| a.is_ipv6()).count(), 1, "{addresses:?}");
        for (address, name) in addresses {
            assert_eq!(name, "web");
            for _ in 0..4 {
                assert_eq!(Client::connect(*address, "a.test").send(get("/")).response().text(), "hi", "{address}");
            }
        }
        for _ in 0..4 {
            assert!(get_over(&path).ends_with("\r\n\r\nhi"));
        }
        assert_eq!(rig.total("requests_total"), 16);
        rig.balancer.signal("TERM");
        assert_eq!(rig.balancer.exit_code(crate::harness::PATIENCE), 0);
        assert!(!path.exists(), "a socket's file stays behind");
    }
    fn a_socket_file_of_one_that_was_killed_is_taken_over(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let path = scratch("killed", driver);
        let text = config(driver, &format!("[\"127.0.0.1:0\", \"unix:{}\"]", path.display()), &origin);
        let first = Rig::with(&text);
        first.balancer.signal("KILL");
        assert_eq!(first.balancer.exit_code(crate::harness::PATIENCE), 128 + 9);
        assert!(path.exists());
        let second = Rig::with(&text);
        assert!(get_over(&path).ends_with("\r\n\r\nhi"));
        drop((first, second));
        let _ = std::fs::remove_file(&path);
    }
    fn a_file_that_is_no_socket_is_left_as_it_is(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let path = scratch("precious", driver);
        std::fs::write(&path, "precious").unwrap();
        let text = config(driver, &format!("[\"127.0.0.1:0\", \"unix:{}\"]", path.display()), &origin);
        let Ended { code, stderr } = run_config(&text);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("a file that is no socket stands there") && stderr.contains("move"), "{stderr}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        std::fs::remove_file(&path).unwrap();
    }
    fn a_port_of_one_that_was_killed_is_taken_over(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let first = Rig::with(&config(driver, "\"127.0.0.1:0\"", &origin));
        let address = first.balancer.address();
        assert_eq!(first.get("/").text(), "hi");
        first.balancer.signal("KILL");
        assert_eq!(first.balancer.exit_code(crate::harness::PATIENCE), 128 + 9);
        let second = Rig::with(&config(driver, &format!("\"{address}\""), &origin));
        assert_eq!(second.get("/").text(), "hi");
    }
    fn a_port_in_use_is_named_with_the_cure(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let Ended { code, stderr } = run_config(&config(driver, &format!("\"127.0.0.1:{port}\""), &origin));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{stderr}");
        assert!(stderr.contains("listeners.web.bind") && stderr.contains("another process listens there"), "{stderr}");
        assert!(!stderr.contains("ready:") && !stderr.contains("panicked"), "{stderr}");
    }
    fn the_port_of_another_balancer_is_not_shared(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let first = Rig::with(&config(driver, "\"127.0.0.1:0\"", &origin));
        let address = first.balancer.address();
        let Ended { code, stderr } = run_config(&config(driver, &format!("\"{address}\""), &origin));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("another process listens there"), "{stderr}");
        assert_eq!(first.get("/").text(), "hi");
    }
    fn all_addresses_that_are_taken_are_named_at_once(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let taken: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let address = |n: usize| taken[n].local_addr().unwrap();
        let text = config(driver, &format!("[\"{}\", \"{}\"]", address(0), address(1)), &origin)
            .replace("bind: \"127.0.0.1:0\"", &format!("bind: \"{}\"", address(2)));
        let Ended { code, stderr } = run_config(&text);
        assert_eq!(code, Some(1), "{stderr}");
        for n in 0..3 {
            assert!(stderr.contains(&format!("cannot listen on {}", address(n))), "{stderr}");
        }
        assert!(stderr.contains("admin.bind"), "{stderr}");
    }
}
