//! A backend that answers in frames by hand, for what no library sends.

use super::frames::{Frames, HEADERS};
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Dropping it closes the port; its connections end with those who made them.
#[derive(Debug)]
pub struct ScriptedBackend {
    address: SocketAddr,
    is_stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl ScriptedBackend {
    /// Answers each request on its stream with what `answer` does, which is told how many have come before.
    pub fn start(answer: impl Fn(&mut Frames, u32, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let is_stopping = Arc::new(AtomicBool::new(false));
        let accepting = thread::spawn({
            let is_stopping = Arc::clone(&is_stopping);
            let script = Arc::new((answer, AtomicUsize::new(0)));
            move || {
                while let Ok((socket, _)) = listener.accept() {
                    if is_stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    let script = Arc::clone(&script);
                    thread::spawn(move || {
                        let mut frames = Frames::accept(socket);
                        while let Some(asked) = frames.next_of(&[HEADERS]) {
                            let (answer, count) = &*script;
                            answer(&mut frames, asked.stream, count.fetch_add(1, Ordering::SeqCst));
                        }
                    });
                }
            }
        });
        Self { address, is_stopping, accepting: Some(accepting) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ScriptedBackend {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        // It waits for a connection.
        let _woken = TcpStream::connect(self.address).is_ok();
        if let Some(accepting) = self.accepting.take() {
            let _ended = accepting.join().is_ok();
        }
    }
}
