//! What `config/` ships for hosts that fence their services in, and what happens behind a fence that knows no io_uring.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter, compile_from_json};
use serde_json::{Value, json};

use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::harness::stage::LISTENER;
use crate::rig::{Rig, backend, on};

const EPERM: u32 = 1;

/// Runs `work` on a thread with this filter, which everything that the thread starts inherits.
fn behind<T: Send + 'static>(filter: BpfProgram, work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(move || {
        apply_filter(&filter).expect("the kernel takes it");
        work()
    });
    thread.join().expect("the work behind the fence")
}

/// The shipped profile, in the form that the compiler of filters reads. Names that another architecture has are left out.
fn shipped() -> BpfProgram {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/seccomp.json");
    let profile: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).expect("JSON");
    assert_eq!(
        (&profile["defaultAction"], &profile["defaultErrnoRet"]),
        (&json!("SCMP_ACT_ERRNO"), &json!(EPERM))
    );
    let rules = profile["syscalls"].as_array().expect("rules");
    assert!(rules.iter().all(|rule| rule["action"] == "SCMP_ACT_ALLOW"));
    let allowed = rules.iter().flat_map(|rule| rule["names"].as_array().expect("names"));
    let rules: Vec<_> = allowed.map(|name| json!({ "syscall": name })).collect();
    let filter = json!({ "main": { "mismatch_action": { "errno": EPERM }, "match_action": "allow", "filter": rules } });
    let arch = std::env::consts::ARCH.try_into().expect("an architecture with seccomp");
    let mut programs = compile_from_json(filter.to_string().as_bytes(), arch).expect("a filter");
    programs.remove("main").expect("the program")
}

/// What Docker's own profile says to `io_uring_setup`.
fn without_io_uring() -> BpfProgram {
    const IO_URING_SETUP: i64 = 425;
    let rules = BTreeMap::from([(IO_URING_SETUP, Vec::new())]);
    let arch = std::env::consts::ARCH.try_into().expect("an architecture with seccomp");
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(EPERM), arch)
        .and_then(BpfProgram::try_from)
        .expect("a program")
}

site_cases! { on;
    fn the_shipped_seccomp_profile_has_all_that_is_called(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = behind(shipped(), move || Rig::start(driver, &[&origin], ""));
        for _ in 0..20 {
            assert_eq!(rig.get("/").text(), "hi");
        }
        assert_eq!(rig.json("/api/v1/status")["driver"], driver.name());
        assert_eq!(rig.total("requests_total"), 20);
        rig.balancer.signal("USR1");
        rig.balancer.signal("TERM");
        assert_eq!(rig.balancer.exit_code(crate::harness::PATIENCE), 0, "{}", rig.balancer.stderr());
    }
}

#[test]
fn where_io_uring_is_forbidden_epoll_serves_and_the_banner_says_why_and_what_to_do() {
    let origin = Origin::start(answering(ok("hi")));
    let config = format!(
        "driver: auto\nadmin: {{ bind: \"127.0.0.1:0\" }}\n{LISTENER}{}",
        backend(&[origin.address()])
    );
    let rig = behind(without_io_uring(), move || Rig::with(&config));
    assert_eq!(rig.get("/").text(), "hi");
    let said = rig.balancer.stderr();
    assert!(
        said.contains("on epoll (io_uring refused: ") && said.contains("a seccomp profile that has them"),
        "{said}"
    );
}

#[test]
fn the_shipped_unit_is_one_that_systemd_understands() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/plimsoll.service");
    let unit = std::fs::read_to_string(shipped)
        .unwrap()
        .replace("/usr/local/bin/plimsoll", env!("CARGO_BIN_EXE_plimsoll"));
    let folder = std::env::temp_dir().join(format!("plimsoll-unit-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("plimsoll.service");
    std::fs::write(&path, unit).unwrap();
    let verified = Command::new("systemd-analyze").arg("verify").arg(&path).output();
    std::fs::remove_dir_all(&folder).unwrap();
    match verified {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !said.contains("plimsoll.service:"), "{said}");
        }
        Err(error) => {
            let _ = writeln!(
                std::io::stderr(),
                "skipped: test the_shipped_unit_is_one_that_systemd_understands: systemd-analyze: {error}"
            );
        }
    }
}
