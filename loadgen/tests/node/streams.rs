//! WebSocket, TCP and UDP echo.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream, UdpSocket},
};

use tungstenite::{Message, client};

use crate::rig::{Node, PATIENCE, drivers};

#[test]
fn a_websocket_gets_back_what_it_sends() {
    for driver in drivers() {
        let node = Node::start(&driver);
        let stream = TcpStream::connect(&node.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut socket, response) = client(format!("ws://{}/any?x=1", node.address), stream).unwrap();
        assert_eq!(response.headers()["x-node"], "n1");
        let long = "long ".repeat(40_000);
        for message in
            [Message::text("hello"), Message::binary(vec![0, 255, 7]), Message::text(long), Message::text("")]
        {
            socket.send(message.clone()).unwrap();
            assert_eq!(socket.read().unwrap(), message);
        }
        socket.send(Message::Ping(vec![1, 2].into())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong(vec![1, 2].into()));
        socket.close(None).unwrap();
        assert!(matches!(socket.read(), Ok(Message::Close(_))));
        assert_eq!(node.saw("/websocket/sessions"), 1);
        assert_eq!(node.saw("/websocket/frames"), 5);
    }
}

#[test]
fn tcp_and_udp_come_back_from_their_ports() {
    for driver in drivers() {
        let node = Node::start(&[&driver[..], &["--tcp-echo", "0", "--udp-echo", "0"]].concat());
        let address = |scheme: &str| {
            let line = node.banner.iter().find_map(|line| line.strip_prefix(scheme)).expect("an address");
            line.trim_end_matches(" (echo)").to_owned()
        };
        let mut tcp = TcpStream::connect(address("tcp://")).unwrap();
        tcp.write_all(b"hello").unwrap();
        tcp.shutdown(Shutdown::Write).unwrap();
        let mut back = String::new();
        tcp.read_to_string(&mut back).unwrap();
        assert_eq!(back, "hello");

        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_read_timeout(Some(PATIENCE)).unwrap();
        for text in ["one", "two"] {
            udp.send_to(text.as_bytes(), address("udp://")).unwrap();
            let mut packet = [0; 100];
            let len = udp.recv(&mut packet).unwrap();
            assert_eq!(&packet[..len], text.as_bytes());
        }
        assert_eq!((node.saw("/echo/tcp_bytes"), node.saw("/echo/udp_packets")), (5, 2));
    }
}
