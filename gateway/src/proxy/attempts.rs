//! How often one request has been sent, and whether it is sent again.

use super::{body::RequestBody, client::Client, load_share::LoadShare, record::Record, upload::Upload};
use crate::{
    balance::limits::Permit,
    message::{
        packed_fields::PackedFields,
        retry_policy::{self, Reset, repeats_reset, repeats_response},
    },
    model::retries::Retries,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, uri::PathAndQuery};
use smallvec::SmallVec;
use std::{net::SocketAddr, rc::Rc, time::Duration};

/// The attempts of one request so far.
#[derive(Debug)]
pub(super) struct Attempts<'p> {
    policy: &'p Retries,
    left: u32,
    /// Of the present one, from 1.
    number: u32,
    tried: SmallVec<[SocketAddr; 3]>,
    /// Some attempt has written something of the request.
    is_started: bool,
    /// The present attempt's place among the retries of its cluster (`maxRetries`).
    retry: Option<Permit>,
}

/// The head of a request that may be sent again. Its body is empty, or kept.
#[derive(Debug)]
pub(super) struct Again {
    method: Method,
    target: PathAndQuery,
    headers: PackedFields,
    upload: Option<Rc<Upload>>,
}

impl<'p> Attempts<'p> {
    pub(super) fn new(policy: &'p Retries) -> Self {
        Self { policy, left: policy.attempts, number: 1, tried: SmallVec::new(), is_started: false, retry: None }
    }

    /// Whether the present attempt is not the first.
    pub(super) fn is_retry(&self) -> bool {
        self.number > 1
    }

    /// What `x-envoy-attempt-count` says.
    pub(super) fn count(&self) -> HeaderValue {
        match self.number {
            1 => HeaderValue::from_static("1"),
            2 => HeaderValue::from_static("2"),
            3 => HeaderValue::from_static("3"),
            more => HeaderValue::from(more),
        }
    }

    /// The endpoints that are not to be drawn again.
    pub(super) fn tried(&self) -> &[SocketAddr] {
        if self.policy.ignore_previous_hosts.unwrap_or(true) { &self.tried } else { &[] }
    }

    /// The endpoints whose localities are to be left behind.
    pub(super) fn left(&self) -> &[SocketAddr] {
        if self.policy.remote_localities { &self.tried } else { &[] }
    }

    /// What is needed to send `request` once more after it has been sent, if that may come to pass.
    pub(super) fn keep(&self, request: &Request<RequestBody>, upload: Option<&Rc<Upload>>) -> Option<Again> {
        // A field of gRPC may stand in any answer, and costs nothing where there is no body to keep.
        let may_repeat = self.left > 0 && retry_policy::repeats_what_was_sent(self.policy, true, true);
        let is_whole = is_whole(request, upload);
        if may_repeat && is_whole { Again::of(request, upload) } else { None }
    }

    /// An endpoint has got something of the request.
    pub(super) fn has_begun(&mut self) {
        self.is_started = true;
    }

    /// The attempt of `share` was answered. Returns how long to wait before the next, if there is to be one. A
    /// request that is not whole any more cannot be sent again.
    pub(super) fn after_response(
        &mut self,
        share: &LoadShare,
        status: StatusCode,
        headers: &HeaderMap,
        is_whole: bool,
        record: &mut Record,
    ) -> Option<Duration> {
        let repeats = is_whole && repeats_response(self.policy, status, headers);
        if repeats { self.again(share, record) } else { None }
    }

    /// The same after an attempt that got no answer.
    pub(super) fn after_reset(
        &mut self,
        share: &LoadShare,
        reset: Reset,
        is_whole: bool,
        record: &mut Record,
    ) -> Option<Duration> {
        let repeats = is_whole && repeats_reset(self.policy, reset, self.is_started);
        if repeats { self.again(share, record) } else { None }
    }

    /// The one place that says yes to another attempt.
    fn again(&mut self, share: &LoadShare, record: &mut Record) -> Option<Duration> {
        if self.left == 0 {
            record.past().exhausted = true;
            return None;
        }
        // The place of the attempt that has just ended is free for the next.
        self.retry = None;
        self.retry = share.retry()?;
        self.left -= 1;
        self.tried.push(share.address());
        let wait = retry_policy::back_off(self.policy, self.number, fastrand::u64(..));
        self.number += 1;
        Some(wait)
    }
}

impl Again {
    /// `None` when the request has no target, which does not happen.
    pub(super) fn of(request: &Request<RequestBody>, upload: Option<&Rc<Upload>>) -> Option<Self> {
        Some(Self {
            method: request.method().clone(),
            target: request.uri().path_and_query()?.clone(),
            headers: PackedFields::of(request.headers()),
            upload: upload.cloned(),
        })
    }

    /// The request for the next attempt. Its body must not have become too long to be kept.
    pub(super) fn into_request(self, client: &Client) -> Box<Request<RequestBody>> {
        let activity = Rc::clone(&client.activity);
        let body = match self.upload {
            Some(upload) => RequestBody::of(upload, activity),
            None => RequestBody::empty(activity),
        };
        new_request(&self.method, self.target, self.headers.unpack(), body)
    }
}

/// Whether `request` can be sent from its beginning more than once: its body is empty, or kept in `upload`.
pub(super) fn is_whole(request: &Request<RequestBody>, upload: Option<&Rc<Upload>>) -> bool {
    upload.map_or_else(|| http_body::Body::is_end_stream(request.body()), |upload| upload.is_whole())
}

/// A request to send. Boxed, since it is handed on many times before it is sent, and large.
pub(super) fn new_request(
    method: &Method,
    target: PathAndQuery,
    headers: HeaderMap,
    body: RequestBody,
) -> Box<Request<RequestBody>> {
    let mut request = Box::new(Request::new(body));
    *request.method_mut() = method.clone();
    *request.uri_mut() = Uri::from(target);
    *request.headers_mut() = headers;
    request
}
