//! The record of one exchange: made when the request comes, written when the last byte has gone.

use super::{
    activity::{Activity, Phase},
    outcome::{Outcome, Past},
    worker::Worker,
};
use crate::{
    routing::cluster::Cluster,
    telemetry::{
        access_log::RequestFacts,
        requests::{Measured, RequestProtocol},
    },
};
use http::StatusCode;
use std::{rc::Rc, sync::Arc, time::Instant};

/// Collects what is known about an exchange, and tells telemetry when it is dropped.
#[derive(Debug)]
pub(crate) struct Record {
    worker: Rc<Worker>,
    activity: Rc<Activity>,
    started: Instant,
    protocol: RequestProtocol,
    cluster: Option<Arc<Cluster>>,
    status: StatusCode,
    outcome: Outcome,
    past: Past,
    response_bytes: u64,
    complete: bool,
    /// `None` while there is no access log.
    facts: Option<Box<RequestFacts>>,
}

impl Record {
    pub(super) fn new(
        worker: Rc<Worker>,
        activity: Rc<Activity>,
        started: Instant,
        protocol: RequestProtocol,
        facts: Option<Box<RequestFacts>>,
    ) -> Self {
        Self {
            worker,
            activity,
            started,
            protocol,
            cluster: None,
            // What the log shows when the client leaves before there is an answer, as Envoy does.
            status: StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            outcome: Outcome::CLIENT_GONE,
            past: Past::default(),
            response_bytes: 0,
            complete: false,
            facts,
        }
    }

    pub(super) fn protocol(&self) -> RequestProtocol {
        self.protocol
    }

    /// Whether the exchange is a stream of HTTP/2.
    pub(super) fn is_of_stream(&self) -> bool {
        self.activity.connection().is_some()
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn routed_to(&mut self, cluster: &Arc<Cluster>) {
        self.cluster = Some(Arc::clone(cluster));
    }

    /// What the access log says beyond the figures, if there is one.
    pub(super) fn facts(&mut self) -> Option<&mut RequestFacts> {
        self.facts.as_deref_mut()
    }

    /// What is to be said about the request besides its outcome.
    pub(super) fn past(&mut self) -> &mut Past {
        &mut self.past
    }

    /// The head of the answer is known.
    pub(super) fn answered(&mut self, status: StatusCode, outcome: Outcome) {
        self.status = status;
        self.outcome = outcome;
    }

    /// The answer ended otherwise than its head promised.
    pub(super) fn ended(&mut self, outcome: Outcome) {
        self.outcome = outcome;
        self.complete = true;
    }

    pub(super) fn sent_body(&mut self, bytes: usize) {
        self.response_bytes += bytes as u64;
    }

    /// The whole answer has been handed over.
    pub(super) fn complete(&mut self) {
        self.complete = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.complete {
            self.outcome = Outcome::CLIENT_GONE;
        }
        let measured = Measured {
            status: self.status.as_u16(),
            flags: self.past.flags(self.outcome),
            protocol: self.protocol,
            duration: self.started.elapsed(),
            request_bytes: self.activity.request_bytes(),
            response_bytes: self.response_bytes,
        };
        self.activity.enter(Phase::Idle);
        self.worker.recorder().record(self.cluster.as_ref(), &measured);
        if let Some(facts) = self.facts.take() {
            let label = self.cluster.as_ref().map(|cluster| &*cluster.label);
            self.worker.telemetry().log(&facts, &measured, self.outcome.details, label);
        }
    }
}
