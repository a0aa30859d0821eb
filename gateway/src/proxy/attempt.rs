//! One attempt: a connection, the request on it, and what comes of that.

use super::{
    attempts::{Again, Attempts, is_whole},
    body::RequestBody,
    choice::{Spoken, acquire},
    client::Client,
    load_share::LoadShare,
    local_reply::LocalReply,
    timing::{Passed, Timing, within},
    upload::Upload,
};
use crate::{
    balance::outliers::Observed,
    message::{proxy_header::Addresses, retry_policy::Reset},
    upstream::{
        carrier::{AnswerBody, Carrier},
        connect::ConnectError,
        connection::SendErrorKind,
    },
};
use h2::ext::Protocol;
use http::{Request, Response};
use std::{pin::pin, rc::Rc};

/// What came of an attempt.
pub(super) enum Tried {
    Answered {
        response: Response<AnswerBody>,
        carrier: Carrier<RequestBody>,
        /// The request once more, if it may be sent again.
        again: Option<Again>,
        is_whole: bool,
    },
    /// No answer.
    Reset { reset: Reset, again: Option<Box<Request<RequestBody>>>, is_whole: bool },
    /// A kept connection had died, which says nothing about its endpoint; this was no attempt.
    Stale {
        request: Box<Request<RequestBody>>,
        /// The request was on its way: the next connection must be a new one.
        fresh: bool,
    },
    /// Nothing was tried, and nothing would be: the answer is ours.
    Refused(LocalReply),
    /// The request's own body failed.
    ClientFailed,
    /// The time for the whole request has passed.
    TimedOut,
}

/// What an attempt is made with.
pub(super) struct Attempt<'a> {
    pub(super) client: &'a Client,
    /// Of the endpoint.
    pub(super) share: &'a LoadShare,
    pub(super) upload: Option<&'a Rc<Upload>>,
    /// On a new connection in any case.
    pub(super) fresh: bool,
    /// Over which the client came.
    pub(super) scheme: &'static str,
    pub(super) spoken: Spoken,
}

impl Attempt<'_> {
    /// Sends `request` and waits for the head of its answer.
    pub(super) async fn run(
        &self,
        mut request: Box<Request<RequestBody>>,
        attempts: &mut Attempts<'_>,
        timing: &mut Option<Box<Timing>>,
    ) -> Tried {
        let from = Some(Addresses { source: self.client.peer, destination: self.client.local });
        let acquired = {
            let share = self.share;
            let connecting = acquire(&self.client.worker, share, request.headers(), from, self.fresh, self.spoken);
            within(timing, self.upload.map(Rc::as_ref), pin!(connecting)).await
        };
        let mut carrier = match acquired {
            Err(_passed) => return Tried::TimedOut,
            Ok(Ok(carrier)) => carrier,
            Ok(Err(error)) => {
                tracing::debug!(endpoint = %self.share.address(), ?error, "cannot connect");
                let reset = match error {
                    ConnectError::Failed(_) => Reset::ConnectFailed,
                    ConnectError::TimedOut => Reset::ConnectTimedOut,
                    ConnectError::Handshake(no_tls) => Reset::NoTls(no_tls.failure),
                    ConnectError::Overflow => return Tried::Refused(LocalReply::overflow()),
                    ConnectError::NoTls => return Tried::Refused(LocalReply::no_tls()),
                };
                // Nothing of it has been read.
                return Tried::Reset { reset, again: Some(request), is_whole: true };
            }
        };
        if self.spoken == Spoken::WebSocket && carrier.is_http2() {
            request.extensions_mut().insert(Protocol::from_static("websocket"));
        }
        let reused = carrier.exchanges() > 0;
        let was_whole = is_whole(&request, self.upload);
        // A kept connection may die in the moment in which it is used. A request that is safe to repeat (RFC 9110 §9.2.2)
        // and has no body goes out once more then, whatever the rule says.
        let repeatable =
            reused && !self.fresh && was_whole && self.upload.is_none() && request.method().is_idempotent();
        let mut again = attempts.keep(&request, self.upload);
        let is_allowed = again.is_some();
        if repeatable && again.is_none() {
            again = Again::of(&request, None);
        }
        if let Some(timing) = timing {
            timing.begin_try();
        }
        let sent = within(timing, None, pin!(carrier.send(request, self.scheme))).await;
        if let Some(timing) = timing {
            timing.end_try();
        }
        let is_whole = self.upload.map_or(was_whole, |upload| upload.is_whole());
        let next = |again: Option<Again>| again.filter(|_| is_allowed).map(|again| again.into_request(self.client));
        match &sent {
            Ok(Ok(response)) => self.share.observe_answer(response.status(), response.headers()),
            // Neither the client's failure nor a kept connection that had died says anything about the endpoint.
            Ok(Err(error)) if error.kind == SendErrorKind::RequestBody || (error.unsent.is_some() && reused) => {}
            Ok(Err(_)) => self.share.observe(Observed::Failed),
            Err(_) => self.share.observe(Observed::TimedOut),
        }
        match sent {
            Ok(Ok(response)) => {
                attempts.has_begun();
                Tried::Answered { response, carrier, again: again.filter(|_| is_allowed), is_whole }
            }
            Ok(Err(error)) => match (error.unsent, error.kind) {
                // Not a byte of it has been written, so that it is whole.
                (Some(unsent), _) if reused => Tried::Stale { request: unsent, fresh: false },
                (Some(unsent), _) => Tried::Reset { reset: Reset::Unused, again: Some(unsent), is_whole: true },
                (None, SendErrorKind::RequestBody) => Tried::ClientFailed,
                (None, kind) => {
                    attempts.has_begun();
                    let is_stale = repeatable && kind == SendErrorKind::Terminated;
                    match (is_stale, again) {
                        (true, Some(again)) => Tried::Stale { request: again.into_request(self.client), fresh: true },
                        (_, again) => Tried::Reset { reset: reset(kind), again: next(again), is_whole },
                    }
                }
            },
            Err(Passed::Total) => Tried::TimedOut,
            Err(Passed::Try) => {
                attempts.has_begun();
                Tried::Reset { reset: Reset::TryTimedOut, again: next(again), is_whole }
            }
        }
    }
}

fn reset(kind: SendErrorKind) -> Reset {
    match kind {
        SendErrorKind::Protocol => Reset::Protocol,
        SendErrorKind::Remote => Reset::Remote,
        SendErrorKind::Refused => Reset::Refused,
        SendErrorKind::Terminated | SendErrorKind::RequestBody => Reset::Terminated,
    }
}
