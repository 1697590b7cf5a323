//! Every call, and every way in which an engine refuses it.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::config::settings::{DockerSettings, FleetSettings, Pull, Reach};
use plimsoll::control::fleet::{
    Change, EngineError, EngineFault, Fleet, StartOrder, Steps, Unfit, Unit, UnitId,
};
use plimsoll::logic::scale::lifecycle::Happening;
use tokio::sync::mpsc;

use crate::engine::{Engine, error, ok};

fn order(pull: Pull) -> StartOrder {
    let settings = DockerSettings {
        image: "api:1".into(),
        port: None,
        env: Vec::new(),
        command: Vec::new(),
        network: "bridge".into(),
        reach: Reach::Loopback,
        cpus: 0.0,
        memory_bytes: 0,
        pull,
        stop_grace: Duration::from_secs(1),
    };
    let settings = Arc::new(FleetSettings::Docker(settings));
    StartOrder { backend: "api".into(), settings, fingerprint: "f".into(), ticket: 1, image: None }
}

async fn start(engine: &Engine, pull: Pull) -> (Result<Unit, EngineError>, Vec<Change>) {
    let (changes, mut steps) = mpsc::channel(64);
    let started = engine.fleet.start(&order(pull), Steps::new(1, changes)).await;
    let mut told = Vec::new();
    while let Ok(step) = steps.try_recv() {
        told.push(step);
    }
    (started, told)
}

#[tokio::test]
async fn a_container_is_created_started_and_found_by_its_published_port() {
    let engine = Engine::start(|_, _| None);
    let (unit, steps) = start(&engine, Pull::Missing).await;
    let unit = unit.unwrap();
    assert_eq!(unit.address, Some("127.0.0.1:49153".parse().unwrap()));
    assert_eq!((&*unit.id.0, unit.ours), ("c0ffee", true));
    assert_eq!(steps, [Change::Step(1, Happening::Created)]);
    assert_eq!(
        engine.asked(),
        [
            "GET /version",
            "GET /images/api:1/json",
            "GET /images/api:1/json",
            "POST /containers/create",
            "POST /containers/c0ffee/start",
            "GET /containers/c0ffee/json"
        ]
    );
}

#[tokio::test]
async fn an_image_that_is_missing_is_pulled_with_its_progress() {
    let pulled = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = Arc::clone(&pulled);
    let engine = Engine::start(move |method, path| match (method, path) {
        ("POST", "/images/create") => {
            seen.store(true, std::sync::atomic::Ordering::SeqCst);
            Some(ok(
                "{\"id\":\"a\",\"status\":\"Pulling fs layer\"}\n{\"id\":\"a\",\"status\":\"Pull complete\"}\n",
            ))
        }
        ("GET", path) if path.starts_with("/images/") && !seen.load(std::sync::atomic::Ordering::SeqCst) => {
            Some(error(404, "No such image: api:1"))
        }
        _ => None,
    });
    let (unit, steps) = start(&engine, Pull::Missing).await;
    unit.unwrap();
    let words: Vec<_> = steps
        .iter()
        .filter_map(|step| match step {
            Change::Step(_, Happening::Progress(words)) => Some(words.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(words, ["pulling", "0 of 1 layers", "1 of 1 layers"]);
}

#[tokio::test]
async fn what_could_not_be_started_is_removed_and_the_cure_is_named() {
    for (path, answer, fault, cure) in [
        ("/containers/create", error(500, "write: no space left on device"), EngineFault::NoSpace, "prune"),
        ("/containers/create", error(400, "invalid reference"), EngineFault::Refused, "correct `docker`"),
        ("/containers/create", error(404, "network x not found"), EngineFault::Missing, "create the network"),
        (
            "/containers/c0ffee/start",
            error(500, "port is already allocated"),
            EngineFault::PortTaken,
            "another",
        ),
        (
            "/containers/c0ffee/start",
            error(400, "executable file not found"),
            EngineFault::Refused,
            "correct",
        ),
        (
            "/containers/c0ffee/json",
            ok("{\"State\":{\"Running\":false,\"ExitCode\":3}}"),
            EngineFault::Refused,
            "log",
        ),
        ("/containers/c0ffee/json", ok("{\"State\":{\"Running\":true}}"), EngineFault::Refused, "network"),
        ("/containers/c0ffee/json", ok("this is no JSON"), EngineFault::Down, "see what listens"),
    ] {
        let here = path.to_owned();
        let engine = Engine::start(move |_, asked| (asked == here).then(|| answer.clone()));
        let error = start(&engine, Pull::Missing).await.0.unwrap_err();
        assert_eq!(error.fault, fault, "{path}: {error}");
        assert!(error.cure.contains(cure), "{path}: {error}");
        let removed = engine.asked().contains(&"DELETE /containers/c0ffee".to_owned());
        assert_eq!(removed, path != "/containers/create", "{path}: {:?}", engine.asked());
    }
}

#[tokio::test]
async fn a_pull_that_fails_says_which_image() {
    let engine = Engine::start(|method, path| match (method, path) {
        ("POST", "/images/create") => Some(ok(
            "{\"errorDetail\":{\"message\":\"pull access denied\"},\"error\":\"pull access denied\"}\n",
        )),
        _ => None,
    });
    let error = start(&engine, Pull::Always).await.0.unwrap_err();
    assert_eq!(error.fault, EngineFault::Missing);
    assert!(
        error.message.contains("`api:1` cannot be pulled") && error.message.contains("denied"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_gone_already_is_stopped_and_removed() {
    let unit = UnitId("c0ffee".into());
    let engine =
        Engine::start(|method, _| (method != "GET").then(|| error(404, "No such container: c0ffee")));
    engine.fleet.stop(&unit, Duration::from_secs(1)).await.unwrap();
    engine.fleet.remove(&unit).await.unwrap();
    engine.say(|method, _| (method != "GET").then(|| error(500, "something broke")));
    assert_eq!(
        engine.fleet.stop(&unit, Duration::from_secs(1)).await.unwrap_err().fault,
        EngineFault::Refused
    );
}

#[tokio::test]
async fn a_grace_of_less_than_a_second_is_one() {
    let engine = Engine::start(|_, _| None);
    let unit = UnitId("c0ffee".into());
    for (grace, seconds) in [(500, "t=1"), (1000, "t=1"), (1200, "t=2"), (0, "t=0")] {
        engine.fleet.stop(&unit, Duration::from_millis(grace)).await.unwrap();
        let query = engine.last("POST /containers/c0ffee/stop").query;
        assert!(query.split('&').any(|part| part == seconds), "{grace} ms: {query}");
    }
}

/// Figures of a container that has used so many seconds.
fn figures(online: &str) -> String {
    format!(
        "{{\"cpu_stats\":{{\"cpu_usage\":{{\"total_usage\":3000000000}}{online}}},\"memory_stats\":{{\"usage\":9}}}}"
    )
}

#[tokio::test]
async fn the_cores_of_a_container_are_its_limit_or_those_of_its_engine() {
    for (host, online, info, cores, asked_info) in [
        ("{\"NanoCpus\":1500000000}", ",\"online_cpus\":16", "{}", Some(1.5), false),
        ("{}", ",\"online_cpus\":16", "{}", Some(16.0), false),
        ("{}", "", "{\"NCPU\":12}", Some(12.0), true),
        ("{}", "", "{}", None, true),
    ] {
        let (host, figures, info) = (host.to_owned(), figures(online), info.to_owned());
        let engine = Engine::start(move |_, path| match path {
            "/containers/c0ffee/json" => Some(ok(&format!("{{\"HostConfig\":{host}}}"))),
            "/containers/c0ffee/stats" => Some(ok(&figures)),
            "/info" => Some(ok(&info)),
            _ => None,
        });
        let unit = UnitId("c0ffee".into());
        for _ in 0..2 {
            let stats = engine.fleet.stats(&unit).await;
            match cores {
                Some(_) => assert_eq!(stats.as_ref().unwrap().cores, cores),
                None => assert!(stats.as_ref().unwrap_err().cure.contains("cpus"), "{stats:?}"),
            }
            assert!(stats.is_err() || stats.unwrap().cpu == Duration::from_secs(3));
        }
        let asked = engine.asked();
        let count = |what: &str| asked.iter().filter(|asked| *asked == what).count();
        assert_eq!(count("GET /containers/c0ffee/json"), 1, "asked for once: {asked:?}");
        assert_eq!(count("GET /info") > 0, asked_info, "{asked:?}");
    }
}

/// A container of a list, with the labels that this one was created with.
fn listed(id: &str, name: &str, created: &str, status: &str) -> serde_json::Value {
    let body: serde_json::Value = serde_json::from_str(created).unwrap();
    serde_json::json!({
        "Id": id, "Names": [format!("/{name}")], "State": "running", "Status": status, "Labels": body["Labels"],
        "Ports": [{ "PrivatePort": 8080, "PublicPort": 49153, "IP": "127.0.0.1", "Type": "tcp" }]
    })
}

#[tokio::test]
async fn what_bears_a_copy_of_our_labels_is_not_ours_and_is_told_once() {
    let engine = Engine::start(|_, _| None);
    start(&engine, Pull::Missing).await.0.unwrap();
    let created = engine.last("POST /containers/create");
    let name = created.query.split('&').find_map(|part| part.strip_prefix("name=")).unwrap();
    assert!(name.starts_with("plimsoll-api-owner-of-"), "{name}");
    let list = serde_json::json!([
        listed("c0ffee", name, &created.body, "Up 2 seconds"),
        listed("aaaaaaaaaaaabbbb", "brave_bell", &created.body, "Up 2 seconds"),
    ])
    .to_string();
    engine.say(move |_, path| (path == "/containers/json").then(|| ok(&list)));
    for _ in 0..2 {
        let units = engine.fleet.list().await.unwrap();
        assert_eq!(units.len(), 1, "in both lists, and counted once: {units:?}");
        assert!(units[0].ours && *units[0].id.0 == *"c0ffee" && &*units[0].fingerprint == "f", "{units:?}");
    }
    let told: Vec<_> = engine.told.try_iter().map(|event| event.text).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("container aaaaaaaaaaaa is left out: its labels say"), "{told:?}");
}

#[tokio::test]
async fn who_fails_its_own_health_check_is_known_from_the_list_and_until_the_list_says_otherwise() {
    let engine = Engine::start(|_, _| None);
    start(&engine, Pull::Missing).await.0.unwrap();
    let created = engine.last("POST /containers/create");
    let name = created.query.split('&').find_map(|part| part.strip_prefix("name=")).unwrap().to_owned();
    let unit = UnitId("c0ffee".into());
    for (status, unfit) in
        [("Up 2 minutes (unhealthy)", Some(Unfit::Unhealthy)), ("Up 2 minutes (healthy)", None)]
    {
        let list = serde_json::json!([listed("c0ffee", &name, &created.body, status)]).to_string();
        engine.say(move |_, path| (path == "/containers/json").then(|| ok(&list)));
        engine.fleet.list().await.unwrap();
        assert_eq!(engine.fleet.unfit(&unit), unfit, "{status}");
    }
}

#[tokio::test]
async fn a_bad_label_is_told_once_and_stops_nothing() {
    let list = "[{\"Id\":\"aaaaaaaaaaaabbbb\",\"State\":\"running\",\"Ports\":[{\"PrivatePort\":80,\"Type\":\"tcp\"}],\
        \"Labels\":{\"plimsoll.enable\":\"true\",\"plimsoll.backend\":\"api\",\"plimsoll.weight\":\"0\"}},\
        {\"Id\":\"good\",\"State\":\"running\",\"Ports\":[{\"PrivatePort\":80,\"Type\":\"tcp\"}],\
        \"NetworkSettings\":{\"Networks\":{\"n\":{\"IPAddress\":\"172.17.0.9\"}}},\
        \"Labels\":{\"plimsoll.enable\":\"true\",\"plimsoll.backend\":\"api\"}}]";
    let first = std::sync::atomic::AtomicU32::new(0);
    let engine = Engine::start(move |_, path| {
        // The first of each pair asks for our own.
        let own = || first.fetch_add(1, std::sync::atomic::Ordering::SeqCst).is_multiple_of(2);
        (path == "/containers/json").then(|| ok(if own() { "[]" } else { list }))
    });
    for _ in 0..2 {
        let units = engine.fleet.list().await.unwrap();
        assert_eq!(units.len(), 1);
        assert_eq!(units[0].address, Some("172.17.0.9:80".parse().unwrap()));
        assert!(!units[0].ours);
    }
    let told: Vec<_> = engine.told.try_iter().map(|event| event.text).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("container aaaaaaaaaaaa is left out: `plimsoll.weight`"), "{told:?}");
}

#[tokio::test]
async fn an_engine_that_is_not_there_says_so() {
    let (events, _told) = plimsoll::shared::event::events();
    let nowhere = plimsoll::control::docker::Endpoint::Unix("/nowhere/docker.sock".into());
    let fleet = plimsoll::control::docker::DockerFleet::new(nowhere, "o".into(), events);
    let error = fleet.list().await.unwrap_err();
    assert!(error.is_outage(), "{error}");
    assert!(error.cure.contains("systemctl start docker"), "{error}");
}
