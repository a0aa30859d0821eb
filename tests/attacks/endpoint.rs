//! The victim's own endpoint, and how long it has waited for a CPU: that is not the gateway's fault either.

use crate::placement;
use harness::http::backend::{Backend, Then};
use std::{
    cell::Cell,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

thread_local! {
    /// Of this thread, up to the last request.
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// What attackers do to theirs is not to be felt there.
pub(crate) struct Endpoint {
    backend: Backend,
    waits: Waits,
}

/// How long its threads have waited.
#[derive(Clone)]
pub(crate) struct Waits {
    /// Of the one that accepts.
    accepting: Arc<[PathBuf]>,
    /// Those that answer, in nanoseconds, up to the last request of each.
    answering: Arc<AtomicU64>,
}

impl Endpoint {
    /// It closes a connection behind an answer to `/anew`.
    pub(crate) fn start() -> Self {
        let answering = Arc::<AtomicU64>::default();
        let sum = Arc::clone(&answering);
        let others = threads();
        let backend = placement::before_the_gateway(|| {
            Backend::forgetful(move |exchange| {
                exchange.read_body()?;
                // By the thread that the request has woken, or that has begun with it.
                let waited = placement::waited(Path::new("/proc/thread-self/schedstat"));
                let new = waited.saturating_sub(WAITED.replace(waited));
                sum.fetch_add(u64::try_from(new.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
                exchange.respond("200 OK", &[], b"here")?;
                Ok(if exchange.request.target() == "/anew" { Then::Close } else { Then::KeepOpen })
            })
        });
        let accepting = threads().into_iter().filter(|thread| !others.contains(thread));
        let accepting = accepting.map(|thread| thread.join("schedstat")).collect();
        Self { backend, waits: Waits { accepting, answering } }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.backend.address()
    }

    pub(crate) fn waits(&self) -> Waits {
        self.waits.clone()
    }
}

impl Waits {
    /// So far.
    pub(crate) fn sum(&self) -> Duration {
        let accepting: Duration = self.accepting.iter().map(|thread| placement::waited(thread)).sum();
        accepting + Duration::from_nanos(self.answering.load(Ordering::SeqCst))
    }
}

/// Those of this process.
fn threads() -> Vec<PathBuf> {
    let tasks = fs::read_dir("/proc/self/task").expect("the threads of this process");
    tasks.flatten().map(|task| task.path()).collect()
}
