//! A client's connection between requests, when nothing of it is kept but the socket.
//!
//! hyper holds some kilobytes for every connection as long as that lives. A node's gateway has thousands that do nothing, so
//! HTTP is made when the first byte of a request has come, and unmade when none has come for a while.

use super::activity::{Activity, ClientSocket, Order};
use std::{future::poll_fn, task::Poll};

/// Waits until there is something to read. Returns `false` when the sweep ends the connection instead.
pub(super) async fn until_readable(socket: &ClientSocket, activity: &Activity) -> bool {
    activity.set_resting(true);
    let is_readable = poll_fn(|cx| {
        activity.set_waker(cx.waker());
        match activity.order() {
            Order::Expire | Order::Close => Poll::Ready(false),
            Order::None | Order::Rest => socket.poll_readable(cx).map(|()| true),
        }
    });
    let is_readable = is_readable.await;
    activity.set_resting(false);
    is_readable
}
