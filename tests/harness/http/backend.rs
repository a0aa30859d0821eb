//! A server that does what a test tells it, and remembers what it was asked.

use super::message::{self, Message};
use parking_lot::Mutex;
use std::{
    io::{self, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

/// What happens to a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    KeepOpen,
    Close,
}

/// One request, with the connection it came on. The body has not been read.
#[derive(Debug)]
pub struct Exchange<'a> {
    pub request: Message,
    pub stream: &'a mut BufReader<TcpStream>,
    requests: &'a Mutex<Vec<Message>>,
    /// `None` where they are not kept.
    index: Option<usize>,
}

/// A listening backend; dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Backend {
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    stopping: AtomicBool,
    accepted: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    requests: Mutex<Vec<Message>>,
    /// Whether requests and connections are kept for the test to look at.
    remembers: bool,
}

impl Backend {
    /// A backend on a free port of 127.0.0.1 that answers with `answer`, one thread for each connection.
    pub fn start(answer: impl Fn(&mut Exchange<'_>) -> io::Result<Then> + Send + Sync + 'static) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), answer)
    }

    /// The same on an address of the test's choice; every address of 127/8 is this machine.
    pub fn start_at(
        address: SocketAddr,
        answer: impl Fn(&mut Exchange<'_>) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Self {
        Self::build(address, true, answer)
    }

    /// As [`start`](Self::start), for millions of requests: none of them is kept.
    pub fn forgetful(answer: impl Fn(&mut Exchange<'_>) -> io::Result<Then> + Send + Sync + 'static) -> Self {
        Self::build(([127, 0, 0, 1], 0).into(), false, answer)
    }

    fn build(
        address: SocketAddr,
        remembers: bool,
        answer: impl Fn(&mut Exchange<'_>) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("bind");
        let shared = Arc::new(Shared {
            address: listener.local_addr().expect("address"),
            stopping: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            open: Mutex::default(),
            requests: Mutex::default(),
            remembers,
        });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            let answer = Arc::new(answer);
            move || {
                for stream in listener.incoming() {
                    if shared.stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    shared.accepted.fetch_add(1, Ordering::SeqCst);
                    if remembers {
                        shared.open.lock().push(stream.try_clone().expect("clone"));
                    }
                    let (shared, answer) = (Arc::clone(&shared), Arc::clone(&answer));
                    thread::spawn(move || {
                        // A gateway that closes a connection is no error of the backend's.
                        let _ended = shared.serve(stream, &*answer).is_ok();
                    });
                }
            }
        });
        Self { shared, accepting: Some(accepting) }
    }

    /// A backend that reads every request to its end and answers 200 with `text`.
    pub fn saying(text: &'static str) -> Self {
        Self::saying_at(([127, 0, 0, 1], 0).into(), text)
    }

    /// The same at an address of the test's choice.
    pub fn saying_at(address: SocketAddr, text: &'static str) -> Self {
        Self::start_at(address, move |exchange| {
            exchange.read_body()?;
            exchange.respond("200 OK", &[], text.as_bytes())
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Every request so far, in the order in which their heads were read. Bodies are there once they have been read.
    pub fn requests(&self) -> Vec<Message> {
        self.shared.requests.lock().clone()
    }

    /// The only request so far.
    pub fn only_request(&self) -> Message {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests[0].clone()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Closes every connection that is open now, and goes on accepting.
    pub fn close_connections(&self) {
        for stream in self.shared.open.lock().drain(..) {
            // It may be closed already.
            let _closed = stream.shutdown(Shutdown::Both).is_ok();
        }
    }
}

impl Shared {
    fn serve(
        &self,
        stream: TcpStream,
        answer: &(dyn Fn(&mut Exchange<'_>) -> io::Result<Then> + Send + Sync),
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        while let Some(request) = message::read_head(&mut stream)? {
            let index = self.remembers.then(|| {
                let mut requests = self.requests.lock();
                requests.push(request.clone());
                requests.len() - 1
            });
            let mut exchange = Exchange { request, stream: &mut stream, requests: &self.requests, index };
            if answer(&mut exchange)? == Then::Close {
                return stream.get_ref().shutdown(Shutdown::Both);
            }
        }
        Ok(())
    }
}

impl Exchange<'_> {
    /// Reads the request's body to its end.
    pub fn read_body(&mut self) -> io::Result<()> {
        message::read_body(self.stream, &mut self.request)?;
        // Before the answer: whoever has that may look at once.
        if let Some(index) = self.index {
            self.requests.lock()[index] = self.request.clone();
        }
        Ok(())
    }

    /// Sends `bytes` as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Sends a response with `fields`, a `content-length` and `body`.
    pub fn respond(&mut self, status: &str, fields: &[(&str, &str)], body: &[u8]) -> io::Result<Then> {
        let mut head = format!("HTTP/1.1 {status}\r\n");
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.send(bytes)?;
        Ok(Then::KeepOpen)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accept loop.
        let _woken = TcpStream::connect(self.shared.address).is_ok();
        if let Some(accepting) = self.accepting.take() {
            let _joined = accepting.join().is_ok();
        }
        self.close_connections();
    }
}
