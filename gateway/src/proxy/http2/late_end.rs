//! A client that has ended its side of a tunnel, kept from those to whom that would be the end of both.

use crate::proxy::activity::Activity;
use pin_project_lite::pin_project;
use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// Written at once, as one frame has at most: hyper holds three of them for a client that gives no window.
const PIECE: usize = 16 * 1024;

pin_project! {
    /// A client's bytes. Its end shows when the other side has ended too; if that does not come in time, it is an error.
    ///
    /// Browsers end their stream with the word that closes a WebSocket, and wait for the endpoint's. Of a connection of
    /// HTTP/1.1 that means a FIN, which nginx and Envoy take for a client that has gone: nobody would hear that word.
    /// Whoever has reset its stream waits for nothing.
    pub(super) struct LateEnd<T> {
        #[pin]
        inner: T,
        activity: Rc<Activity>,
        patience: Option<Duration>,
        ended: Option<Pin<Box<Sleep>>>,
        is_answered: bool,
        has_shown: bool,
    }
}

impl<T> LateEnd<T> {
    /// `activity` is told whether the client takes what is sent to it; `patience` is how long the other side may go on once
    /// `inner` has ended, `None` where the end is to show at once.
    pub(super) fn new(inner: T, activity: Rc<Activity>, patience: Option<Duration>) -> Self {
        Self { inner, activity, patience, ended: None, is_answered: false, has_shown: false }
    }
}

impl<T: AsyncRead + AsyncWrite> AsyncRead for LateEnd<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut this = self.project();
        if this.ended.is_none() {
            let before = buf.filled().len();
            ready!(this.inner.as_mut().poll_read(cx, buf))?;
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
        if *this.is_answered {
            return Poll::Ready(Ok(()));
        }
        // hyper says at the other side whether it was a reset.
        if let Poll::Ready(Err(reset)) = this.inner.poll_flush(cx) {
            return Poll::Ready(Err(reset));
        }
        let Some(patience) = *this.patience else {
            // Nobody reads any more, and so nobody sees it go: an endpoint that says nothing has the time of an answer.
            *this.has_shown = true;
            this.activity.set_stalled(true);
            return Poll::Ready(Ok(()));
        };
        ready!(this.ended.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncWrite> AsyncWrite for LateEnd<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        let written = this.inner.poll_write(cx, &buf[..buf.len().min(PIECE)]);
        this.activity.set_stalled(written.is_pending());
        if *this.has_shown {
            // From now on.
            this.activity.set_stalled(true);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        ready!(this.inner.poll_shutdown(cx))?;
        *this.is_answered = true;
        // Whoever waits for the end waits in the same task.
        cx.waker().wake_by_ref();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::activity::Clock;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::timeout,
    };

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_end_shows_when_the_other_side_has_ended_in_time() {
        for (patience, is_answered) in [(LATE, true), (SOON, false)] {
            let (mut client, inner) = duplex(64);
            let activity = Rc::new(Activity::new(Rc::new(Clock::new())));
            let mut late = LateEnd::new(inner, activity, Some(patience));
            client.write_all(b"last").await.unwrap();
            client.shutdown().await.unwrap();
            let mut bytes = [0; 8];
            assert_eq!(late.read(&mut bytes).await.unwrap(), 4);
            if is_answered {
                assert!(timeout(SOON, late.read(&mut bytes)).await.is_err());
                late.write_all(b"answer").await.unwrap();
                late.shutdown().await.unwrap();
            }
            let end = timeout(LATE / 2, late.read(&mut bytes)).await.unwrap();
            assert_eq!(
                end.map_err(|error| error.kind()),
                if is_answered { Ok(0) } else { Err(io::ErrorKind::TimedOut) }
            );
        }
    }
}
