//! The single pointer between configuration and traffic.

use crate::routing::snapshot::Snapshot;
use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio::sync::watch;

/// The writing side; `control` has the only one.
#[derive(Debug)]
pub struct Publisher {
    current: Arc<ArcSwap<Snapshot>>,
    generation: watch::Sender<u64>,
}

/// The reading side: one `load` per request, and a wait for whoever follows changes (listeners, pools).
#[derive(Clone, Debug)]
pub struct Published {
    current: Arc<ArcSwap<Snapshot>>,
    generation: watch::Receiver<u64>,
}

/// Both sides, holding the empty generation 0.
pub fn channel() -> (Publisher, Published) {
    let current = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
    let (sender, receiver) = watch::channel(0);
    (Publisher { current: Arc::clone(&current), generation: sender }, Published { current, generation: receiver })
}

impl Publisher {
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let generation = snapshot.generation;
        self.current.store(snapshot);
        self.generation.send_replace(generation);
    }
}

impl Published {
    /// The current snapshot, for one request.
    pub fn load(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The current snapshot, to keep.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Waits for a generation this handle has not seen. `false` when the publisher is gone.
    pub async fn changed(&mut self) -> bool {
        self.generation.changed().await.is_ok()
    }
}
