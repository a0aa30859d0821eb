//! A pause much shorter than a millisecond, which is as fine as tokio's timers are.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    ptr,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{Interest, unix::AsyncFd};

/// One pause after the other, on a timer of the kernel's (timerfd_create(2)).
#[derive(Debug)]
pub(super) struct Pause {
    timer: AsyncFd<OwnedFd>,
}

impl Pause {
    /// A timer that is not set.
    ///
    /// # Errors
    /// The kernel's: mostly that there are no more file descriptors.
    #[expect(unsafe_code, reason = "libc is the only way to a timer's file descriptor")]
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: the call takes numbers and returns a number.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this file descriptor, for us alone.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: the file descriptor is owned by what it is registered with, and closed after it was taken off.
        let timer = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        Ok(Self { timer: timer.map_err(|error| error.into_parts().1)? })
    }

    /// Begins a pause, which must be longer than nothing.
    #[expect(unsafe_code, reason = "libc is the only way to a timer's file descriptor")]
    pub(super) fn begin(&mut self, pause: Duration) -> io::Result<()> {
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let value = libc::timespec {
            tv_sec: libc::time_t::try_from(pause.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(i32::try_from(pause.subsec_nanos()).unwrap_or(0)),
        };
        let times = libc::itimerspec { it_interval: never, it_value: value };
        // SAFETY: the kernel reads the struct and writes nothing.
        let answer =
            unsafe { libc::timerfd_settime(self.timer.as_raw_fd(), 0, ptr::from_ref(&times), ptr::null_mut()) };
        if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Ready when the pause is over; once for each that was begun.
    #[expect(unsafe_code, reason = "std reads files and sockets, of which this is neither")]
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.timer.poll_read_ready(cx))?;
            let mut expirations = 0u64;
            // SAFETY: the kernel writes at most the eight bytes it is given.
            let read =
                unsafe { libc::read(ready.get_ref().as_raw_fd(), (&raw mut expirations).cast(), size_of::<u64>()) };
            if read > 0 {
                return Poll::Ready(Ok(()));
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::WouldBlock {
                return Poll::Ready(Err(error));
            }
            ready.clear_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, time::Instant};

    #[tokio::test]
    async fn a_pause_lasts_as_long_as_it_was_told_to() {
        let mut pause = Pause::new().unwrap();
        for length in [Duration::from_micros(50), Duration::from_millis(3)] {
            let began = Instant::now();
            pause.begin(length).unwrap();
            poll_fn(|cx| pause.poll_over(cx)).await.unwrap();
            assert!(began.elapsed() >= length);
        }
    }
}
