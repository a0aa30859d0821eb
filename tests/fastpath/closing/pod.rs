//! The pod's part.

use super::{BODY, Pod, end, reset};
use crate::peers::{Content, Head, PATIENCE, Read, Reader, Write, send};
use fastrand::Rng;
use harness::wait;
use parking_lot::Mutex;
use std::{
    io,
    net::{Shutdown, TcpStream},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::Sender,
    },
};

/// More than the buffers on the way hold, so that the caller leaves in the middle.
const LARGE: u64 = 20 << 20;

/// Bodies whose first bytes have arrived.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// How many bodies have arrived, in part at least.
pub(super) fn begun() -> u64 {
    BEGUN.load(Ordering::SeqCst)
}

/// Waits until more than `before` have.
pub(super) fn until_begun(before: u64) {
    wait::until("the request to arrive", PATIENCE, || (begun() > before).then_some(()));
}

/// Serves one connection, telling what it saw of each request.
pub(super) fn serve(stream: TcpStream, tell: &Mutex<Sender<String>>) {
    // A pod whose connection breaks goes away as one that ends it.
    let _ = requests(stream, tell);
}

fn requests(stream: TcpStream, tell: &Mutex<Sender<String>>) -> io::Result<()> {
    let mut reader = Reader::new(stream, Read::Edge, 16 << 10)?;
    loop {
        if !reader.is_there_more()? {
            return Ok(());
        }
        let head = Head::read(&mut reader)?;
        let what = head.field("x-do").unwrap_or_default().to_owned();
        let keep = request(&mut reader, &head, &what, tell)?;
        if !keep {
            return Ok(());
        }
    }
}

/// Plays the part `what`; true when the connection stays open.
fn request(reader: &mut Reader, head: &Head, what: &str, tell: &Mutex<Sender<String>>) -> io::Result<bool> {
    let is = |pod: Pod| what == format!("{pod:?}");
    if is(Pod::EarlyAnswer) {
        answer(reader, "413 Content Too Large", 1000, 1000)?;
        told(tell, "answered early");
        return Ok(false);
    }
    let mut wrong = None;
    let body = head.body(reader, |at, bytes| {
        if at == 0 {
            BEGUN.fetch_add(1, Ordering::SeqCst);
        }
        wrong = wrong.take().or_else(|| Content::new(1).check(at, bytes).err());
    });
    match (wrong, body) {
        (Some(wrong), _) => {
            told(tell, &format!("wrong bytes: {wrong}"));
            return Ok(false);
        }
        (None, Err(error)) => {
            told(tell, &format!("cut by {}", end(&error)));
            return Ok(false);
        }
        (None, Ok(length)) => told(tell, if length == BODY { "whole" } else { "too short" }),
    }
    if is(Pod::CloseWithoutAnswer) || is(Pod::ResetWithoutAnswer) {
        if is(Pod::ResetWithoutAnswer) {
            reset(reader.stream())?;
        }
        return Ok(false);
    }
    if is(Pod::CloseInAnswer) || is(Pod::ResetInAnswer) {
        answer(reader, "200 OK", 1000, 500)?;
        if is(Pod::ResetInAnswer) {
            reset(reader.stream())?;
        }
        return Ok(false);
    }
    let length = if is(Pod::Large) { LARGE } else { 1000 };
    answer(reader, "200 OK", length, length)?;
    if is(Pod::ShutdownAfterAnswer) {
        reader.stream().shutdown(Shutdown::Write)?;
        return reader.is_there_more();
    }
    if is(Pod::ResetAfterAnswer) {
        reset(reader.stream())?;
    }
    Ok(is(Pod::Polite) || is(Pod::Large))
}

/// An answer that promises `length` bytes and holds `sent`.
fn answer(reader: &Reader, status: &str, length: u64, sent: u64) -> io::Result<()> {
    let mut message = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    message.extend(Content::new(2).bytes(0..sent));
    send(reader.stream(), Write::Whole, &message, &mut Rng::with_seed(1))
}

fn told(tell: &Mutex<Sender<String>>, what: &str) {
    // Nobody listens any more when the test has failed.
    let _ = tell.lock().send(what.to_owned());
}
