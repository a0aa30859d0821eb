//! A backend: answers every request with its name and the request it saw.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;

/// A listening server. The answer carries the header `x-backend: <name>`; the body is the request line and the Host
/// header as they arrived.
#[derive(Debug)]
pub struct Backend {
    name: String,
    address: String,
    requests: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    acceptor: Option<JoinHandle<()>>,
}

impl Backend {
    /// Listens on `address` (`10.244.1.1:9080`).
    ///
    /// # Panics
    /// When the address cannot be bound.
    pub fn start(name: &str, address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        let address = listener.local_addr().expect("a bound socket").to_string();
        let (requests, ended) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let connections = Arc::<Mutex<Vec<TcpStream>>>::default();
        let acceptor = {
            let (name, requests, ended) = (name.to_owned(), Arc::clone(&requests), Arc::clone(&ended));
            let connections = Arc::clone(&connections);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    if ended.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    if let Ok(handle) = stream.try_clone() {
                        connections.lock().push(handle);
                    }
                    let (name, requests) = (name.clone(), Arc::clone(&requests));
                    thread::spawn(move || serve(stream, &name, &requests));
                }
            })
        };
        Self { name: name.to_owned(), address, requests, ended, connections, acceptor: Some(acceptor) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address it listens on.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many requests have reached it.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        for connection in self.connections.lock().iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        // Wakes the acceptor.
        let woken = TcpStream::connect(&self.address).is_ok();
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            let _ = acceptor.join();
        }
    }
}

fn serve(stream: TcpStream, name: &str, requests: &AtomicUsize) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    let _ = writer.set_nodelay(true);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut host = String::new();
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 {
                return;
            }
            if header == "\r\n" {
                break;
            }
            if let Some(value) = header.strip_prefix("host:").or_else(|| header.strip_prefix("Host:")) {
                host = value.trim().to_owned();
            }
        }
        requests.fetch_add(1, Ordering::SeqCst);
        let body = format!("{}\n{host}\n", line.trim_end());
        let answer = format!(
            "HTTP/1.1 200 OK\r\nx-backend: {name}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
