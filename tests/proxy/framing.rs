//! Requests that say twice where their body ends, and those that only look like it.

use crate::gateway::{Gateway, everything_to, routes, service};
use harness::{
    http::{
        backend::Backend,
        client::{Client, get},
    },
    wait,
};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// What nobody may take for fields of a head.
const LOOKALIKE: &str = "x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";

fn echoing() -> Backend {
    Backend::start(|exchange| {
        exchange.read_body()?;
        let body = exchange.request.body.clone();
        exchange.respond("200 OK", &[], &body)
    })
}

#[test]
fn two_framings_in_one_request_never_reach_a_backend() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    // What is smuggled here for a server that believes the length is data of the chunk for one that does not.
    let rest = "\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for fields in
        ["Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "transfer-encoding: chunked\r\ncontent-length: 6\r\n"]
    {
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}");
        let mut client = gateway.connect();
        client.send(format!("{head}{rest}"));
        assert_refused(client);
        // The second of two, and the first is whole.
        let mut client = gateway.connect();
        assert_eq!(client.exchange(get("a", "/before")).status(), 200);
        client.send(format!("{head}{rest}"));
        assert_refused(client);
    }
    assert!(backend.requests().iter().all(|request| request.target() == "/before"), "{:#?}", backend.requests());
}

#[test]
fn two_framings_are_found_in_a_head_that_comes_byte_by_byte() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    for byte in b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n" {
        client.send([*byte]);
    }
    assert_refused(client);
    assert!(backend.requests().is_empty());
}

fn assert_refused(mut client: Client) {
    let answer = client.response();
    assert_eq!((answer.status(), answer.field("connection"), answer.text()), (400, Some("close"), "Bad Request"));
    assert_eq!(answer.field("server"), Some("istio-envoy"));
    assert!(client.is_closed(), "nothing can follow");
}

/// Where both cannot be seen, one framing is left, and the connection ends.
#[test]
fn two_framings_that_are_not_seen_are_one_at_the_backend() {
    let backend = echoing();
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    client.send(
        get("a", "/first")
            + "POST /second HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n\
               GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    assert_eq!(client.response().status(), 200);
    let status = client.response().status();
    assert!([200, 400].contains(&status), "{status}");
    assert!(client.is_closed(), "nothing can follow");
    for request in backend.requests() {
        assert_ne!(request.target(), "/smuggled");
        assert_eq!(request.field("content-length"), None, "one framing is left: {request:#?}");
    }
}

#[test]
fn what_a_body_says_is_no_framing() {
    let backend = echoing();
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    let length = LOOKALIKE.len();
    let bodies = [
        (format!("content-length: {length}\r\n"), LOOKALIKE.to_owned()),
        ("transfer-encoding: chunked\r\n".to_owned(), format!("{length:x}\r\n{LOOKALIKE}\r\n0\r\n\r\n")),
    ];
    for (number, (fields, body)) in bodies.iter().enumerate() {
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        assert_eq!(client.exchange(format!("{head}{body}")).text(), LOOKALIKE, "in one piece");
        client.send(&head);
        wait::until("the head at the backend", PATIENCE, || (backend.requests().len() > 3 * number + 1).then_some(()));
        assert_eq!(client.exchange(body).text(), LOOKALIKE, "in a piece of its own");
        assert_eq!(client.exchange(get("a", "/")).status(), 200, "the next one");
    }
}

/// The end of a head may come with its body.
#[test]
fn a_body_behind_the_last_bytes_of_its_head_is_no_head() {
    let backend = echoing();
    let gateway = Gateway::start(&everything_to(backend.address()));
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", LOOKALIKE.len());
    for missing in 1..=head.len() {
        let (begin, end) = head.split_at(head.len() - missing);
        let mut client = gateway.connect();
        // It begins behind another request, so that it waits where nobody sees it.
        assert_eq!(client.exchange(get("a", "/") + begin).status(), 200);
        let answer = client.exchange(format!("{end}{LOOKALIKE}"));
        assert_eq!((answer.status(), answer.text()), (200, LOOKALIKE), "{end:?}");
    }
}

#[test]
fn a_body_that_nobody_has_read_is_no_head() {
    let backend = Backend::saying("here");
    let direct = "  - match: [{uri: {prefix: /direct}}]\n    directResponse: {status: 200}\n";
    let rules = format!("{direct}  - route: [{{destination: {{host: backend}}}}]");
    let gateway = Gateway::start(&(routes(&rules) + &service("backend", &[backend.address()])));
    let mut client = gateway.connect();
    let head = format!("POST /direct HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", LOOKALIKE.len());
    assert_eq!(client.exchange(head).status(), 200);
    // The gateway may have closed, and may not.
    let last = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    if client.try_send(LOOKALIKE).is_ok() && client.try_send(last).is_ok() {
        let said = client.rest().unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 200 "), "{said}");
    }
}
