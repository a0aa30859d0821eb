//! Streams through a proxy (`tunnel` of a DestinationRule): what the proxy is asked, and what its answer does.

use super::{Server, all_to, assert_refused, connect, limits::closed, policy, read_all, read_exactly, tcp};
use crate::gateway::{Gateway, service};
use parking_lot::Mutex;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
};

/// A proxy that keeps the heads of what it is asked, says `answer`, and then sends everything back.
fn proxy(answer: &'static str) -> (Server, Arc<Mutex<Vec<String>>>) {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let server = Server::start({
        let heads = Arc::clone(&heads);
        move |mut stream| {
            let head = head(&mut stream)?;
            heads.lock().push(head);
            stream.write_all(answer.as_bytes())?;
            super::echo(stream)
        }
    });
    (server, heads)
}

fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn tunnel(host: &str) -> String {
    policy(&format!("{{tunnel: {{protocol: CONNECT, targetHost: '{host}', targetPort: 443}}}}"))
}

#[test]
fn the_proxy_is_asked_to_connect_the_stream() {
    // What comes with the answer belongs to the stream.
    let (server, heads) = proxy("HTTP/1.1 200 Connection established\r\nvia: a proxy\r\n\r\nwelcome");
    let gateway = Gateway::start(&(all_to(server.address) + &tunnel("far.example.com")));
    let mut client = connect(&gateway);
    client.write_all(b"hello").expect("sent");
    assert_eq!(read_exactly(&client, 12), b"welcomehello");
    client.write_all(b" again").expect("sent");
    client.shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(read_all(&client).0, b" again");
    let expected = "CONNECT far.example.com:443 HTTP/1.1\r\nhost: far.example.com:443\r\n\r\n";
    assert_eq!(*heads.lock(), [expected]);
}

#[test]
fn an_address_of_ipv6_is_asked_for_in_brackets() {
    let (server, heads) = proxy("HTTP/1.1 200 OK\r\n\r\n");
    let gateway = Gateway::start(&(all_to(server.address) + &tunnel("2001:db8::1")));
    let mut client = connect(&gateway);
    client.write_all(b"x").expect("sent");
    assert_eq!(read_exactly(&client, 1), b"x");
    assert!(heads.lock()[0].starts_with("CONNECT [2001:db8::1]:443 HTTP/1.1\r\n"), "{:?}", heads.lock());
}

#[test]
fn an_answer_other_than_200_closes_the_connection() {
    for answer in [
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
    ] {
        let (server, heads) = proxy(answer);
        let gateway = Gateway::start(&(all_to(server.address) + &tunnel("far.example.com")));
        assert_refused(&connect(&gateway));
        closed(&gateway, "UF,URX");
        assert_eq!(heads.lock().len(), 1, "{answer}");
    }
}

#[test]
fn a_subset_has_a_way_of_its_own_or_none() {
    let (server, heads) = proxy("HTTP/1.1 200 OK\r\n\r\n");
    let rule = |subset: &str| {
        format!(
            "\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: backend}}\nspec: {{host: backend, \
             trafficPolicy: {{tunnel: {{targetHost: all.test, targetPort: 1}}}}, subsets: [{{name: s{subset}}}]}}\n"
        )
    };
    let own = ", trafficPolicy: {tunnel: {targetHost: own.test, targetPort: 2}}";
    let to_subset = "{route: [{destination: {host: backend, subset: s}}]}";
    // Of several destinations the service's own policy counts, whatever their subsets say.
    let to_both =
        "{route: [{destination: {host: backend, subset: s}, weight: 1}, {destination: {host: backend}, weight: 1}]}";
    for (route, subset, asked) in
        [(to_subset, own, "CONNECT own.test:2 "), (to_subset, "", "x\r\n\r\n"), (to_both, own, "CONNECT all.test:1 ")]
    {
        let gateway = Gateway::start(&(tcp(route) + &service("backend", &[server.address]) + &rule(subset)));
        let mut client = connect(&gateway);
        client.write_all(b"x\r\n\r\n").expect("sent");
        read_exactly(&client, 1);
        let head = heads.lock().pop().expect("a head");
        assert!(head.starts_with(asked), "{route} {subset}: {head}");
    }
}
