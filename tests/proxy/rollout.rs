//! A rolling update, as a DaemonSet with a surge makes it: the new gateway is ready before the old one is told to go, and
//! what is ready decides, a little late, where new connections lead.

use crate::gateway::{Gateway, everything_to};
use harness::{
    http::{
        backend::Backend,
        message::{self, Framing, Message},
    },
    wait,
};
use parking_lot::Mutex;
use std::{
    io::{self, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(20);

/// How late the cluster's network learns what is ready.
const LAG: Duration = Duration::from_millis(300);

/// Where new connections lead: what kube-proxy is for the callers of a Service.
#[derive(Default)]
struct Service(Mutex<Vec<SocketAddr>>);

impl Service {
    fn connect(&self, number: usize) -> io::Result<TcpStream> {
        let ready = self.0.lock().clone();
        assert!(!ready.is_empty(), "the Service has no endpoint");
        let stream = TcpStream::connect(ready[number % ready.len()])?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(stream)
    }

    /// From now on connections lead to `ready`, once the news has come round.
    fn leads_to(&self, ready: &[SocketAddr]) {
        let (_keep, never) = mpsc::channel::<()>();
        assert_eq!(never.recv_timeout(LAG), Err(mpsc::RecvTimeoutError::Timeout));
        *self.0.lock() = ready.to_vec();
    }
}

/// A client as well behaved as RFC 9112 §9.3 asks: it keeps its connection, leaves when asked to, and asks again when a kept
/// connection turns out to be closed.
struct Caller<'s> {
    service: &'s Service,
    number: usize,
    connection: Option<BufReader<TcpStream>>,
}

impl Caller<'_> {
    fn exchange(&mut self, request: &str) -> io::Result<Message> {
        if let Some(kept) = self.connection.take()
            && let Ok(response) = self.try_on(kept, request)
        {
            return Ok(response);
        }
        let stream = self.service.connect(self.number)?;
        self.try_on(BufReader::new(stream), request)
    }

    fn try_on(&mut self, mut connection: BufReader<TcpStream>, request: &str) -> io::Result<Message> {
        connection.get_mut().write_all(request.as_bytes())?;
        let response = message::read(&mut connection, Framing::Fields)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if response.field("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(response)
    }
}

#[test]
fn a_rolling_update_fails_no_request() {
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        let body = exchange.request.body.clone();
        exchange.respond("200 OK", &[], &body)
    });
    let start = || {
        Gateway::with(&everything_to(backend.address()), |settings| {
            settings.workers = 2;
            // Long beside the lag, also on a machine that is busy with something else.
            settings.drain.announce = LAG * 14;
            settings.drain.deadline = LIMIT;
        })
    };
    let service = Service::default();
    let mut old = start();
    service.leads_to(&[old.address()]);
    let (ended, sent) = (AtomicBool::new(false), Arc::<AtomicUsize>::default());
    thread::scope(|scope| {
        for number in 0..8 {
            let (service, ended, sent) = (&service, &ended, &sent);
            scope.spawn(move || {
                let mut caller = Caller { service, number, connection: None };
                // Some never rest, others do so for longer than a connection at rest is left open at the end.
                let pause = Duration::from_millis([0, 1, 20, 1500][number % 4]);
                let (_keep, never) = mpsc::channel::<()>();
                while !ended.load(Ordering::SeqCst) {
                    let body = "x".repeat(number * 1000);
                    let length = body.len();
                    let request = format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}");
                    let response = caller.exchange(&request).expect("an answer");
                    assert_eq!((response.status(), response.body.len()), (200, length));
                    sent.fetch_add(1, Ordering::SeqCst);
                    let _rested = never.recv_timeout(pause).is_err();
                }
            });
        }
        // Ends the load also when something below fails.
        let _end = End(&ended);
        for _ in 0..2 {
            let before = sent.load(Ordering::SeqCst);
            let new = start();
            service.leads_to(&[old.address(), new.address()]);
            old.begin_drain();
            service.leads_to(&[new.address()]);
            old.ended();
            old = new;
            wait::until("requests through the new gateway", LIMIT, || {
                (sent.load(Ordering::SeqCst) > before + 100).then_some(())
            });
        }
    });
}

struct End<'e>(&'e AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
