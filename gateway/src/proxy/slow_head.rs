//! A head that has come in part: what there is of it, and nothing of HTTP.
//!
//! hyper holds two buffers of some kilobytes and its own state for every connection it serves. Thousands may send a head byte
//! by byte, so that the pieces are gathered here, and HTTP is made anew once they are a whole.

use super::{
    activity::{Activity, ClientSocket, Order},
    lane::{Lane, Place, ROUND, SMALL},
};
use bytes::Bytes;
use std::{
    future::poll_fn,
    mem::MaybeUninit,
    pin::pin,
    task::{Poll, ready},
};
use tokio::{
    io::ReadBuf,
    time::{Instant, sleep_until},
};

/// Read at once, from the stack.
const PIECE: usize = 4096;

/// Read without waiting for others, with what HTTP has read: hundreds may bring such heads at once.
const TURN: usize = 8 * 1024;

/// What became of a head that had come in part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gathered {
    /// There is something to be judged: its end, or that of the connection. All of it can be read from the socket again.
    Head,
    /// It has more bytes than it may have. Nobody looks through them: they may be many, and say nothing more.
    TooLong,
    /// Its time was over before.
    TooLate,
}

/// Gathers the head of which `part` has come, until it is whole, has `most` bytes, or its time is over, at `due` or when the
/// sweep says so.
pub(super) async fn until_whole(
    socket: &mut ClientSocket,
    activity: &Activity,
    lane: &Lane,
    part: Bytes,
    most: usize,
    due: Instant,
) -> Gathered {
    let mut head = Vec::from(part);
    let mut time = pin!(sleep_until(due));
    let mut place = Place::default();
    // What HTTP has read of it before counts as well.
    let mut unpaid = head.len();
    let gathered = poll_fn(|cx| {
        activity.set_waker(cx.waker());
        loop {
            if activity.order() == Order::Expire || time.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Gathered::TooLate);
            }
            if unpaid >= TURN {
                ready!(lane.poll_turn(&mut place, cx));
                lane.charge(unpaid);
                unpaid = 0;
            }
            let mut piece = [MaybeUninit::uninit(); PIECE];
            let mut piece = ReadBuf::uninit(&mut piece);
            let read = ready!(socket.poll_read_head(cx, &mut piece));
            let known = head.len();
            unpaid += piece.filled().len();
            head.extend_from_slice(piece.filled());
            // An end, in order or not, is met once more by whoever reads what is here.
            if read.is_err() || head.len() == known || ends(&head, known) {
                if head.len() >= SMALL {
                    // Looking through it takes as long as anything.
                    lane.charge(ROUND);
                }
                return Poll::Ready(Gathered::Head);
            }
            if head.len() >= most {
                return Poll::Ready(Gathered::TooLong);
            }
        }
    })
    .await;
    if gathered == Gathered::Head {
        socket.give_back(head.into());
    }
    gathered
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
    use tokio::{io::AsyncWriteExt as _, net::TcpSocket};

    #[tokio::test]
    async fn a_long_head_is_read_in_turns() {
        const HEAD: usize = 256 << 10;
        let lane = Lane::default();
        // There is room for all of it between the two.
        let (server, client) = (TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap());
        server.set_recv_buffer_size(1 << 20).unwrap();
        client.set_send_buffer_size(1 << 20).unwrap();
        server.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = server.listen(1).unwrap();
        let mut caller = client.connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        caller.write_all(&[b'y'; HEAD]).await.unwrap();
        drop(caller);
        accepted.readable().await.unwrap();
        let activity = Rc::new(Activity::new(Rc::new(Clock::new())));
        let mut socket = ClientSocket::new(Transport::Plain(Socket::new(accepted, None)), Rc::clone(&activity));
        {
            let due = Instant::now() + Duration::from_secs(60);
            let gathering = pin!(until_whole(&mut socket, &activity, &lane, Bytes::new(), 1 << 20, due));
            assert!(poll!(gathering).is_pending());
        }
        let (mut memory, mut rest) = (vec![0; HEAD], 0);
        loop {
            let mut buf = ReadBuf::new(&mut memory);
            poll_fn(|cx| socket.poll_read_head(cx, &mut buf)).await.unwrap();
            match buf.filled().len() {
                0 => break,
                read => rest += read,
            }
        }
        assert!(rest >= HEAD - SMALL - ROUND, "{} bytes at once", HEAD - rest);
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
