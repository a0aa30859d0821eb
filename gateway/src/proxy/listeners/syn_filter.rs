//! The last act of a listening socket: new connections are held off while those that have begun come in.
//!
//! Closing a listening socket resets every connection in its queue and every handshake on its way, although their clients
//! may have sent a request already. A filter on the socket drops the first packet of a handshake and nothing else, so that
//! the queue comes to its end before the socket is closed. The client whose packet was dropped sends it again, and meets
//! whoever listens then.

use socket2::{SockFilter, SockRef};
use std::{io, os::fd::AsFd};

/// Classic BPF (include/uapi/linux/bpf_common.h): `BPF_LD | BPF_B | BPF_ABS`, `BPF_JMP | BPF_JSET | BPF_K`,
/// `BPF_RET | BPF_K`.
const LOAD_BYTE: u16 = 0x30;
const JUMP_IF_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Where the flags are in a TCP header (RFC 9293 §3.1); the kernel shows a filter of a TCP socket packets from there on.
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;

/// How many bytes of a packet to keep: none, or all.
const DROP: u32 = 0;
const KEEP: u32 = u32::MAX;

/// From now on `listener` gets no new connection; handshakes that have begun come to their end.
///
/// # Errors
/// When the kernel refuses the filter.
pub(super) fn attach(listener: &impl AsFd) -> io::Result<()> {
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, DROP),
        SockFilter::new(RETURN, 0, 0, KEEP),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::{SocketAddr, TcpListener, TcpStream},
        time::Duration,
    };

    #[test]
    fn what_has_begun_comes_in_and_nothing_new() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let mut early = TcpStream::connect(address).unwrap();
        attach(&listener).unwrap();
        early.write_all(b"x").unwrap();
        let late = TcpStream::connect_timeout(&address, Duration::from_millis(300));
        assert_eq!(late.map(|_| ()).map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
        let (mut accepted, _) = listener.accept().unwrap();
        let mut byte = [0];
        accepted.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }
}
