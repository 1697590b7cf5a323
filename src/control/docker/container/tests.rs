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
    };
    let body = body(&order, &settings(), 8080, "me");
    let labels = body.labels.unwrap();
    assert_eq!((labels[labels::OWNER].as_str(), labels[labels::SPEC].as_str()), ("me", "f"));
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
    let ours =
        [(labels::MANAGED, "true"), (labels::OWNER, "me"), (labels::BACKEND, "api"), (labels::SPEC, "s")];
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
