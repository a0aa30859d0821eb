//! A head that has come in part: what there is of it, and nothing of HTTP.
//!
//! hyper holds two buffers of some kilobytes and its own state for every connection it serves. Thousands may send a head byte
//! by byte, so that the pieces are gathered here, and HTTP is made anew once they are a whole.

use super::{
    activity::{Activity, ClientSocket, Order},
    turn,
};
use bytes::Bytes;
use std::{
    future::poll_fn,
    mem::MaybeUninit,
    pin::{Pin, pin},
    task::{Poll, ready},
};
use tokio::{
    io::{AsyncRead as _, ReadBuf},
    time::{Instant, sleep_until},
};

/// Read at once, from the stack.
const PIECE: usize = 4096;

/// Pieces read before others have their turn.
const TURN: usize = 4;

/// Gathers the head of which `part` has come until there is something to be judged: its end, more than `most` bytes, or the
/// end of the connection. All of it can then be read from `socket` again. Returns `false` when its time is over before, at
/// `due` or when the sweep says so.
pub(super) async fn until_whole(
    socket: &mut ClientSocket,
    activity: &Activity,
    part: Bytes,
    most: usize,
    due: Instant,
) -> bool {
    let mut head = Vec::from(part);
    let mut time = pin!(sleep_until(due));
    let is_whole = poll_fn(|cx| {
        activity.set_waker(cx.waker());
        for _ in 0..TURN {
            if activity.order() == Order::Expire || time.as_mut().poll(cx).is_ready() {
                return Poll::Ready(false);
            }
            let mut piece = [MaybeUninit::uninit(); PIECE];
            let mut piece = ReadBuf::uninit(&mut piece);
            let read = ready!(Pin::new(&mut *socket).poll_read(cx, &mut piece));
            let known = head.len();
            head.extend_from_slice(piece.filled());
            // An end, in order or not, is met once more by whoever reads what is here.
            if read.is_err() || head.len() == known || head.len() >= most || ends(&head, known) {
                return Poll::Ready(true);
            }
        }
        turn::ends(cx);
        Poll::Pending
    })
    .await;
    socket.give_back(head.into());
    is_whole
}

/// Whether an empty line ends `head` behind its first `known` bytes (RFC 9112 §2.2: LF alone may end a line).
fn ends(head: &[u8], known: usize) -> bool {
    let new = &head[known.saturating_sub(3)..];
    // Found in vectors, where a long value has none.
    if !new.contains(&b'\n') {
        return false;
    }
    new.windows(2).any(|pair| pair == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        proxy::{activity::Clock, transport::Transport},
        upstream::socket::Socket,
    };
    use futures_util::poll;
    use std::{rc::Rc, time::Duration};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    #[tokio::test]
    async fn a_long_head_is_read_in_turns() {
        const HEAD: usize = 64 << 10;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let all = tokio::spawn(async move { caller.write_all(&[b'y'; HEAD]).await });
        accepted.readable().await.unwrap();
        let activity = Rc::new(Activity::new(Rc::new(Clock::new())));
        let mut socket = ClientSocket::new(Transport::Plain(Socket::new(accepted, None)), Rc::clone(&activity));
        {
            let due = Instant::now() + Duration::from_secs(60);
            let gathering = pin!(until_whole(&mut socket, &activity, Bytes::new(), 1 << 20, due));
            assert!(poll!(gathering).is_pending());
        }
        all.await.unwrap().unwrap();
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() >= HEAD - TURN * PIECE, "{} bytes at once", HEAD - rest.len());
    }

    #[test]
    fn an_empty_line_is_found_wherever_a_piece_ends() {
        for (head, is_whole) in [
            ("GET / HTTP/1.1\r\n\r\n", true),
            ("GET / HTTP/1.1\n\n", true),
            ("GET / HTTP/1.1\n\r\n", true),
            ("GET / HTTP/1.1\r\nhost: a\r\n", false),
            ("GET / HTTP/1.1\r\n\r", false),
            ("\n", false),
        ] {
            let head = head.as_bytes();
            for known in 0..head.len() {
                let (first, second) = (ends(&head[..known], 0), ends(head, known));
                assert_eq!(first || second, is_whole, "{known} of {}", String::from_utf8_lossy(head));
            }
        }
    }
}
