//! The one owner of the current inputs: takes deltas from a source, compiles off the traffic threads, publishes.
//!
//! Nothing is published before every kind has been listed once (else a restarted gateway would answer 404 while its
//! configuration is on its way), and a source that fails changes nothing that is in force. Knows nothing of traffic.

pub mod debounce;
pub mod delta;
pub mod inputs;
pub mod last_good;
pub mod metrics;
pub mod opt_outs;
pub mod publish;
pub mod status;

use crate::{
    dns,
    ingest::IngestContext,
    memory,
    model::problem::{Problem, Severity},
    routing::compiler::{CompileSettings, Compiler},
    tls::{Configurations, Keeper, SecretsCome},
};
use debounce::Debounce;
use delta::Delta;
use inputs::Inputs;
use last_good::LastGood;
use publish::Publisher;
use status::{Status, StatusWriter};
use std::{
    collections::{BTreeSet, HashSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::{mpsc, watch};

/// The first edit is compiled at once; a burst of them at most this often. Short, because an edit should be answered by
/// within 10 ms; not shorter, so that a stream of endpoint changes cannot keep a core busy.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(5);

/// How often the list of problems is gathered anew while changes stream in: it costs in proportion to the problems.
const STATUS_INTERVAL: Duration = Duration::from_millis(200);

/// So many objects leave behind spare memory that is worth giving back: their manifests were several times what stays of
/// them.
const BURST: usize = 1_000;

/// A source that fails gets so long before what is on disk is served: a pod's network may take a moment to be there.
const RESTORE_AFTER: Duration = Duration::from_secs(2);

/// Once a source has listed the first kind, what was on disk is replaced in one piece, if the other kinds come within so
/// long: new routes beside old endpoints are neither what was nor what is.
const REPLACE_WITHIN: Duration = Duration::from_secs(5);

/// How often certificate files are looked at, where there are any: a new one is to be in force within a second.
const LOOK_AT_FILES: Duration = Duration::from_millis(500);

/// Problems written to the log at once; all of them are in the status.
const LOGGED_AT_ONCE: usize = 20;

/// The control task: inputs, compiler, and who hears of the results.
#[derive(Debug)]
pub struct Control {
    inputs: Inputs,
    compiler: Compiler,
    publisher: Publisher,
    status: StatusWriter,
    publishing: Debounce,
    reporting: Debounce,
    generation: u64,
    /// Objects taken in since the last report.
    taken: usize,
    /// Whether freed memory goes back to the kernel at once.
    in_burst: bool,
    published: Option<SystemTime>,
    /// The problems of the last report.
    reported: Arc<[Problem]>,
    last_good: Option<LastGood>,
    keeper: Keeper,
    looked_at_files: Instant,
    /// The names that DNS must know, for whoever asks it.
    names: watch::Sender<Arc<BTreeSet<Arc<str>>>>,
    /// When what is on disk may be served; `None` once that has been tried, or need not be.
    restore: Option<Instant>,
    /// Nothing is published before; see [`REPLACE_WITHIN`].
    hold: Option<Instant>,
}

impl Control {
    /// A control task for `settings`; follows nothing before [`run`](Self::run).
    pub fn new(settings: CompileSettings, publisher: Publisher, status: StatusWriter) -> Self {
        let context = IngestContext { cluster_domain: Arc::clone(&settings.cluster_domain) };
        let mut reporting = Debounce::new(STATUS_INTERVAL);
        reporting.change();
        let keeper = Keeper::new(Arc::clone(&settings.gateway_namespace), SecretsCome::Unasked);
        Self {
            inputs: Inputs::new(context),
            compiler: Compiler::new(settings),
            publisher,
            status,
            publishing: Debounce::new(PUBLISH_INTERVAL),
            reporting,
            generation: 0,
            taken: 0,
            in_burst: false,
            published: None,
            reported: Arc::default(),
            last_good: None,
            keeper,
            looked_at_files: Instant::now(),
            names: watch::Sender::default(),
            restore: None,
            hold: None,
        }
    }

    /// Keeps the inputs in `directory`, and serves what is there while the source cannot be followed at the start.
    #[must_use]
    pub fn keeping(mut self, directory: PathBuf) -> Self {
        self.last_good = Some(LastGood::new(directory));
        self
    }

    /// Asks for the Secrets that Gateways name, one by one: whoever follows the returned names sends what becomes of them.
    #[must_use]
    pub fn asking_for_secrets(mut self) -> (Self, watch::Receiver<BTreeSet<Arc<str>>>) {
        let namespace = Arc::clone(&self.compiler.settings().gateway_namespace);
        self.keeper = Keeper::new(namespace, SecretsCome::WhenWanted);
        let wanted = self.keeper.wanted();
        (self, wanted)
    }

    /// What the data plane makes TLS handshakes with.
    pub fn tls(&self) -> Configurations {
        self.keeper.configurations()
    }

    /// The names that DNS must know, as they come and go; the answers are to come as [`Delta::Answer`].
    pub fn names(&self) -> dns::Wanted {
        self.names.subscribe()
    }

    /// Follows `deltas` until every sender is gone.
    pub async fn run(mut self, mut deltas: mpsc::Receiver<Delta>) {
        // What the sources list first is a burst.
        memory::burst_began();
        self.in_burst = true;
        self.restore = self.last_good.is_some().then(|| Instant::now() + RESTORE_AFTER);
        loop {
            let now = Instant::now();
            self.restore_if_due(now);
            if self.publish_at(now).is_some_and(|due| due <= now) {
                self.publish();
            }
            if self.reporting.is_due(now) {
                self.report();
            }
            self.save_if_due(now);
            self.look_at_files_if_due(now);
            // What is due for being restored waits for the source to fail, which is a delta.
            let restore = self.restore.filter(|due| *due > now);
            let wakes =
                [self.publish_at(now), self.reporting.due(now), self.save_at(), self.look_at_files_at(), restore];
            let wake = wakes.into_iter().flatten().min();
            let delta = tokio::select! {
                biased;
                delta = deltas.recv() => delta,
                () = saved(&mut self.last_good) => {
                    self.reporting.change();
                    continue;
                }
                () = sleep_until(wake) => continue,
            };
            let Some(delta) = delta else { return };
            self.take(delta);
            // What has queued up meanwhile goes into the same table; bounded, so that a flood cannot delay publishing.
            for _ in 0..deltas.len() {
                let Ok(delta) = deltas.try_recv() else { break };
                self.take(delta);
            }
        }
    }

    fn take(&mut self, delta: Delta) {
        self.taken += match &delta {
            Delta::Replace { manifests, .. } => manifests.len(),
            _ => 1,
        };
        if self.taken > BURST && !self.in_burst {
            self.in_burst = true;
            memory::burst_began();
        }
        // Before anybody who keeps or shows what comes.
        let Some(delta) = self.keeper.take(delta) else {
            self.reporting.change();
            return;
        };
        let now = Instant::now();
        if let Some(last_good) = &mut self.last_good {
            last_good.note(&delta, now);
        }
        let (is_list, restored) = (matches!(delta, Delta::Replace { .. }), self.inputs.is_restored());
        self.inputs.apply(delta, &mut |change| self.compiler.apply(change));
        if restored {
            if is_list {
                self.hold = self.hold.or(Some(now + REPLACE_WITHIN));
            }
            if !self.inputs.is_restored() {
                tracing::info!("the cluster is followed: the snapshot on disk is not needed any more");
                self.hold = None;
            }
        }
        self.reporting.change();
        if self.inputs.complete() && (self.published.is_none() || self.compiler.is_due()) {
            self.publishing.change();
        }
    }

    fn publish(&mut self) {
        let started = Instant::now();
        let snapshot = self.compiler.snapshot();
        let names = self.compiler.names();
        self.names.send_if_modified(|known| {
            let modified = **known != names;
            if modified {
                *known = Arc::new(names);
            }
            modified
        });
        self.generation = snapshot.generation;
        let first = self.published.is_none();
        self.published = Some(SystemTime::now());
        // First the keys, then the servers that need them.
        self.keeper.follow(&snapshot);
        self.publisher.publish(snapshot);
        let ended = Instant::now();
        if first {
            let from =
                if self.inputs.is_restored() { "the snapshot on disk is in force" } else { "the cluster is followed" };
            tracing::info!(generation = self.generation, "{from}: the first table is published");
            // Readiness follows the status: it must not wait for the next interval.
            self.report();
        }
        tracing::debug!(generation = self.generation, took = ?ended - started, "published");
        self.publishing.acted(ended);
        self.reporting.change();
    }

    fn report(&mut self) {
        let of_disk = self.last_good.as_ref().and_then(LastGood::problem).into_iter();
        let problems: Arc<[Problem]> = of_disk
            .chain(self.inputs.problems())
            .cloned()
            .chain(self.compiler.problems())
            .chain(self.keeper.problems())
            .collect();
        self.log_news(&problems);
        self.status.store(Status {
            synced: self.published.is_some(),
            generation: self.generation,
            published: self.published,
            kinds: self.inputs.kinds().collect(),
            saved: self.last_good.as_ref().and_then(LastGood::written),
            problems: Arc::clone(&problems),
        });
        self.reported = problems;
        self.reporting.acted(Instant::now());
        self.give_back_after_a_burst();
    }
}

/// What concerns certificates in files.
impl Control {
    fn look_at_files_at(&self) -> Option<Instant> {
        self.keeper.has_files().then(|| self.looked_at_files + LOOK_AT_FILES)
    }

    fn look_at_files_if_due(&mut self, now: Instant) {
        if self.look_at_files_at().is_some_and(|due| due <= now) {
            self.looked_at_files = now;
            if self.keeper.look_at_files() {
                self.reporting.change();
            }
        }
    }
}

/// What concerns the snapshot on disk.
impl Control {
    /// When to publish next; `None` while nothing has changed.
    fn publish_at(&self, now: Instant) -> Option<Instant> {
        self.publishing.due(now).map(|due| self.hold.map_or(due, |hold| hold.max(due)))
    }

    /// Only what has been followed in full is worth keeping.
    fn save_at(&self) -> Option<Instant> {
        self.last_good.as_ref().filter(|_| self.inputs.complete() && !self.inputs.is_restored())?.due()
    }

    fn save_if_due(&mut self, now: Instant) {
        if self.save_at().is_some_and(|due| due <= now)
            && let Some(last_good) = &mut self.last_good
        {
            last_good.begin_saving();
        }
    }

    /// Takes what is on disk for the lists that the source cannot make.
    fn restore_if_due(&mut self, now: Instant) {
        let Some(due) = self.restore else { return };
        if self.inputs.complete() {
            self.restore = None;
        }
        if now < due || !self.inputs.is_stuck() {
            return;
        }
        self.restore = None;
        let Some(last_good) = &mut self.last_good else { return };
        self.reporting.change();
        let Some((_, mut manifests)) = last_good.load() else { return };
        for kind in self.inputs.unlisted() {
            let manifests = manifests.remove(&kind).unwrap_or_default();
            self.taken += manifests.len();
            self.inputs.restore(kind, &manifests, &mut |change| self.compiler.apply(change));
        }
        self.publishing.change();
        self.report();
        if let Some(restored) = self.status.restored() {
            tracing::warn!("the cluster cannot be followed: {restored}");
        }
    }
}

impl Control {
    /// Gives spare memory back once a burst is over: while it lasts, the source still holds what it is about to send.
    fn give_back_after_a_burst(&mut self) {
        let quiet = std::mem::take(&mut self.taken) < BURST / 10;
        if !self.in_burst {
            return;
        }
        if !quiet {
            // Look again at the next report, also when nothing more comes.
            self.reporting.change();
        } else if self.published.is_some() {
            self.in_burst = false;
            memory::burst_ended();
        }
    }

    /// Says what is wrong once, when it is new.
    fn log_news(&self, problems: &[Problem]) {
        if problems == &*self.reported {
            return;
        }
        let known: HashSet<&Problem> = self.reported.iter().collect();
        let news: Vec<&Problem> = problems.iter().filter(|problem| !known.contains(problem)).collect();
        for problem in news.iter().take(LOGGED_AT_ONCE) {
            match problem.severity {
                Severity::Error => tracing::error!("{problem}"),
                Severity::Warning => tracing::warn!("{problem}"),
            }
        }
        if news.len() > LOGGED_AT_ONCE {
            tracing::warn!("and {} more problems: see /config", news.len() - LOGGED_AT_ONCE);
        }
    }
}

/// Waits for the end of a save; for ever when there is none.
async fn saved(last_good: &mut Option<LastGood>) {
    match last_good {
        Some(last_good) => last_good.saved().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
