//! What the data plane tells the fast path about its own sockets, and asks.

use super::load::Loaded;
use crate::pairing::opt_out::Command;
use gateway_ebpf::{Own, Pair, Port};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    io, mem,
    net::IpAddr,
    os::fd::{AsFd, AsRawFd},
    process,
    sync::Arc,
};

/// `SO_NETNS_COOKIE` of asm-generic/socket.h, the same on every architecture we build for; Linux 5.14.
const SO_NETNS_COOKIE: libc::c_int = 71;

/// The fast path as the workers see it. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Sockets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    loaded: Arc<Loaded>,
    /// How many listeners there are for each port: every worker has its own.
    ports: Mutex<HashMap<Port, u32>>,
    /// What the kernel has been told last.
    node_ports: Mutex<BTreeSet<u16>>,
}

/// A port that calls to the gateway arrive at, for as long as this lives.
#[derive(Debug)]
pub struct Announced {
    sockets: Sockets,
    port: Port,
}

impl Sockets {
    pub(super) fn new(loaded: Arc<Loaded>) -> Self {
        Self(Arc::new(Inner { loaded, ports: Mutex::default(), node_ports: Mutex::default() }))
    }

    /// Says that `listener`, and with it everything it accepts, is the gateway's. Call it between bind and listen.
    ///
    /// # Errors
    /// The kernel's; the listener then serves as before, and its connections stay with TCP.
    pub fn announce(&self, listener: &(impl AsFd + AsRawFd), port: u16) -> io::Result<Announced> {
        let port = Port { netns: netns_cookie(listener)?, port: u32::from(port), reserved: 0 };
        self.claim(listener)?;
        let mut ports = self.0.ports.lock();
        self.0.loaded.maps().add_port(port, self.0.loaded.instance).map_err(io::Error::other)?;
        *ports.entry(port).or_default() += 1;
        Ok(Announced { sockets: self.clone(), port })
    }

    /// Tells the kernel all node ports at which the gateway can be called: who calls them is looked at although its address
    /// may be another when the call arrives. Those told before and not now are forgotten.
    pub fn expect_calls_to(&self, node_ports: &BTreeSet<u16>) {
        let mut told = self.0.node_ports.lock();
        if *told == *node_ports {
            return;
        }
        let mut maps = self.0.loaded.maps();
        let of_nodes = |port: &u16| Port { netns: Port::OF_NODES, port: u32::from(*port), reserved: 0 };
        for port in told.difference(node_ports) {
            maps.remove_port(of_nodes(port), self.0.loaded.instance);
        }
        for port in node_ports.difference(&told) {
            if let Err(error) = maps.add_port(of_nodes(port), self.0.loaded.instance) {
                tracing::warn!(port, %error, "calls to this node port may stay with TCP");
            }
        }
        told.clone_from(node_ports);
    }

    /// Says that `socket` is the gateway's. Call it before connect.
    ///
    /// # Errors
    /// The kernel's; the connection then stays with TCP.
    pub fn claim(&self, socket: &impl AsRawFd) -> io::Result<()> {
        let own = Own { pid: process::id(), gateway: 1 };
        self.0.loaded.maps().mark_own(socket, own).map_err(io::Error::other)
    }

    /// Tells the kernel who has opted out, and who has not any more. Connections that are open follow: from their next
    /// message on everything goes through TCP, or may go past it again.
    pub fn obey(&self, commands: &[Command]) {
        let mut maps = self.0.loaded.maps();
        for command in commands {
            let (address, paused) = match command {
                Command::OptOut(address) => (address, Pair::PAUSED),
                Command::OptIn(address) => (address, 0),
            };
            let address = mapped(*address);
            let told = if paused == 0 { maps.opt_in(address) } else { maps.opt_out(address) };
            if let Err(error) = told {
                tracing::warn!(?command, %error, "the fast path cannot be told");
            }
            let concerned: Vec<(u64, Pair)> = maps
                .pairs()
                .filter(|(_, pair)| pair.local.address == address || pair.remote.address == address)
                .filter(|(_, pair)| pair.paused != Pair::LEAVING)
                .collect();
            for (cookie, pair) in concerned {
                // It may have been closed meanwhile.
                let _closed = maps.set_pair(cookie, Pair { paused, ..pair });
            }
        }
    }

    /// Bytes that wait to be read at the other end of `socket`, not counting what TCP has not delivered yet. `None` when
    /// the other end is not on this node.
    pub fn queued(&self, cookie: SocketCookie) -> Option<u32> {
        self.0.loaded.queued(cookie.0)
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        let mut ports = self.sockets.0.ports.lock();
        let last = ports.get_mut(&self.port).is_none_or(|listeners| {
            *listeners -= 1;
            *listeners == 0
        });
        if last {
            ports.remove(&self.port);
            self.sockets.0.loaded.maps().remove_port(self.port, self.sockets.0.loaded.instance);
        }
    }
}

/// The kernel's name for a socket, unique until it reboots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketCookie(u64);

impl SocketCookie {
    /// # Errors
    /// The kernel's.
    pub fn of(socket: &impl AsRawFd) -> io::Result<Self> {
        option(socket, libc::SO_COOKIE).map(Self)
    }

    pub(super) const fn number(self) -> u64 {
        self.0
    }
}

/// IPv4 as `::ffff:a.b.c.d`, as the programs write it.
fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn netns_cookie(socket: &impl AsRawFd) -> io::Result<u64> {
    option(socket, SO_NETNS_COOKIE)
}

/// A socket option of 64 bits.
#[expect(unsafe_code, reason = "neither std nor socket2 knows the two options")]
fn option(socket: &impl AsRawFd, name: libc::c_int) -> io::Result<u64> {
    let mut value = 0u64;
    let mut length = libc::socklen_t::try_from(mem::size_of::<u64>()).unwrap_or_default();
    // SAFETY: the kernel writes at most `length` bytes to `value`.
    let answer = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut length)
    };
    if answer == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}
