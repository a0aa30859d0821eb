//! The signal that ends the gateway in order: given once, seen by everyone.

use tokio::sync::watch;

/// The side that begins the drain: whoever receives SIGTERM.
#[derive(Clone, Debug)]
pub struct DrainTrigger(watch::Sender<bool>);

/// The side that waits for it.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<bool>);

/// Both sides.
pub fn channel() -> (DrainTrigger, Drain) {
    let (sender, receiver) = watch::channel(false);
    (DrainTrigger(sender), Drain(receiver))
}

impl DrainTrigger {
    /// Begins the drain. Later calls change nothing.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Drain {
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once the drain has begun, or once every trigger is gone: then nobody is left who wants the gateway to run.
    pub async fn begun(&mut self) {
        // The error means that the trigger is gone, which ends the wait as well.
        let _ended = self.0.wait_for(|begun| *begun).await.is_ok();
    }
}
