//! The data plane: listeners, connections, exchanges, drain.
//!
//! ```text
//! let (trigger, drain) = proxy::drain::channel();            // SIGTERM calls trigger.begin()
//! let problems = proxy::problems::NodeProblems::new();       // what cannot be bound; admin and status read it
//! proxy::run(ProxySettings::default(), published, telemetry, readiness, problems, drain).await?;
//! ```
//!
//! `run` starts the worker threads and returns when a drain is over. It adds the check `listeners` to `readiness`, which
//! passes once every listener of the first published snapshot has been tried, and calls `readiness.begin_drain()` when
//! the drain begins.

mod activity;
mod affinity;
mod arrival;
mod attempt;
mod attempts;
mod body;
mod by_name;
mod choice;
mod client;
mod complaints;
mod deadline;
pub mod drain;
mod exchange;
mod faults;
mod fields;
mod forward;
mod handshake;
mod http2;
mod lane;
mod listeners;
mod load_share;
mod local_reply;
mod mirror;
mod outcome;
mod places;
mod pressure;
pub mod problems;
mod prologue;
mod record;
mod refusals;
mod relay;
mod rest;
mod returned;
pub mod settings;
mod slow_head;
mod stream;
mod stream_record;
mod tap;
mod timing;
mod transport;
mod tunnel;
mod turn;
mod upload;
mod upstream_failure;
mod websocket;
mod worker;

pub use settings::{DrainTimes, Limits, ProxySettings};

use crate::{
    admin::readiness::Readiness,
    control::publish::Published,
    telemetry::{Telemetry, clusters},
};
use drain::Drain;
use futures_util::future::{join_all, select_all};
use pressure::Pressure;
use problems::NodeProblems;
use std::{io, thread, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use worker::{Stage, WorkerStart};

/// How long the workers get to end after everything that still lived has been cut.
const CUT_GRACE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("cannot start a worker thread: {0}")]
    Thread(#[source] io::Error),
    #[error("a worker thread ended before the gateway did")]
    WorkerEnded,
}

/// Serves traffic as `published` says until `drain` is over.
///
/// # Errors
/// When the worker threads cannot be started, or one of them ends early. Ports that cannot be bound are no error: they
/// are in `problems`, and tried again.
pub async fn run(
    settings: ProxySettings,
    published: Published,
    telemetry: Telemetry,
    readiness: Readiness,
    problems: NodeProblems,
    mut drain: Drain,
) -> Result<(), ProxyError> {
    let check = readiness.check("listeners");
    let clusters = clusters::Collector(published.clone());
    telemetry.register(|registry| registry.register_collector(Box::new(clusters)));
    let pressure = Pressure::default();
    // Ends with the value.
    let mut watching = JoinSet::new();
    watching.spawn(pressure.clone().watch(telemetry.clone()));
    let (stage, stages) = watch::channel(Stage::Serving);
    let mut listening = Vec::new();
    let mut ended: Vec<oneshot::Receiver<()>> = Vec::new();
    for number in 0..settings.workers.max(1) {
        let (told, first_tried) = oneshot::channel();
        let (end, over) = oneshot::channel();
        let start = WorkerStart {
            settings: settings.clone(),
            published: published.clone(),
            telemetry: telemetry.clone(),
            problems: problems.clone(),
            pressure: pressure.clone(),
            stage: stages.clone(),
            listening: told,
        };
        thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                if let Err(error) = worker::run(start) {
                    tracing::error!(%error, "cannot start a worker's runtime");
                }
                // Also dropped, and so told, when the thread panics.
                drop(end);
            })
            .map_err(ProxyError::Thread)?;
        listening.push(first_tried);
        ended.push(over);
    }
    let all_listening = async {
        for worker in listening {
            // An error means that the worker has ended; the wait for its end says so.
            let _tried: Result<(), oneshot::error::RecvError> = worker.await;
        }
        check.pass();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = drain.begun() => {}
        _ = select_all(&mut ended) => return Err(ProxyError::WorkerEnded),
        () = all_listening => {}
    }

    readiness.begin_drain();
    tracing::info!(announce = ?settings.drain.announce, deadline = ?settings.drain.deadline, "draining");
    // Whoever is asked to leave at once comes back: it takes a moment until the Service leads elsewhere.
    sleep(settings.drain.announce / 2).await;
    stage.send_replace(Stage::Leaving);
    sleep(settings.drain.announce / 2).await;
    stage.send_replace(Stage::Closing);
    let mut ended = join_all(ended);
    if timeout(settings.drain.deadline, &mut ended).await.is_err() {
        tracing::warn!("connections were still open at the end of the drain, and are cut");
        stage.send_replace(Stage::Cut);
        if timeout(CUT_GRACE, ended).await.is_err() {
            tracing::error!("a worker thread does not end");
        }
    }
    Ok(())
}
