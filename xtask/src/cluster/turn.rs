//! One at a time: verbs that change the same cluster wait for each other.

use crate::interrupt::Interrupt;
use anyhow::Context;
use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    time::Duration,
};

/// Whoever has it is alone, until it is dropped or the process ends.
///
/// It is an abstract socket: unlike a file, its name is free again when its owner is gone, however it went, and nothing is
/// left of it.
#[derive(Debug)]
pub(crate) struct Turn {
    _socket: UnixListener,
}

impl Turn {
    /// Waits for the turn `name`. Says so when it has to.
    pub(crate) fn wait_for(name: &str, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let address = SocketAddr::from_abstract_name(name).with_context(|| format!("name a lock {name}"))?;
        let mut said = false;
        loop {
            match UnixListener::bind_addr(&address) {
                Ok(socket) => return Ok(Self { _socket: socket }),
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    return Err(error).with_context(|| format!("take the lock {name}"));
                }
                Err(_) if said => {}
                Err(_) => eprintln!("Waiting for another cargo xtask, which has {name}"),
            }
            said = true;
            interrupt.pause(Duration::from_millis(100))?;
        }
    }
}
