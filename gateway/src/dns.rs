//! The addresses of names: one task asks DNS for the names that ServiceEntries lead to, again and again, and tells
//! `control`. No request ever waits for it. Another asks for the names that requests themselves bring (resolution
//! DYNAMIC_DNS), which those wait for once.

mod in_flight;
mod lookup;
pub mod on_demand;
mod schedule;

use crate::{control::delta::Delta, routing::names::NameAnswer};
use in_flight::InFlight;
use schedule::Schedule;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

/// Names asked for at once. A DNS server answers thousands a second, and a node is one client of many.
const AT_ONCE: usize = 32;

/// Names that are asked for at all: more would be an accident, or an attack on the DNS server.
const MOST_NAMES: usize = 4096;

/// The names that are wanted, told by `control`.
pub type Wanted = watch::Receiver<Arc<BTreeSet<Arc<str>>>>;

/// How names are resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsSettings {
    /// DNS servers to ask instead of those of /etc/resolv.conf; empty for those.
    pub servers: Vec<SocketAddr>,
}

/// Keeps the answers for the names that are `wanted` fresh, until nobody listens.
pub async fn run(settings: DnsSettings, mut wanted: Wanted, deltas: mpsc::Sender<Delta>) {
    let mut schedule = Schedule::default();
    let mut lookups = InFlight::new(settings);
    loop {
        let now = Instant::now();
        let refused = schedule.want(&wanted.borrow_and_update().clone(), MOST_NAMES, now);
        for name in refused {
            let reason = format!("more than {MOST_NAMES} names are in use");
            if !tell(&deltas, name, NameAnswer::Failed(reason.into())).await {
                return;
            }
        }
        for name in schedule.take_due(now, AT_ONCE.saturating_sub(lookups.len())) {
            lookups.begin(name);
        }
        // At the bound the next lookup waits for one to end.
        let due = schedule.due().filter(|_| lookups.len() < AT_ONCE);
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            Some(ended) = lookups.next() => {
                let Ok((name, found)) = ended else { continue };
                let answer = match found {
                    Ok(lookup::Found { addresses, valid_for }) => {
                        schedule.answered(&name, valid_for, Instant::now());
                        NameAnswer::Addresses(addresses.into())
                    }
                    Err(reason) => {
                        schedule.failed(&name, Instant::now());
                        NameAnswer::Failed(reason.into())
                    }
                };
                if schedule.wants(&name) && !tell(&deltas, name, answer).await {
                    return;
                }
            }
            () = sleep_until(due) => {}
        }
    }
}

/// `false` when nobody listens any more.
async fn tell(deltas: &mpsc::Sender<Delta>, name: Arc<str>, answer: NameAnswer) -> bool {
    deltas.send(Delta::Answer { name, answer }).await.is_ok()
}

/// Waits for `due`, and for ever without one.
async fn sleep_until(due: Option<Instant>) {
    match due {
        // A timer that is past fires at once; the floor keeps a schedule that is late from spinning.
        Some(due) => {
            tokio::time::sleep(due.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))).await
        }
        None => std::future::pending().await,
    }
}
