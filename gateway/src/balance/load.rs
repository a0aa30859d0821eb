//! How busy an endpoint is.

use std::sync::atomic::{AtomicU32, Ordering};

/// The number of requests in flight to one endpoint, over all workers. A hint: readers may see it a moment late.
#[derive(Debug, Default)]
pub struct Load(AtomicU32);

impl Load {
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn begin(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends what one [`begin`](Self::begin) began.
    pub fn end(&self) {
        let before = self.0.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "a request ended that had not begun");
    }
}
