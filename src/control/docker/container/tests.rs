use bollard::models::{ContainerSummaryNetworkSettings, EndpointSettings, ImageConfig};

use super::*;

fn settings() -> DockerSettings {
    DockerSettings {
        image: "api".into(),
        port: None,
        env: vec![("A".into(), "1".into())],
        command: Vec::new(),
        network: "bridge".into(),
        reach: Reach::Loopback,
        cpus: 1.5,
        memory_bytes: 1 << 20,
        pull: crate::config::settings::Pull::Missing,
        stop_grace: Duration::from_secs(10),
    }
}

fn listed(labels: &[(&str, &str)], ip: &str) -> ContainerSummary {
    let endpoint = EndpointSettings { ip_address: Some(ip.into()), ..EndpointSettings::default() };
    ContainerSummary {
        id: Some("0123456789abcdef".into()),
        names: Some(vec!["/plimsoll-api-me-7".into()]),
        labels: Some(labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()),
        state: Some(ContainerSummaryStateEnum::RUNNING),
        ports: Some(vec![PortSummary { private_port: 80, ..PortSummary::default() }]),
        network_settings: Some(ContainerSummaryNetworkSettings {
            networks: Some(HashMap::from([("net".to_owned(), endpoint)])),
        }),
        ..ContainerSummary::default()
    }
}

#[test]
fn a_container_is_made_of_the_settings_and_carries_whose_it_is() {
    let order = StartOrder {
        backend: "api".into(),
        settings: Arc::new(crate::config::settings::FleetSettings::Docker(settings())),
        fingerprint: "f".into(),
        ticket: 7,
        image: None,
    };
    let body = body(&order, &settings(), 8080, "me");
    let labels = body.labels.unwrap();
    assert_eq!((labels[labels::OWNER].as_str(), labels[labels::SPEC].as_str()), ("me", "f"));
    assert_eq!(labels[labels::TICKET], "7");
    assert_eq!(name("api", "0123456789abcdef", &ticket(&order)), "plimsoll-api-01234567-7");
    let host = body.host_config.unwrap();
    assert_eq!((host.nano_cpus, host.memory), (Some(1_500_000_000), Some(1 << 20)));
    let bound = host.port_bindings.unwrap()["8080/tcp"].clone().unwrap();
    assert_eq!(bound[0].host_ip.as_deref(), Some("127.0.0.1"));
    assert_eq!((body.env.unwrap(), body.cmd), (vec!["A=1".to_owned()], None));
}

#[test]
fn the_only_exposed_port_is_the_one() {
    let image = |ports: &[&str]| ImageInspect {
        config: Some(ImageConfig {
            exposed_ports: Some(ports.iter().map(|&port| port.to_owned()).collect()),
            ..ImageConfig::default()
        }),
        ..ImageInspect::default()
    };
    assert_eq!(port(&settings(), &image(&["8080/tcp", "53/udp"])).unwrap(), 8080);
    assert!(port(&settings(), &image(&["80/tcp", "81/tcp"])).unwrap_err().cure.contains("port: 8080"));
    assert_eq!(port(&DockerSettings { port: Some(9), ..settings() }, &image(&[])).unwrap(), 9);
}

#[test]
fn images_get_a_tag() {
    assert_eq!(tagged("api"), "api:latest");
    assert_eq!(tagged("host:5000/api"), "host:5000/api:latest");
    assert_eq!(tagged("api:1"), "api:1");
    assert_eq!(tagged("api@sha256:0"), "api@sha256:0");
}

#[test]
fn ours_joined_and_foreign_containers_are_told_apart() {
    let ours = [
        (labels::MANAGED, "true"),
        (labels::OWNER, "me"),
        (labels::BACKEND, "api"),
        (labels::SPEC, "s"),
        (labels::TICKET, "7"),
    ];
    let unit_of = |labels: &[(&str, &str)], ip: &str| unit(&listed(labels, ip), "me");
    let own = unit_of(&ours, "172.17.0.2").unwrap().unwrap();
    assert!(own.ours && own.running && &*own.fingerprint == "s");
    let other = [
        (labels::MANAGED, "true"),
        (labels::OWNER, "you"),
        (labels::BACKEND, "api"),
        (labels::ENABLE, "true"),
    ];
    assert_eq!(unit_of(&other, "172.17.0.2").unwrap(), None);
    let joins =
        [(labels::ENABLE, "true"), (labels::BACKEND, "api"), (labels::WEIGHT, "3"), (labels::SPEC, "fake")];
    let joined = unit_of(&joins, "172.17.0.3").unwrap().unwrap();
    assert_eq!((joined.ours, joined.weight, &*joined.fingerprint), (false, 3, ""));
    assert_eq!(joined.address, Some("172.17.0.3:80".parse().unwrap()));
    assert_eq!(unit_of(&[(labels::BACKEND, "api")], "172.17.0.3").unwrap(), None, "not enabled");
    // An owner without `managed` is a label that anybody can write.
    assert!(!unit_of(&[(labels::OWNER, "me"), joins[0], joins[1]], "172.17.0.3").unwrap().unwrap().ours);
}

#[test]
fn labels_alone_make_no_container_ours() {
    let labels = |ticket: &'static str| {
        let more: &[_] = if ticket.is_empty() { &[] } else { &[(labels::TICKET, ticket)] };
        let ours = [(labels::MANAGED, "true"), (labels::OWNER, "me"), (labels::BACKEND, "api")];
        [&ours, more, &[(labels::ENABLE, "true")]].concat()
    };
    let named = |name: &str, ticket| ContainerSummary {
        names: Some(vec!["/another/alias".into(), format!("/{name}")]),
        ..listed(&labels(ticket), "172.17.0.2")
    };
    assert!(unit(&named("plimsoll-api-me-7", "7"), "me").unwrap().unwrap().ours);
    for (name, ticket) in [
        // By `docker commit` and `run`, by a tool that copies, by somebody who renamed it, without a ticket.
        ("brave_bell", "7"),
        ("plimsoll-api-me-7-copy", "7"),
        ("plimsoll-api-me-8", "7"),
        ("plimsoll-other-me-7", "7"),
        ("plimsoll-api-me-", ""),
    ] {
        let why = unit(&named(name, ticket), "me").unwrap_err();
        assert!(why.contains("copied") && why.contains("`plimsoll.managed`"), "{name}: {why}");
    }
}

#[test]
fn a_container_that_is_paused_has_not_ended() {
    let labels = [(labels::ENABLE, "true"), (labels::BACKEND, "api")];
    for (state, runs) in [
        (ContainerSummaryStateEnum::RUNNING, true),
        (ContainerSummaryStateEnum::PAUSED, true),
        (ContainerSummaryStateEnum::EXITED, false),
        (ContainerSummaryStateEnum::RESTARTING, false),
    ] {
        let container = ContainerSummary { state: Some(state), ..listed(&labels, "172.17.0.2") };
        assert_eq!(unit(&container, "me").unwrap().unwrap().running, runs, "{state}");
    }
}

#[test]
fn the_cores_of_a_container_are_its_own_limit_however_it_was_said() {
    let with = |host: HostConfig| {
        cores_limit(&ContainerInspectResponse {
            host_config: Some(host),
            ..ContainerInspectResponse::default()
        })
    };
    assert_eq!(with(HostConfig { nano_cpus: Some(1_500_000_000), ..HostConfig::default() }), Some(1.5));
    let quota =
        |quota, period| HostConfig { cpu_quota: Some(quota), cpu_period: period, ..HostConfig::default() };
    assert_eq!(with(quota(50_000, Some(25_000))), Some(2.0));
    assert_eq!(with(quota(50_000, None)), Some(0.5));
    assert_eq!(with(quota(-1, Some(100_000))), None);
    assert_eq!(with(HostConfig { nano_cpus: Some(0), ..HostConfig::default() }), None);
    assert_eq!(cores_limit(&ContainerInspectResponse::default()), None);
}

#[test]
fn a_grace_is_whole_seconds_and_never_none() {
    for (millis, seconds) in [(0, 0), (1, 1), (500, 1), (1000, 1), (1001, 2), (10_000, 10)] {
        assert_eq!(grace_seconds(Duration::from_millis(millis)), seconds, "{millis} ms");
    }
    assert_eq!(grace_seconds(Duration::MAX), i32::MAX);
}

#[test]
fn nobody_joins_with_an_address_that_is_not_its_own() {
    let joins = [(labels::ENABLE, "true"), (labels::BACKEND, "api"), (labels::PORT, "9900")];
    for ip in ["", "127.0.0.1", "0.0.0.0", "224.0.0.1"] {
        assert!(unit(&listed(&joins, ip), "me").unwrap_err().contains("no address of its own"), "{ip}");
    }
}

#[test]
fn progress_is_told_when_it_changes() {
    let info = |id: &str, status: &str| CreateImageInfo {
        id: Some(id.into()),
        status: Some(status.into()),
        ..CreateImageInfo::default()
    };
    let mut progress = PullProgress::default();
    assert_eq!(progress.take(&info("latest", "Pulling from library/x")), None);
    assert_eq!(progress.take(&info("a", "Pulling fs layer")).as_deref(), Some("0 of 1 layers"));
    assert_eq!(progress.take(&info("a", "Downloading")), None);
    assert_eq!(progress.take(&info("b", "Already exists")).as_deref(), Some("1 of 2 layers"));
    assert_eq!(progress.take(&info("a", "Pull complete")).as_deref(), Some("2 of 2 layers"));
}
