//! Signs of life of a connection: what has been sent to it before has been seen by then.

use h2::{Ping, PingPong};
use std::rc::Rc;
use tokio::{sync::Mutex, task};

/// Whoever asks, asks alone: h2 has one PING on its way at a time.
#[derive(Debug)]
pub(super) struct Pulse(Mutex<Option<PingPong>>);

impl Pulse {
    pub(super) fn new(ping: Option<PingPong>) -> Rc<Self> {
        Rc::new(Self(Mutex::new(ping)))
    }

    /// Waits for the answer to a PING; `false` when the connection has ended before. Not to be given up but with the whole
    /// connection: the PING would still be on its way.
    pub(super) async fn beat(&self) -> bool {
        match &mut *self.0.lock().await {
            Some(ping) => ping.ping(Ping::opaque()).await.is_ok(),
            None => false,
        }
    }

    /// The same for somebody who may give up.
    pub(super) async fn beat_once(self: &Rc<Self>) -> bool {
        let pulse = Rc::clone(self);
        task::spawn_local(async move { pulse.beat().await }).await.unwrap_or(false)
    }
}
