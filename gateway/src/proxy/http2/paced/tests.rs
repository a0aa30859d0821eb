//! How much comes in one turn, by what it is.

use super::*;
use std::task::Waker;

/// Has the same frame again and again, and is never empty.
#[derive(Debug)]
struct Endless {
    frame: Vec<u8>,
    next: usize,
    preface: usize,
}

impl AsyncRead for Endless {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let preface = self.preface.min(buf.remaining());
        buf.put_slice(&vec![0; preface]);
        self.preface -= preface;
        while buf.remaining() > 0 {
            let part = buf.remaining().min(self.frame.len() - self.next);
            buf.put_slice(&self.frame[self.next..self.next + part]);
            self.next = (self.next + part) % self.frame.len();
        }
        Poll::Ready(Ok(()))
    }
}

fn frame(kind: u8, length: u16) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    let mut frame = vec![0, high, low, kind, 0, 0, 0, 0, 1];
    frame.resize(HEAD + usize::from(length), 0);
    frame
}

/// Frames of `kind` and `length` that are read in one turn, in the mean of many, by a reader with `room`.
fn a_turn(kind: u8, length: u16, room: usize) -> usize {
    turns(kind, length, room).1
}

/// As many in one turn at most, and in the mean.
fn turns(kind: u8, length: u16, room: usize) -> (usize, usize) {
    let frame = frame(kind, length);
    let size = frame.len();
    // Where others are busy, nobody has two turns in one.
    let lane = Rc::<Lane>::default();
    lane.charge(ROUND);
    let mut paced = Paced::new(Endless { frame, next: 0, preface: 24 }, Rc::clone(&lane));
    let mut cx = Context::from_waker(Waker::noop());
    let (mut bytes, mut turns, mut before, mut most) = (0, 0, 0, 0);
    // The last of them may have had more than its share.
    while turns < 1000 {
        let mut memory = vec![0; room];
        let mut buf = ReadBuf::new(&mut memory);
        match Pin::new(&mut paced).poll_read(&mut cx, &mut buf) {
            Poll::Ready(read) => {
                read.expect("bytes");
                bytes += buf.filled().len();
            }
            Poll::Pending => {
                turns += 1;
                lane.begin();
                most = most.max(bytes - before);
                before = bytes;
            }
        }
    }
    (most / size, bytes / size / turns)
}

/// Without an end to it h2 read a hundred and twenty-eight times eight kilobytes in a turn: 61,000 PINGs.
#[test]
fn a_flood_is_read_in_small_pieces() {
    const PING: u8 = 6;
    const SETTINGS: u8 = 4;
    for room in [1, 100, 8 << 10, 64 << 10] {
        assert_eq!(a_turn(PING, 8, room), TURN / 17, "PINGs, {room} bytes at once");
        assert_eq!(a_turn(SETTINGS, 0, room), TURN / 9, "SETTINGS, {room} bytes at once");
        assert_eq!(a_turn(HEADERS, 5, room), TURN / (14 + REQUEST), "requests, {room} bytes at once");
    }
}

/// What has been read is not held back any more.
#[test]
fn no_turn_has_more_than_a_piece_too_much() {
    let size = frame(HEADERS, 5).len();
    let (most, mean) = turns(HEADERS, 5, 8 << 10);
    assert!(most <= PIECE / size + TURN / (size + REQUEST), "{most} requests in one turn, {mean} in most");
    let (most, mean) = turns(RST_STREAM, 4, 8 << 10);
    assert!(most <= PIECE / 13 + 1 && mean <= 2, "{most} resets in one turn, {mean} in most");
}

#[test]
fn bodies_are_read_in_large_pieces() {
    let bytes = a_turn(DATA, 16 << 10, 16 << 10) << 14;
    assert!((16 << 10..=64 << 10).contains(&bytes), "{bytes} bytes of bodies in a turn");
}

#[test]
fn requests_that_are_taken_back_are_told_from_others() {
    let mut paced = Paced::new(Once(None), Rc::default());
    let resets = paced.resets();
    let mut cx = Context::from_waker(Waker::noop());
    let mut come = |frames: Vec<u8>| {
        paced.stream.0 = Some(frames);
        let mut memory = [0; TURN];
        let mut buf = ReadBuf::new(&mut memory);
        while Pin::new(&mut paced).poll_read(&mut cx, &mut buf).is_ready() {}
        resets.are_here()
    };
    assert!(!come(vec![0; 24]), "the preface");
    assert!(!come(frame(HEADERS, 5)));
    assert!(come([frame(HEADERS, 5), frame(RST_STREAM, 4)].concat()));
    assert!(!come(frame(HEADERS, 5)), "of another go");
    assert!(come([frame(RST_STREAM, 4), frame(HEADERS, 100)].concat()), "none is read in two goes");
    assert!(come([frame(HEADERS, 5), frame(WINDOW_UPDATE, 4)].concat()), "it may overflow");
    let of_the_connection = vec![0, 0, 4, WINDOW_UPDATE, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert!(!come([frame(HEADERS, 5), of_the_connection].concat()), "that ends no request alone");
}

/// Who sends little is never kept waiting by this.
#[test]
fn a_turn_begins_anew_when_there_is_nothing_left() {
    let mut paced = Paced::new(Once(None), Rc::default());
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        paced.stream.0 = Some(vec![0; PIECE]);
        let mut memory = [0; TURN];
        let mut buf = ReadBuf::new(&mut memory);
        assert!(Pin::new(&mut paced).poll_read(&mut cx, &mut buf).is_ready());
        assert!(Pin::new(&mut paced).poll_read(&mut cx, &mut buf).is_pending(), "there is no more");
    }
}

/// What has come, once.
#[derive(Debug)]
struct Once(Option<Vec<u8>>);

impl AsyncRead for Once {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(bytes) = self.0.take() else { return Poll::Pending };
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}
