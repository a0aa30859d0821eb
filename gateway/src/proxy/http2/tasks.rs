//! The tasks of a connection's streams: each ends with its stream, or when its client takes nothing of the answer.

use super::premature::Endings;
use crate::proxy::client::Client;
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};
use tokio::task;

/// Runs streams on the worker's own thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    /// Of the stream whose task comes next: hyper hands each over as soon as it has shown us the request.
    next: Rc<RefCell<Option<Rc<Client>>>>,
    endings: Rc<Endings>,
}

pin_project! {
    /// A task, until its end or that of its client's time: a stream that is dropped is reset.
    struct StreamTask<F> {
        #[pin]
        task: F,
        stream: Rc<Client>,
        is_watched: bool,
        endings: Rc<Endings>,
        began: Instant,
    }
}

impl Tasks {
    /// The next task is that of `stream`.
    pub(super) fn announce(&self, stream: &Rc<Client>) {
        self.next.replace(Some(Rc::clone(stream)));
    }

    /// How those have ended that have.
    pub(super) fn endings(&self) -> &Endings {
        &self.endings
    }
}

impl<F: Future<Output: 'static> + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        match self.next.take() {
            Some(stream) => {
                let (endings, began) = (Rc::clone(&self.endings), Instant::now());
                drop(task::spawn_local(StreamTask { task, stream, is_watched: false, endings, began }));
            }
            None => drop(task::spawn_local(task)),
        }
    }
}

impl<F: Future> Future for StreamTask<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let activity = &this.stream.activity;
        if activity.answer_expired() {
            tracing::debug!(peer = %this.stream.peer, "the client takes nothing of an answer");
            return Poll::Ready(());
        }
        let poll = this.task.poll(cx).map(drop);
        if poll.is_ready() {
            this.endings.note(activity.has_answer(), this.began);
        }
        // Most answers are taken at once, and cost the sweep nothing.
        if poll.is_pending() && activity.is_stalled() {
            activity.set_waker(cx.waker());
            if !*this.is_watched {
                this.stream.worker.watch(activity);
                *this.is_watched = true;
            }
        }
        poll
    }
}
