//! A client that has ended its side of a tunnel, kept from those to whom that would be the end of both.

use pin_project_lite::pin_project;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

pin_project! {
    /// A client's bytes. Its end shows when the other side has ended too, or some time later.
    ///
    /// Browsers end their stream with the word that closes a WebSocket, and wait for the endpoint's. Of a connection of
    /// HTTP/1.1 that means a FIN, which nginx and Envoy take for a client that has gone: nobody would hear that word.
    pub(super) struct LateEnd<T> {
        #[pin]
        inner: T,
        patience: Duration,
        ended: Option<Pin<Box<Sleep>>>,
        is_answered: bool,
    }
}

impl<T> LateEnd<T> {
    /// `patience` is how long the other side may go on once `inner` has ended.
    pub(super) const fn new(inner: T, patience: Duration) -> Self {
        Self { inner, patience, ended: None, is_answered: false }
    }
}

impl<T: AsyncRead> AsyncRead for LateEnd<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        if this.ended.is_none() {
            let before = buf.filled().len();
            ready!(this.inner.poll_read(cx, buf))?;
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
        if *this.is_answered {
            return Poll::Ready(Ok(()));
        }
        let patience = *this.patience;
        this.ended.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(cx).map(Ok)
    }
}

impl<T: AsyncWrite> AsyncWrite for LateEnd<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(cx, buf)
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
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::timeout,
    };

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_end_shows_when_the_other_side_has_ended_or_later() {
        for (patience, is_answered) in [(LATE, true), (SOON, false)] {
            let (mut client, inner) = duplex(64);
            let mut late = LateEnd::new(inner, patience);
            client.write_all(b"last").await.unwrap();
            client.shutdown().await.unwrap();
            let mut bytes = [0; 8];
            assert_eq!(late.read(&mut bytes).await.unwrap(), 4);
            if is_answered {
                assert!(timeout(SOON, late.read(&mut bytes)).await.is_err());
                late.write_all(b"answer").await.unwrap();
                late.shutdown().await.unwrap();
            }
            assert_eq!(timeout(LATE / 2, late.read(&mut bytes)).await.unwrap().unwrap(), 0);
        }
    }
}
