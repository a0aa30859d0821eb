//! What has to wait for its turn is late, and nothing else.

use crate::gateway::{Gateway, everything_to};
use harness::http::{backend::Backend, client::get};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// Clients that take large answers all the time, so that whoever waits for a round waits for them.
const BUSY: usize = 24;

/// A request that is pipelined waits for a round; its body may come meanwhile, in pieces, and is still its body.
#[test]
fn a_body_that_comes_while_its_request_waits_is_not_taken_for_a_request() {
    let large = vec![b'x'; 4 << 20];
    let backend = Backend::start(move |exchange| {
        exchange.read_body()?;
        let body = exchange.request.body.clone();
        exchange.respond("200 OK", &[], if exchange.request.target() == "/large" { &large } else { &body })
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..BUSY {
            let mut stream = TcpStream::connect(gateway.address()).expect("a connection");
            let is_over = &is_over;
            scope.spawn(move || {
                let mut answers = vec![0; 1 << 20];
                stream.write_all(get("a", "/large").repeat(1000).as_bytes()).expect("requests");
                while !is_over.load(Ordering::SeqCst) && stream.read(&mut answers).is_ok_and(|read| read > 0) {}
            });
        }
        let _over = Over(&is_over);
        let mut client = gateway.connect();
        for round in 0..60 {
            let (first, heads) = (
                get("a", "/first"),
                [
                    "POST /second HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n",
                    "POST /second HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
                ],
            );
            let (head, pieces): (_, &[&str]) = if round % 2 == 0 {
                (heads[0], &["he", "llo"])
            } else {
                (heads[1], &["5", "\r\nhel", "lo\r\n0", "\r\n\r\n"])
            };
            client.send(format!("{first}{head}"));
            assert_eq!(client.response().status(), 200, "the first of round {round}");
            for piece in pieces {
                client.send(piece);
            }
            let answer = client.response();
            assert_eq!((answer.status(), answer.text()), (200, "hello"), "round {round}");
        }
    });
}

/// The end of the busy ones, also when a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
