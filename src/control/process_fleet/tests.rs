use super::*;

fn order(command: &[&str]) -> StartOrder {
    let command = command.iter().map(|&text| text.to_owned()).collect();
    let settings = ProcessSettings { command, env: Vec::new() };
    StartOrder {
        backend: "api".into(),
        settings: Arc::new(FleetSettings::Process(settings)),
        fingerprint: "x".into(),
        ticket: 1,
        image: None,
    }
}

async fn start(fleet: &ProcessFleet, command: &[&str]) -> Result<Unit, EngineError> {
    let (changes, _steps) = mpsc::channel(8);
    fleet.start(&order(command), Steps::new(1, changes)).await
}

async fn next(changes: &mut mpsc::Receiver<Change>) -> Change {
    tokio::time::timeout(Duration::from_secs(10), changes.recv())
        .await
        .expect("a change in time")
        .expect("a watch")
}

#[tokio::test]
async fn a_process_is_told_its_port_and_its_end_and_its_last_lines_are_known() {
    let fleet = ProcessFleet::default();
    let mut changes = fleet.watch();
    let unit = start(&fleet, &["/bin/sh", "-c", "echo port {port}; echo bad >&2; exit 3"]).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Unit(unit.id.clone(), Happening::Died(Some(3))));
    let port = format!("port {}", unit.address.unwrap().port());
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let mut log = fleet.log(&unit.id).await.unwrap();
        log.sort();
        if log == ["bad".to_owned(), port.clone()] {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{log:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!fleet.list().await.unwrap()[0].running);
    fleet.remove(&unit.id).await.unwrap();
    assert_eq!(fleet.list().await.unwrap(), []);
}

#[tokio::test]
async fn one_that_does_not_end_by_itself_is_ended_after_its_grace() {
    let fleet = ProcessFleet::default();
    let mut changes = fleet.watch();
    let polite = start(&fleet, &["/bin/sleep", "60"]).await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    // Nothing is counted yet for a process that has just begun.
    while fleet.stats(&polite.id).await.unwrap().memory_bytes == 0 {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fleet.stop(&polite.id, Duration::from_secs(10)).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Unit(polite.id, Happening::Died(Some(143))));
    let deaf = start(&fleet, &["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"])
        .await
        .unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while fleet.log(&deaf.id).await.unwrap().is_empty() {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fleet.stop(&deaf.id, Duration::from_millis(50)).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Unit(deaf.id, Happening::Died(Some(137))));
}

#[tokio::test]
async fn a_command_that_is_not_there_is_named_with_its_cure() {
    let error = start(&ProcessFleet::default(), &["/nowhere/at-all"]).await.unwrap_err();
    assert_eq!(error.fault, EngineFault::Missing);
    assert!(error.to_string().contains("`/nowhere/at-all` cannot be started"), "{error}");
    assert!(error.to_string().contains("correct `process.command`"), "{error}");
}

#[tokio::test]
async fn lines_without_an_end_and_many_lines_are_bounded() {
    let fleet = ProcessFleet::default();
    let mut changes = fleet.watch();
    let script = "head -c 4000 /dev/zero | tr '\\0' x; for i in $(seq 100); do echo line $i; done";
    let unit = start(&fleet, &["/bin/sh", "-c", script]).await.unwrap();
    next(&mut changes).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let log = fleet.log(&unit.id).await.unwrap();
        assert!(
            log.len() <= NODE_LOG_LINES_MAX && log.iter().all(|line| line.len() <= NODE_LOG_LINE_BYTES_MAX)
        );
        if log.last().is_some_and(|line| line == "line 100") {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{log:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_process_may_have_the_huge_pages_that_the_balancer_refuses() {
    crate::shared::memory::refuse_huge_pages();
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    if !own.contains("THP_enabled:\t0") {
        // A kernel without huge pages refuses none.
        assert!(!own.contains("THP_enabled:\t1"), "the refusal did nothing");
        return;
    }
    let fleet = ProcessFleet::default();
    let unit = start(&fleet, &["/bin/sh", "-c", "grep THP_enabled /proc/self/status"]).await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while fleet.log(&unit.id).await.unwrap() != ["THP_enabled:\t1"] {
        assert!(std::time::Instant::now() < deadline, "{:?}", fleet.log(&unit.id).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The number of a process that a unit wrote as its first line.
async fn written_number(fleet: &ProcessFleet, unit: &Unit) -> String {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(number) = fleet.log(&unit.id).await.unwrap().first() {
            return number.clone();
        }
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Does it run? One that nobody has waited for yet does not.
fn runs(number: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

async fn wait_for_the_end(number: &str) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while runs(number) {
        assert!(std::time::Instant::now() < deadline, "{number} lives on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A shell that does not become its server: so it has a child.
const SHELL: &str = "sleep 300 & echo $!; wait; true";
const WRAPPED: &str = "sh -c \"$SERVER\"; true";

#[tokio::test]
async fn what_a_shell_has_started_is_stopped_with_it() {
    let fleet = ProcessFleet::default();
    let unit = start(&fleet, &["/bin/sh", "-c", SHELL]).await.unwrap();
    let server = written_number(&fleet, &unit).await;
    assert!(runs(&server));
    fleet.stop(&unit.id, Duration::from_secs(5)).await.unwrap();
    assert!(!runs(&server), "the server lives on");
}

#[tokio::test]
async fn a_server_has_its_grace_also_when_its_shell_ends_at_once() {
    let fleet = ProcessFleet::default();
    let mut changes = fleet.watch();
    let server = "trap 'sleep 0.3; echo bye; exit' TERM; echo $$; while :; do sleep 0.05; done";
    let command = ["/usr/bin/env", &format!("SERVER={server}"), "/bin/sh", "-c", WRAPPED];
    let unit = start(&fleet, &command).await.unwrap();
    written_number(&fleet, &unit).await;
    fleet.stop(&unit.id, Duration::from_secs(10)).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Unit(unit.id.clone(), Happening::Died(Some(143))));
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while fleet.log(&unit.id).await.unwrap().last().is_none_or(|line| line != "bye") {
        assert!(std::time::Instant::now() < deadline, "it was cut short");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_server_that_takes_no_leave_is_ended_after_the_grace_with_its_shell() {
    let fleet = ProcessFleet::default();
    let server = "trap '' TERM; echo $$; while :; do sleep 1; done";
    let command = ["/usr/bin/env", &format!("SERVER={server}"), "/bin/sh", "-c", WRAPPED];
    let unit = start(&fleet, &command).await.unwrap();
    let server = written_number(&fleet, &unit).await;
    fleet.stop(&unit.id, Duration::from_millis(50)).await.unwrap();
    wait_for_the_end(&server).await;
}

#[tokio::test]
async fn what_a_process_leaves_behind_ends_with_it() {
    let fleet = ProcessFleet::default();
    let mut changes = fleet.watch();
    let unit = start(&fleet, &["/bin/sh", "-c", "sleep 300 & echo $!; exit 3"]).await.unwrap();
    let left = written_number(&fleet, &unit).await;
    assert_eq!(next(&mut changes).await, Change::Unit(unit.id, Happening::Died(Some(3))));
    wait_for_the_end(&left).await;
}

#[test]
fn nothing_is_left_when_the_balancer_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(async {
        let fleet = ProcessFleet::default();
        let unit = start(&fleet, &["/bin/sh", "-c", SHELL]).await.unwrap();
        written_number(&fleet, &unit).await
    });
    assert!(runs(&server));
    drop(runtime);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while runs(&server) {
        assert!(std::time::Instant::now() < deadline, "the server lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}
