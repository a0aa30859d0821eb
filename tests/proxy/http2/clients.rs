//! Clients that speak HTTP/2 to a gateway whose backends speak HTTP/1.

use crate::gateway::{Gateway, everything_to};
use bytes::Bytes;
use gateway::proxy::DrainTimes;
use h2::Reason;
use harness::{
    http::{
        backend::{Backend, Then},
        client::get,
    },
    http2::client::{Begun, Http2Client, read, request},
    wait,
};
use std::{io::Read as _, sync::mpsc, thread, time::Duration};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_request_becomes_one_of_http_1_1_and_its_answer_comes_back() {
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        exchange.respond("200 OK", &[("connection", "keep-alive"), ("x-b", "2")], b"hello")
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let client = Http2Client::connect(gateway.address());
    let fields = [("x-a", "1"), ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")];
    let answer = client.ask(request("GET", "http://a.com:8080/b?c=d", &fields)).expect("an answer");
    assert_eq!((answer.status(), &*answer.body), (200, &b"hello"[..]));
    assert_eq!(answer.field("x-b"), Some("2"));
    assert_eq!(answer.field("server"), Some("istio-envoy"));
    assert_eq!(answer.field("connection"), None, "HTTP/2 has no such field");
    let asked = backend.only_request();
    assert_eq!(asked.start, "GET /b?c=d HTTP/1.1");
    assert_eq!(asked.field("host"), Some("a.com:8080"));
    assert_eq!(asked.field("cookie"), Some("a=1; b=2"), "one field again");
    assert_eq!(asked.field("x-a"), Some("1"));
    assert_eq!(asked.field("x-forwarded-proto"), Some("http"));
}

#[test]
fn bodies_pass_in_both_directions() {
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        let body = exchange.request.body.clone();
        exchange.respond("200 OK", &[], &body)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let client = Http2Client::connect(gateway.address());
    for length in [0_usize, 1, 100_000, 3_000_000] {
        let sent: Vec<u8> = (0..length).map(|index| index.to_le_bytes()[0]).collect();
        let answer = client.send(request("POST", "http://a/", &[]), &sent, None).expect("an answer");
        assert!(answer.body == sent, "{length} bytes");
    }
    let requests = backend.requests();
    assert!(requests.iter().all(|asked| asked.field("transfer-encoding") == Some("chunked")), "no length was said");
}

#[test]
fn a_length_that_was_said_is_said_again() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let client = Http2Client::connect(gateway.address());
    client.send(request("POST", "http://a/", &[("content-length", "3")]), b"abc", None).expect("an answer");
    client.ask(request("POST", "http://a/", &[])).expect("an answer");
    let requests = backend.requests();
    assert_eq!((requests[0].field("content-length"), &*requests[0].body), (Some("3"), &b"abc"[..]));
    assert_eq!(requests[0].field("transfer-encoding"), None);
    assert_eq!(requests[1].field("content-length"), Some("0"));
}

#[test]
fn a_body_that_belies_its_length_never_reaches_a_backend_as_a_whole() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let client = Http2Client::connect(gateway.address());
    let more = client.send(request("POST", "http://a/", &[("content-length", "2")]), b"GET / HTTP/1.1\r\n\r\n", None);
    assert!(more.is_err(), "{more:?}");
    let after = client.ask(request("GET", "http://a/after", &[])).expect("other streams go on");
    assert_eq!(after.status(), 200);
    let seen: Vec<String> = backend.requests().into_iter().map(|asked| asked.start).collect();
    assert!(seen.iter().all(|start| ["POST / HTTP/1.1", "GET /after HTTP/1.1"].contains(&&**start)), "{seen:?}");
}

#[test]
fn a_request_that_is_given_up_never_looks_whole() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let (begun, begins) = mpsc::channel();
        let (read, ends) = mpsc::channel();
        let backend = Backend::start(move |exchange| {
            begun.send(()).expect("the test waits");
            let whole = exchange.read_body();
            read.send(whole.is_ok()).expect("the test waits");
            whole?;
            exchange.respond("200 OK", &[], b"")
        });
        let gateway = Gateway::start(&everything_to(backend.address()));
        let client = Http2Client::connect(gateway.address());
        let Begun { response: _never, mut upload } = client.begin(request("POST", "http://a/", &[]));
        upload.send_data("half of it".into(), false).expect("an open stream");
        begins.recv_timeout(LIMIT).expect("the head arrives");
        upload.send_reset(reason);
        assert!(!ends.recv_timeout(LIMIT).expect("an end arrives"), "{reason:?} looked like the end of the body");
    }
}

#[test]
fn requests_do_not_wait_for_one_another() {
    let backend = Backend::start(|exchange| {
        if exchange.request.start.starts_with("GET /slow") {
            // Until the gateway closes the connection.
            let _ended = exchange.stream.read(&mut [0])?;
            return Ok(Then::Close);
        }
        exchange.respond("200 OK", &[], b"fast")
    });
    let mut gateway = Gateway::start(&everything_to(backend.address()));
    let client = Http2Client::connect(gateway.address());
    let slow: Vec<Begun> = (0..20).map(|_| client.begin(request("GET", "http://a/slow", &[]))).collect();
    for _ in 0..20 {
        assert_eq!(client.ask(request("GET", "http://a/fast", &[])).expect("an answer").body, b"fast");
    }
    wait::until("all under way", Duration::from_secs(10), || (gateway.in_flight() == 20).then_some(()));
    drop(slow);
    // A stream that is reset takes its request with it.
    wait::until("all over", Duration::from_secs(10), || (gateway.in_flight() == 0).then_some(()));
    assert_eq!(client.ask(request("GET", "http://a/fast", &[])).expect("an answer").body, b"fast");
    wait::until("all counted", Duration::from_secs(10), || {
        (gateway.metric("istio_requests_total", &["response_flags=\"DC\""]) == 20.0).then_some(())
    });
}

#[test]
fn local_replies_leave_the_connection_open() {
    let gateway = Gateway::start(&harness::objects::routes(
        "  - match: [{uri: {exact: /none}}]\n    route: [{destination: {host: nobody}}]",
    ));
    let client = Http2Client::connect(gateway.address());
    for (method, url, status) in [
        ("GET", "http://a/", 404),
        ("GET", "http://a/none", 503),
        ("GET", "http://a/%00", 400),
        ("HEAD", "http://a/", 404),
    ] {
        let answer = client.ask(request(method, url, &[])).expect("an answer");
        assert_eq!(answer.status(), status, "{method} {url}");
        assert_eq!(answer.field("connection"), None);
        assert_eq!(answer.field("server"), Some("istio-envoy"));
    }
}

#[test]
fn a_body_that_stands_still_ends_its_own_stream() {
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        exchange.respond("200 OK", &[], b"hello")
    });
    let gateway = Gateway::with(&everything_to(backend.address()), |settings| {
        settings.limits.body_idle_timeout = Duration::from_millis(200);
    });
    let client = Http2Client::connect(gateway.address());
    let Begun { response, upload } = client.begin(request("POST", "http://a/", &[]));
    let answer = client.wait(read(response)).expect("an answer");
    assert_eq!(answer.status(), 408);
    assert_eq!(client.ask(request("GET", "http://a/", &[])).expect("an answer").status(), 200);
    drop(upload);
}

#[test]
fn a_connection_at_rest_is_told_to_go_and_one_in_use_is_not() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::with(&everything_to(backend.address()), |settings| {
        settings.limits.keep_alive_timeout = Duration::from_millis(300);
        settings.limits.body_idle_timeout = Duration::from_secs(60);
    });
    let busy = Http2Client::connect(gateway.address());
    let Begun { response, mut upload } = busy.begin(request("POST", "http://a/", &[]));
    let idle = Http2Client::connect(gateway.address());
    assert_eq!(idle.ask(request("GET", "http://a/", &[])).expect("an answer").status(), 200);
    idle.ended().expect("told in order");
    upload.send_data(Bytes::from_static(b"late"), true).expect("an open stream");
    assert_eq!(busy.wait(read(response)).expect("an answer").status(), 200);
}

#[test]
fn a_drain_lets_streams_end_and_refuses_no_request_before() {
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        exchange.respond("200 OK", &[], b"hello")
    });
    let gateway = Gateway::with(&everything_to(backend.address()), |settings| {
        settings.drain = DrainTimes { announce: Duration::from_secs(1), deadline: Duration::from_secs(20) };
    });
    let client = Http2Client::connect(gateway.address());
    let Begun { response, mut upload } = client.begin(request("POST", "http://a/", &[]));
    gateway.begin_drain();
    // The first answer after half of the time tells the client to leave; until then all are answered.
    let told =
        wait::until("told to leave", Duration::from_secs(20), || client.ask(request("GET", "http://a/", &[])).err());
    assert!(told.is_go_away(), "{told}");
    upload.send_data(Bytes::from_static(b"late"), true).expect("the stream goes on");
    assert_eq!(client.wait(read(response)).expect("an answer").body, b"hello");
    client.ended().expect("an end in order");
}

#[test]
fn http_1_goes_on_beside_it() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let http2 = Http2Client::connect(gateway.address());
    let mut http1 = gateway.connect();
    for _ in 0..3 {
        assert_eq!(http2.ask(request("GET", "http://a/", &[])).expect("an answer").status(), 200);
        assert_eq!(http1.exchange(get("a", "/")).status(), 200);
    }
    // The preface is one only at the beginning of a connection.
    http1.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(http1.rest().is_ok_and(|rest| !rest.starts_with(b"HTTP/1.1 200")));
}

#[test]
fn many_clients_at_once_get_their_own_answers() {
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        let path = exchange.request.start.clone();
        exchange.respond("200 OK", &[], path.as_bytes())
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    thread::scope(|scope| {
        for client in 0..4 {
            let gateway = &gateway;
            scope.spawn(move || {
                let connection = Http2Client::connect(gateway.address());
                for round in 0..20 {
                    let path = |index: usize| format!("/{client}/{round}/{index}");
                    let begun: Vec<_> = (0..20)
                        .map(|index| {
                            let mut begun = connection.begin(request("POST", &format!("http://a{}", path(index)), &[]));
                            begun.upload.send_data(Bytes::new(), true).expect("an open stream");
                            begun.response
                        })
                        .collect();
                    for (index, response) in begun.into_iter().enumerate() {
                        let answer = connection.wait(read(response)).expect("an answer");
                        assert_eq!(answer.body, format!("POST {} HTTP/1.1", path(index)).into_bytes());
                    }
                }
            });
        }
    });
}
