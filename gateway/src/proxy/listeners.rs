//! One worker's listening sockets: as many as the snapshot has listeners, each worker with its own (SO_REUSEPORT).

mod room;
mod syn_filter;

use super::{client, problems::NodeProblems, turn::Turn, worker::Worker};
use crate::{
    fastpath::{Announced, Sockets},
    model::object::ObjectId,
    routing::snapshot::{ListenerKey, Snapshot, Speech},
};
use hashbrown::HashMap;
use room::Room;
use socket2::{Domain, Protocol, Socket, Type};
use std::{io, net::SocketAddr, rc::Rc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{self, JoinHandle},
    time::timeout,
};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`, 4096 by default.
const BACKLOG: i32 = 4096;

/// Connections accepted before others have their turn: one costs as much as two requests.
const TURN: usize = 2;

/// A handshake that has begun ends within a round trip of a cluster's network, with room to spare.
const LAST_HANDSHAKES: Duration = Duration::from_millis(200);

/// The sockets of one worker.
#[derive(Debug)]
pub(super) struct Listeners {
    worker: Rc<Worker>,
    problems: NodeProblems,
    open: HashMap<ListenerKey, OpenListener>,
    generation: Option<u64>,
    failed: Vec<SocketAddr>,
}

#[derive(Debug)]
struct OpenListener {
    /// What the fast path knows of it, for as long as it is open.
    announced: Option<Announced>,
    /// Dropping it ends the accept loop.
    stop: oneshot::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Listeners {
    pub(super) fn new(worker: Rc<Worker>, problems: NodeProblems) -> Self {
        Self { worker, problems, open: HashMap::new(), generation: None, failed: Vec::new() }
    }

    /// Whether a wanted address is not bound.
    pub(super) fn any_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Opens what `snapshot` wants and is not open, closes what it no longer wants. Connections that have been accepted
    /// stay.
    pub(super) fn follow(&mut self, snapshot: &Snapshot) {
        if self.generation == Some(snapshot.generation) && self.failed.is_empty() {
            return;
        }
        self.generation = Some(snapshot.generation);
        self.open.retain(|key, _| snapshot.is_bound(*key));
        if let Some(fastpath) = &self.worker.settings().fastpath {
            fastpath.expect_calls_to(&snapshot.node_ports);
        }
        let before = std::mem::take(&mut self.failed);
        for (key, gateway) in snapshot.sockets() {
            let tried = self.open.contains_key(&key) || self.failed.contains(&self.address(key));
            if !tried {
                self.try_open(key, gateway, snapshot.speaks(key));
            }
        }
        for address in before {
            if !self.failed.contains(&address) {
                self.problems.resolved(address);
            }
        }
    }

    /// Closes every listening socket, after the connections that the kernel had already established were accepted.
    pub(super) async fn close(self) {
        let told = self.open.into_values().map(|OpenListener { announced, stop, accepting }| {
            drop(stop);
            (announced, accepting)
        });
        for (_announced, accepting) in told.collect::<Vec<_>>() {
            if let Err(error) = accepting.await {
                tracing::error!(%error, "an accept loop ended in a panic");
            }
        }
        for address in self.failed {
            self.problems.resolved(address);
        }
    }

    fn address(&self, key: ListenerKey) -> SocketAddr {
        SocketAddr::new(key.address.unwrap_or_else(|| self.worker.settings().listen_address), key.port)
    }

    fn try_open(&mut self, key: ListenerKey, gateway: Option<&ObjectId>, speech: Speech) {
        let address = self.address(key);
        // What is encrypted in userspace gains nothing from the short-circuit, and stays with TCP.
        let fastpath = self.worker.settings().fastpath.as_ref().filter(|_| !speech.ends_tls);
        match bind(address, fastpath) {
            Ok((socket, announced)) => {
                let (stop, stopped) = oneshot::channel();
                let accepting = task::spawn_local(accept(Rc::clone(&self.worker), key, socket, stopped));
                self.open.insert(key, OpenListener { announced, stop, accepting });
                tracing::info!(%address, "listening");
            }
            Err(error) => {
                self.failed.push(address);
                if self.problems.bind_failed(gateway, address, &error) {
                    tracing::warn!(%address, %error, "cannot listen; trying again every second");
                }
            }
        }
    }
}

/// A listening socket that shares its address with the other workers', and with another gateway's during an upgrade.
fn bind(address: SocketAddr, fastpath: Option<&Sockets>) -> io::Result<(TcpListener, Option<Announced>)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        // `::` serves IPv4 callers too.
        socket.set_only_v6(false)?;
    }
    // Every connection that is accepted has it from here, and needs no call of its own.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    let announced = fastpath.and_then(|fastpath| match fastpath.announce(&socket, address.port()) {
        Ok(announced) => Some(announced),
        Err(error) => {
            tracing::warn!(%address, %error, "connections to this address stay with TCP");
            None
        }
    });
    socket.listen(BACKLOG)?;
    Ok((TcpListener::from_std(socket.into())?, announced))
}

/// Accepts until told to stop, and then what is still in the queue.
async fn accept(worker: Rc<Worker>, key: ListenerKey, listener: TcpListener, mut stopped: oneshot::Receiver<()>) {
    let room = Room::of_this_process();
    let mut is_full = false;
    let mut turn = Turn::of(TURN);
    loop {
        turn.one().await;
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            _ = &mut stopped => return accept_last(&worker, key, &listener).await,
        };
        match accepted {
            Ok((stream, _peer)) if worker.pressure().refuses_connections() => {
                worker.telemetry().connections().turned_away.inc();
                room::turn_away(stream);
            }
            Ok((stream, peer)) if room.has(&stream) => {
                is_full = false;
                serve(&worker, key, stream, peer);
            }
            Ok((stream, _peer)) => {
                // Said once for each time that this happens.
                if !std::mem::replace(&mut is_full, true) {
                    let port = key.port;
                    tracing::warn!(port, "nine tenths of the file descriptors are taken: new connections are reset");
                }
                worker.telemetry().connections().turned_away.inc();
                room::turn_away(stream);
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                // Out of file descriptors or memory: the queue keeps the connections until some are free again.
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Accepts the connections whose clients count on us already, so that closing the socket resets none of them.
async fn accept_last(worker: &Rc<Worker>, key: ListenerKey, listener: &TcpListener) {
    if let Err(error) = syn_filter::attach(listener) {
        tracing::debug!(%error, "cannot hold off new connections");
    }
    let accept_all = async {
        while let Ok((stream, peer)) = listener.accept().await {
            serve(worker, key, stream, peer);
        }
    };
    // Accepting has no end of its own, so the time always runs out.
    let _over = timeout(LAST_HANDSHAKES, accept_all).await.is_err();
}

fn serve(worker: &Rc<Worker>, key: ListenerKey, stream: TcpStream, peer: SocketAddr) {
    // Fails when the client has already gone; then there is nobody to serve.
    if let Ok(local) = stream.local_addr() {
        task::spawn_local(client::serve(Rc::clone(worker), key, stream, peer, local));
    }
}

/// accept(2): "network errors already pending on the new socket" concern that one only.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_send_small_messages_at_once() {
        let (listener, _announced) = bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _peer) = listener.accept().await.unwrap();
        assert!(!caller.nodelay().unwrap(), "what it is by default");
        assert!(accepted.nodelay().unwrap());
    }
}
