//! Room for those who are here: a share of the process's file descriptors is not for clients. It is for connections to
//! endpoints, without which no client is served, for the admin pages and for the API server.

use socket2::SockRef;
use std::{
    fs,
    os::fd::{AsRawFd, RawFd},
    time::Duration,
};
use tokio::net::TcpStream;

/// How far clients' connections may fill the table of file descriptors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// The first number that is not for them: the kernel gives every descriptor the lowest number that is free (open(2)),
    /// so that a number says how many are taken.
    end: RawFd,
}

impl Room {
    /// Nine tenths of what this process may open (`RLIMIT_NOFILE`, which the kernel shows in `/proc`).
    pub(super) fn of_this_process() -> Self {
        Self::of(&fs::read_to_string("/proc/self/limits").unwrap_or_default())
    }

    /// Without a limit in `limits`, as many as come.
    fn of(limits: &str) -> Self {
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let most = line.and_then(|line| line.split_whitespace().next()?.parse::<RawFd>().ok());
        Self { end: most.map_or(RawFd::MAX, |most| most - most / 10) }
    }

    /// Whether a connection that has been accepted may stay.
    pub(super) fn has(self, connection: &impl AsRawFd) -> bool {
        connection.as_raw_fd() < self.end
    }
}

/// Ends `connection` with a reset, which leaves nothing behind in the kernel either.
pub(super) fn turn_away(connection: TcpStream) {
    // Without it the end is an orderly one.
    let _at_once = SockRef::from(&connection).set_linger(Some(Duration::ZERO)).is_ok();
    drop(connection);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbered(RawFd);

    impl AsRawFd for Numbered {
        fn as_raw_fd(&self) -> RawFd {
            self.0
        }
    }

    #[test]
    fn a_tenth_is_kept() {
        let room = Room::of("Limit  Soft  Hard  Units\nMax open files            100   4096  files\n");
        assert!(room.has(&Numbered(89)) && !room.has(&Numbered(90)));
        assert!(Room::of("Max open files  unlimited  unlimited  files\n").has(&Numbered(RawFd::MAX - 1)));
        assert!(Room::of_this_process().has(&Numbered(3)));
    }
}
