//! Connections on their way to being a pair, and pairs.

use bytemuck::{Pod, Zeroable};

/// An address and a port, as one end of a connection sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct Place {
    /// In network order; IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
    /// In host order.
    pub port: u32,
}

const _: () = assert!(size_of::<Place>() == 20);

/// A port the gateway listens on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct Port {
    /// The kernel's cookie of the network namespace, or [`Port::OF_NODES`].
    pub netns: u64,
    /// In host order.
    pub port: u32,
    /// Explicit, so that the struct has no padding.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Port>() == 16);

impl Port {
    /// In the place of a namespace, of which none has this cookie: a node port of the gateway's Service.
    pub const OF_NODES: u64 = 0;
}

/// What the gateway says about a socket of its own; sockets accepted from a listener inherit it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Own {
    /// The process that owns the socket.
    pub pid: u32,
    /// Explicit, so that a value is never all zeros by accident.
    pub gateway: u32,
}

const _: () = assert!(size_of::<Own>() == 8);

/// A handshake seen from the caller's place: is it worth looking at when it ends?
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Hint {
    /// One of the constants below.
    pub state: u32,
    /// Explicit, so that the struct has no padding.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Hint>() == 8);

impl Hint {
    /// The gateway is calling; whether somebody of this node answers is not known yet.
    pub const CALLING: u32 = 1;
    /// The call has arrived on this node, at the gateway or from it.
    pub const ARRIVED: u32 = 2;
}

/// What only the two ends of one connection have in common: the caller's place and both initial sequence numbers, of which
/// NAT of the destination changes none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct Proof {
    /// All zeros for calls to a node port, whose callers may be masqueraded.
    pub caller: Place,
    /// The next sequence number of the caller.
    pub caller_sequence: u32,
    /// The next sequence number of the one called.
    pub called_sequence: u32,
}

const _: () = assert!(size_of::<Proof>() == 28);

/// The calling end of a connection, waiting for its other end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Half {
    /// The socket's cookie.
    pub cookie: u64,
    /// Its future entry in `gw_pairs`, without what only the other end knows.
    pub pair: Pair,
}

const _: () = assert!(size_of::<Half>() == 120);

/// A socket in `gw_socks`, remembered with the socket itself.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct End {
    /// The socket's cookie, which programs on messages cannot ask for.
    pub cookie: u64,
    pub direction: u32,
    /// Explicit, so that the struct has no padding.
    pub reserved: u32,
}

const _: () = assert!(size_of::<End>() == 16);

/// One end of a proven pair, under the cookie of its socket; the other end has an entry of its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Pair {
    /// The cookie of the other end.
    pub peer: u64,
    /// The kernel's addresses of both sockets, which the guard reads.
    pub socket: u64,
    pub peer_socket: u64,
    /// What this end has sent since it was paired.
    pub redirected_messages: u64,
    pub redirected_bytes: u64,
    pub passed_messages: u64,
    pub passed_bytes: u64,
    pub direction: u32,
    /// Not 0: everything goes through TCP. One of the constants below.
    pub paused: u32,
    /// The sequence number of the first byte this end may send through TCP: while it is also the next one, TCP has carried
    /// nothing.
    pub first_sequence: u32,
    /// Explicit, so that the struct has no padding.
    pub reserved: u32,
    pub local: Place,
    pub remote: Place,
}

const _: () = assert!(size_of::<Pair>() == 112);

impl Pair {
    /// The pod of one of the ends has opted out, or the operator has said so.
    pub const PAUSED: u32 = 1;
    /// The end that is somebody else's blocks, and leaves the map as soon as that is safe.
    pub const LEAVING: u32 = 2;
}
