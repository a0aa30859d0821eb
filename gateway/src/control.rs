//! The one owner of the current inputs: takes deltas from a source, compiles off the traffic threads, publishes.
//!
//! Nothing is published before every kind has been listed once (else a restarted gateway would answer 404 while its
//! configuration is on its way), and a source that fails changes nothing that is in force. Knows nothing of traffic.

pub mod debounce;
pub mod delta;
pub mod inputs;
pub mod metrics;
pub mod opt_outs;
pub mod publish;
pub mod status;

use crate::{
    ingest::IngestContext,
    memory,
    model::problem::{Problem, Severity},
    routing::compiler::{CompileSettings, Compiler},
};
use debounce::Debounce;
use delta::Delta;
use inputs::Inputs;
use publish::Publisher;
use status::{Status, StatusWriter};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::mpsc;

/// The first edit is compiled at once; a burst of them at most this often. Short, because an edit should be answered by
/// within 10 ms; not shorter, so that a stream of endpoint changes cannot keep a core busy.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(5);

/// How often the list of problems is gathered anew while changes stream in: it costs in proportion to the problems.
const STATUS_INTERVAL: Duration = Duration::from_millis(200);

/// So many objects leave behind spare memory that is worth giving back: their manifests were several times what stays of
/// them.
const BURST: usize = 1_000;

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
}

impl Control {
    /// A control task for `settings`; follows nothing before [`run`](Self::run).
    pub fn new(settings: CompileSettings, publisher: Publisher, status: StatusWriter) -> Self {
        let context = IngestContext { cluster_domain: Arc::clone(&settings.cluster_domain) };
        let mut reporting = Debounce::new(STATUS_INTERVAL);
        reporting.change();
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
        }
    }

    /// Follows `deltas` until every sender is gone.
    pub async fn run(mut self, mut deltas: mpsc::Receiver<Delta>) {
        // What the sources list first is a burst.
        memory::burst_began();
        self.in_burst = true;
        loop {
            let now = Instant::now();
            if self.publishing.is_due(now) {
                self.publish();
            }
            if self.reporting.is_due(now) {
                self.report();
            }
            let wake = [self.publishing.due(now), self.reporting.due(now)].into_iter().flatten().min();
            let delta = tokio::select! {
                biased;
                delta = deltas.recv() => delta,
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
        self.inputs.apply(delta, &mut |change| self.compiler.apply(change));
        self.reporting.change();
        if self.inputs.complete() && (self.published.is_none() || self.compiler.is_due()) {
            self.publishing.change();
        }
    }

    fn publish(&mut self) {
        let started = Instant::now();
        let snapshot = self.compiler.snapshot();
        self.generation = snapshot.generation;
        let first = self.published.is_none();
        self.published = Some(SystemTime::now());
        self.publisher.publish(snapshot);
        let ended = Instant::now();
        if first {
            tracing::info!(generation = self.generation, "every kind is listed: the first table is published");
            // Readiness follows the status: it must not wait for the next interval.
            self.report();
        }
        tracing::debug!(generation = self.generation, took = ?ended - started, "published");
        self.publishing.acted(ended);
        self.reporting.change();
    }

    fn report(&mut self) {
        let problems: Arc<[Problem]> = self.inputs.problems().cloned().chain(self.compiler.problems()).collect();
        self.log_news(&problems);
        self.status.store(Status {
            synced: self.published.is_some(),
            generation: self.generation,
            published: self.published,
            kinds: self.inputs.kinds().collect(),
            problems: Arc::clone(&problems),
        });
        self.reported = problems;
        self.reporting.acted(Instant::now());
        self.give_back_after_a_burst();
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

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
