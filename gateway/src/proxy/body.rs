//! Message bodies on their way through: streamed, never gathered.

use super::{
    activity::Activity,
    lane::{Place, ROUND, SMALL},
    load_share::LoadShare,
    outcome::Outcome,
    record::Record,
    tap::Tap,
    timing::Timing,
    upload::{Position, Upload},
    worker::Worker,
};
use crate::upstream::carrier::{AnswerBody, AnswerError, Carrier};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

/// A request's body, from the client to the endpoint.
#[derive(Debug)]
pub(crate) struct RequestBody {
    source: Source,
    activity: Rc<Activity>,
}

#[derive(Debug)]
enum Source {
    Empty,
    /// For one attempt.
    Once(Incoming),
    /// For as many as it takes.
    Shared(Rc<Upload>, Position),
    /// Of a copy of the request.
    Tapped(Rc<Tap>),
}

/// A response's body, to the client.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    Empty,
    Full(Bytes),
    Streaming(Box<StreamingBody>),
}

/// A response's body that is still arriving. It drives the endpoint's connection, and gives it back to the pool at the end.
#[derive(Debug)]
pub(crate) struct StreamingBody {
    /// What has come and not been passed on: with the head, or more than what is passed on at once.
    first: Option<Frame<Bytes>>,
    incoming: AnswerBody,
    /// Taken when the body is over.
    carrier: Option<Carrier<RequestBody>>,
    worker: Rc<Worker>,
    record: Record,
    /// `None` for a route without a timeout.
    timing: Option<Box<Timing>>,
    _load: LoadShare,
    /// Bytes that have been passed on in one go, up to [`SMALL`] of them.
    passed: usize,
    place: Place,
}

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the client sent nothing for too long")]
    ClientIdle,
    #[error("the client's message broke off: {0}")]
    Client(hyper::Error),
    #[error("the client gave its request up")]
    GivenUp,
    #[error("the endpoint's message broke off: {0}")]
    Upstream(AnswerError),
    #[error("a copy of a request came too late, or its original broke off")]
    CopyAbandoned,
    #[error("the route's timeout has passed")]
    TimedOut,
}

/// The next frame of what a client sends.
///
/// hyper takes a stream that is reset with NO_ERROR for one that has ended, as RFC 9113 §8.1 means it for answers. A request
/// that is given up must not look like a whole one, whatever the reason.
pub(super) fn poll_client(
    incoming: &mut Incoming,
    activity: &Activity,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
    if frame.is_none() || incoming.is_end_stream() {
        activity.has_read_body();
    }
    match frame {
        None if activity.is_stream() && !incoming.is_end_stream() => Poll::Ready(Some(Err(BodyError::GivenUp))),
        frame => Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Client))),
    }
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, activity: Rc<Activity>) -> Self {
        let source = if incoming.is_end_stream() { Source::Empty } else { Source::Once(incoming) };
        Self { source, activity }
    }

    /// What flows past `tap`.
    pub(super) fn tapped(tap: Rc<Tap>, activity: Rc<Activity>) -> Self {
        Self { source: Source::Tapped(tap), activity }
    }

    /// All of `upload`, from its beginning.
    pub(super) fn of(upload: Rc<Upload>, activity: Rc<Activity>) -> Self {
        Self { source: Source::Shared(upload, Position::default()), activity }
    }

    pub(super) fn empty(activity: Rc<Activity>) -> Self {
        Self { source: Source::Empty, activity }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.activity.body_expired() && !matches!(this.source, Source::Tapped(_)) {
            return Poll::Ready(Some(Err(BodyError::ClientIdle)));
        }
        let incoming = match &mut this.source {
            Source::Empty => return Poll::Ready(None),
            Source::Tapped(tap) => return tap.poll_frame(cx),
            Source::Shared(upload, position) => return upload.poll_frame(position, cx),
            Source::Once(incoming) => incoming,
        };
        let frame = match poll_client(incoming, &this.activity, cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                this.activity.wait_for_body();
                return Poll::Pending;
            }
        };
        let bytes = frame.as_ref().and_then(|f| f.as_ref().ok()).and_then(Frame::data_ref).map_or(0, Bytes::len);
        this.activity.received_body(bytes);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Once(incoming) => incoming.is_end_stream(),
            Source::Shared(upload, position) => upload.is_read(position),
            Source::Tapped(tap) => tap.is_read(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Once(incoming) => incoming.size_hint(),
            Source::Shared(upload, position) => upload.size_hint(position),
            // The head says it, or the body is chunked.
            Source::Tapped(_) => SizeHint::default(),
        }
    }
}

impl ResponseBody {
    pub(super) fn full(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Streaming(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Streaming(body) => body.first.is_none() && body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            // Before the first frame is taken hyper asks for the length of the whole.
            Self::Streaming(body) => match (&body.first, body.incoming.size_hint().exact()) {
                (Some(first), Some(rest)) => {
                    SizeHint::with_exact(rest + first.data_ref().map_or(0, |data| data.len() as u64))
                }
                _ => body.incoming.size_hint(),
            },
        }
    }
}

impl StreamingBody {
    pub(super) fn new(
        first: Option<Frame<Bytes>>,
        incoming: AnswerBody,
        carrier: Carrier<RequestBody>,
        worker: Rc<Worker>,
        record: Record,
        timing: Option<Box<Timing>>,
        load: LoadShare,
    ) -> Box<Self> {
        Box::new(Self {
            first,
            incoming,
            carrier: Some(carrier),
            worker,
            record,
            timing,
            _load: load,
            passed: 0,
            place: Place::default(),
        })
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.passed >= SMALL {
            ready!(self.worker.lane().poll_turn(&mut self.place, cx));
        }
        let mut frame = match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => Pin::new(&mut self.incoming).poll_frame(cx),
        };
        if frame.is_pending()
            && let Some(carrier) = &mut self.carrier
        {
            // The bytes come only while somebody drives the connection.
            carrier.drive(cx);
            frame = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        if frame.is_pending()
            && let Some(timing) = &mut self.timing
            && timing.poll_total(cx).is_ready()
        {
            self.carrier = None;
            self.record.ended(Outcome::TIMED_OUT);
            return Poll::Ready(Some(Err(BodyError::TimedOut)));
        }
        if frame.is_pending() {
            if self.passed >= SMALL {
                self.worker.lane().charge(0);
            }
            self.passed = 0;
        }
        let frame = match ready!(frame) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                self.carrier = None;
                self.record.ended(Outcome::CUT_SHORT);
                return Poll::Ready(Some(Err(BodyError::Upstream(error))));
            }
            None => {
                self.finish();
                return Poll::Ready(None);
            }
        };
        Poll::Ready(Some(Ok(self.pass(frame))))
    }

    fn pass(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        let frame = frame.map_data(|mut data| {
            if data.len() > ROUND {
                self.first = Some(Frame::data(data.split_off(ROUND)));
            }
            data
        });
        if let Some(data) = frame.data_ref() {
            self.record.sent_body(data.len());
            if self.passed >= SMALL {
                self.worker.lane().charge(data.len());
            } else {
                self.passed += data.len();
            }
        }
        if self.first.is_none() && self.incoming.is_end_stream() {
            self.finish();
        }
        frame
    }

    /// The whole body has come.
    fn finish(&mut self) {
        self.record.complete();
        if let Some(carrier) = self.carrier.take() {
            self.worker.give_back(carrier);
        }
    }
}
