//! Signs of life of a connection: what has been sent to it before has been seen by then.

use h2::{Ping, PingPong};
use std::{cell::Cell, rc::Rc};
use tokio::{sync::Mutex, task};

/// Whoever asks, asks alone: h2 has one PING on its way at a time.
#[derive(Debug)]
pub(super) struct Pulse {
    ping: Mutex<Option<PingPong>>,
    /// There has been one.
    has_beaten: Cell<bool>,
}

impl Pulse {
    pub(super) fn new(ping: Option<PingPong>) -> Rc<Self> {
        Rc::new(Self { ping: Mutex::new(ping), has_beaten: Cell::new(false) })
    }

    /// Waits for the answer to a PING; `false` when the connection has ended before. Not to be given up but with the whole
    /// connection: the PING would still be on its way.
    pub(super) async fn beat(&self) -> bool {
        let mut ping = self.ping.lock().await;
        self.answered(&mut ping).await
    }

    /// Waits for a sign of life, if there has been none, with everybody else who waits for it: servers of gRPC close the
    /// connections of those who send PINGs in a row. May be given up.
    pub(super) async fn has_beaten(self: &Rc<Self>) -> bool {
        if self.has_beaten.get() {
            return true;
        }
        let pulse = Rc::clone(self);
        let first = async move {
            let mut ping = pulse.ping.lock().await;
            pulse.has_beaten.get() || pulse.answered(&mut ping).await
        };
        task::spawn_local(first).await.unwrap_or(false)
    }

    async fn answered(&self, ping: &mut Option<PingPong>) -> bool {
        let Some(ping) = ping else { return false };
        let is_answered = ping.ping(Ping::opaque()).await.is_ok();
        self.has_beaten.set(self.has_beaten.get() || is_answered);
        is_answered
    }
}
