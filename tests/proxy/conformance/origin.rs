//! What stands behind the gateway: it reads by the letter, writes down what it has read, and answers with given bytes.

use super::row::wire;
use harness::http::{message::Message, strict};
use parking_lot::Mutex;
use std::{
    io::{self, BufReader, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// What an origin says to every request.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    /// The connection ends then.
    pub(super) closes: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Seen {
    Whole(Message),
    /// The connection ended in the middle of it.
    BrokenOff,
    /// Nobody may send this to an origin.
    Illegal(String),
}

pub(super) struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    answer: Answer,
    seen: Mutex<Vec<Seen>>,
    open: Mutex<Vec<TcpStream>>,
    stopping: AtomicBool,
}

/// Whether it is one is for the row to say: the connection's next user asks for this path.
const WELL: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

impl Default for Answer {
    fn default() -> Self {
        Self { bytes: WELL.to_vec(), closes: false }
    }
}

impl Answer {
    pub(super) fn bytes(text: String) -> Self {
        Self { bytes: wire(&text), closes: false }
    }
}

impl Origin {
    pub(super) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let shared = Arc::new(Shared {
            answer,
            seen: Mutex::default(),
            open: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming().flatten() {
                    if shared.stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    shared.open.lock().push(stream.try_clone().expect("clone"));
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || shared.serve(&stream));
                }
            }
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().clone()
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            let seen = match strict::request(&mut reader) {
                Ok(None) => return,
                Ok(Some(request)) => Seen::Whole(request),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => Seen::Illegal(error.to_string()),
                Err(_) => Seen::BrokenOff,
            };
            self.seen.lock().push(seen.clone());
            let Seen::Whole(request) = seen else { return };
            let is_probe = request.target() == "/probe";
            let (bytes, closes) = if is_probe { (WELL, false) } else { (&self.answer.bytes[..], self.answer.closes) };
            let mut stream = stream;
            if stream.write_all(bytes).is_err() {
                return;
            }
            if closes {
                let _closed = stream.shutdown(Shutdown::Both).is_ok();
                return;
            }
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accept loop.
        let _woken = TcpStream::connect(self.address).is_ok();
        if let Some(accepting) = self.accepting.take() {
            let _joined = accepting.join().is_ok();
        }
        for stream in self.shared.open.lock().drain(..) {
            // It may be closed already.
            let _closed = stream.shutdown(Shutdown::Both).is_ok();
        }
    }
}
