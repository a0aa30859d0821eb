//! Frames of HTTP/2 by hand, for what no library sends.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(30);

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A connection on which a test writes frames.
#[derive(Debug)]
pub struct Frames {
    socket: TcpStream,
}

impl Frames {
    /// Connects, and says hello in HTTP/2.
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("an option");
        let mut frames = Self { socket };
        frames.socket.write_all(PREFACE).expect("a preface");
        frames.send(SETTINGS, 0, 0, &[]).expect("settings");
        frames
    }

    /// The same, giving up soon when the other side takes nothing more.
    pub fn connect_impatiently(address: SocketAddr) -> Self {
        let frames = Self::connect(address);
        frames.socket.set_write_timeout(Some(Duration::from_secs(1))).expect("a timeout");
        frames
    }

    /// The other side of a connection that has been accepted: reads the client's hello, and answers it.
    pub fn accept(mut socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("an option");
        let mut preface = [0; PREFACE.len()];
        socket.read_exact(&mut preface).expect("a preface");
        assert_eq!(preface, PREFACE);
        let mut frames = Self { socket };
        frames.send(SETTINGS, 0, 0, &[]).expect("settings");
        frames
    }

    /// Writes one frame.
    ///
    /// # Errors
    /// When the other side has closed the connection.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, flags];
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        self.socket.write_all(&bytes)
    }

    /// The next frame; `None` at the end of the connection, in order or not, and when nothing comes for long.
    pub fn read(&mut self) -> Option<Frame> {
        self.try_read().ok()
    }

    fn try_read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.socket.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let mut payload = vec![0; usize::try_from(length).expect("24 bits")];
        self.socket.read_exact(&mut payload)?;
        Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// The next frame; `None` at the end of the connection, and at nothing else.
    fn read_patiently(&mut self) -> Option<Frame> {
        match self.try_read() {
            Ok(frame) => Some(frame),
            Err(error) => {
                let is_silent = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                assert!(!is_silent, "nothing comes for {PATIENCE:?}, not even the end");
                None
            }
        }
    }

    /// All frames up to the end of the connection, which must come without another word of ours.
    pub fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.read_patiently()).collect()
    }

    /// All frames up to the answer to a last question; `None` when the other side has ended the connection.
    pub fn answers(&mut self) -> Option<Vec<Frame>> {
        const LAST: [u8; 8] = *b"the last";
        self.send(PING, 0, 0, &LAST).ok()?;
        let mut said = Vec::new();
        loop {
            let frame = self.read_patiently()?;
            if frame.kind == PING && frame.flags == ACK && frame.payload == LAST {
                return Some(said);
            }
            said.push(frame);
        }
    }

    /// The next frame of one of `kinds`; others are passed over.
    pub fn next_of(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.read()?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }
}

/// A block of fields, each written out.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal that is not indexed, with a name of its own (RFC 7541 §6.2.2).
        block.push(0);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of 7 bits (RFC 7541 §5.1).
fn length(length: usize, block: &mut Vec<u8>) {
    let Some(mut rest) = length.checked_sub(127) else {
        return block.push(u8::try_from(length).expect("7 bits"));
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).expect("7 bits") | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).expect("7 bits"));
}
