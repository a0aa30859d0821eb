//! Requests that go on in the background while a test changes something.

use super::client::Client;
use std::{
    io,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A steady stream of requests over several keep-alive connections.
#[derive(Debug)]
pub struct Load {
    threads: Vec<(Sender<()>, JoinHandle<Vec<Sent>>)>,
}

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Instant,
    /// Status and backend, or the error.
    pub outcome: Result<(u16, String), String>,
}

impl Sent {
    /// Whether a backend answered it with 200.
    pub fn succeeded(&self) -> bool {
        matches!(&self.outcome, Ok((200, backend)) if !backend.is_empty())
    }

    /// Whether `backend` answered it.
    pub fn reached(&self, backend: &str) -> bool {
        matches!(&self.outcome, Ok((_, reached)) if reached == backend)
    }
}

impl Load {
    /// Sends GETs to `address` on `connections` connections, each one every `pause`.
    pub fn start(address: &str, host: &str, path: &str, connections: usize, pause: Duration) -> Self {
        let threads = (0..connections)
            .map(|_| {
                let (stop, stopped) = mpsc::channel();
                let (mut client, host, path) = (Client::new(address), host.to_owned(), path.to_owned());
                let thread = thread::spawn(move || {
                    let mut sent = Vec::new();
                    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                        let at = Instant::now();
                        let outcome: io::Result<_> = client.get(&host, &path);
                        let outcome = outcome.map(|answer| (answer.status, answer.backend)).map_err(|e| e.to_string());
                        sent.push(Sent { at, outcome });
                    }
                    sent
                });
                (stop, thread)
            })
            .collect();
        Self { threads }
    }

    /// Ends the load and returns every request, in order of time.
    ///
    /// # Panics
    /// When a client has panicked.
    pub fn stop(mut self) -> Vec<Sent> {
        let threads = std::mem::take(&mut self.threads);
        for (stop, _) in &threads {
            let _ = stop.send(());
        }
        let mut all: Vec<Sent> = threads
            .into_iter()
            .flat_map(|(_, thread)| thread.join().expect("a client that panics is broken"))
            .collect();
        all.sort_by_key(|sent| sent.at);
        all
    }
}
