//! The stage: caller, gateway and pods in network namespaces around a router, and a cgroup of this run's own.
//!
//! ```text
//!  caller 10.244.1.2, fd00:1::2 ─┐            DNAT, as kube-proxy does it:
//!                                ├─ router    10.96.0.10:80 and [fd00:96::a]:80 become the gateway's port 8080
//!  gateway 10.244.2.2, fd00:2::2 ┤
//!  pods    10.244.3.2, fd00:3::2 ┘        and 10.244.3.3, fd00:3::3
//! ```
//!
//! Namespaces have no names: they end with the test, however it ends.

mod cgroup;
mod gateway;
mod kernel;
mod namespace;
mod routes;
mod traces;

pub(crate) use gateway::{Gateway, object};
pub(crate) use kernel::{Counts, batch, bpftool};
pub(crate) use namespace::Namespace;
pub(crate) use routes::{everything_to, http2_to, streams_to, weighted};

use cgroup::Cgroup;
pub(crate) use harness::objects::PORT;
use harness::{daemon, privilege};
use parking_lot::Mutex;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use traces::Traces;

/// One world at a time: the cgroup is the whole process's, and the counters of one test must not hold another's bytes.
static ALONE: Mutex<()> = Mutex::new(());

/// Whether the kernel moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fast {
    Require,
    Off,
    /// As the node's daemon decides.
    Auto,
    /// With an object that lacks this guard, which the self-test is kept from finding out.
    Without(&'static str),
}

impl Fast {
    /// Whether the kernel is to move bytes.
    pub(crate) fn is_on(self) -> bool {
        self != Self::Off
    }
}

/// Every test runs in both, and must see the same bytes.
pub(crate) const MODES: [Fast; 2] = [Fast::Require, Fast::Off];

/// How a caller reaches the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    V4,
    V6,
    /// An IPv6 socket that speaks IPv4.
    Mapped,
}

pub(crate) const WAYS: [Way; 3] = [Way::V4, Way::V6, Way::Mapped];

/// Namespaces and cgroup. The process is in the cgroup while this lives.
pub(crate) struct World {
    pub(crate) caller: Namespace,
    pub(crate) node: Namespace,
    pub(crate) pods: Namespace,
    router: Namespace,
    pub(crate) cgroup: Cgroup,
}

/// Runs `test` in a new world with nothing left behind: no socket, no memory, no word of the kernel.
pub(crate) fn run(name: &str, test: impl FnOnce(&World)) {
    if !privilege::granted(name) {
        return;
    }
    let _alone = ALONE.lock();
    daemon::binary();
    let traces = Traces::before();
    {
        let world = World::new();
        test(&world);
        world.is_quiet();
    }
    traces.assert_none();
}

impl World {
    fn new() -> Self {
        let cgroup = Cgroup::new();
        let world = Self {
            caller: Namespace::new(),
            node: Namespace::new(),
            pods: Namespace::new(),
            router: Namespace::new(),
            cgroup,
        };
        for namespace in [&world.caller, &world.node, &world.pods, &world.router] {
            // An address that is being looked for on the link becomes valid in the middle of a test: a browser then
            // ends its connections, for the network has changed.
            namespace.sysctl("net/ipv6/conf/default/accept_dad", "0");
        }
        for (number, namespace) in (1..).zip([&world.caller, &world.node, &world.pods]) {
            world
                .router
                .ip(&format!("link add r{number} type veth peer name eth0 netns {}", namespace.path().display()));
            world.router.ip(&format!("addr add 10.244.{number}.1/24 dev r{number}"));
            world.router.ip(&format!("addr add fd00:{number}::1/64 dev r{number} nodad"));
            world.router.ip(&format!("link set r{number} up"));
            namespace.ip(&format!("addr add 10.244.{number}.2/24 dev eth0"));
            namespace.ip(&format!("addr add fd00:{number}::2/64 dev eth0 nodad"));
            namespace.ip("link set eth0 up");
            namespace.ip("link set lo up");
            namespace.ip(&format!("route add default via 10.244.{number}.1"));
            namespace.ip(&format!("-6 route add default via fd00:{number}::1"));
            // As many connections a second as a test likes.
            namespace.sysctl("net/ipv4/ip_local_port_range", "1024 65535");
            // But none where something listens later, or calls from a port of its own: who calls such a port before
            // anybody listens there may be given it, and be connected to himself.
            namespace.sysctl("net/ipv4/ip_local_reserved_ports", "8080-9200,15000-15100,30080,40000-40002");
            namespace.sysctl("net/ipv4/tcp_tw_reuse", "1");
        }
        world.pods.ip("addr add 10.244.3.3/24 dev eth0");
        world.pods.ip("addr add fd00:3::3/64 dev eth0 nodad");
        world.router.sysctl("net/ipv4/ip_forward", "1");
        world.router.sysctl("net/ipv6/conf/all/forwarding", "1");
        let dnat = "-t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination";
        world.router.run(&format!("iptables {dnat} 10.244.2.2:{PORT} -d 10.96.0.10"));
        world.router.run(&format!("ip6tables {dnat} [fd00:2::2]:{PORT} -d fd00:96::a"));
        world.router.sysctl("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "1");
        world
    }

    /// Where callers find the gateway: its own address, or that of the Service in front of it.
    pub(crate) fn entrance(way: Way, service: bool) -> SocketAddr {
        let v4 = |address: [u8; 4]| Ipv4Addr::from(address);
        let (address, port): (IpAddr, u16) = match (way, service) {
            (Way::V4, false) => (v4([10, 244, 2, 2]).into(), PORT),
            (Way::V4, true) => (v4([10, 96, 0, 10]).into(), 80),
            (Way::Mapped, false) => (v4([10, 244, 2, 2]).to_ipv6_mapped().into(), PORT),
            (Way::Mapped, true) => (v4([10, 96, 0, 10]).to_ipv6_mapped().into(), 80),
            (Way::V6, false) => (Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2).into(), PORT),
            (Way::V6, true) => (Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 0xa).into(), 80),
        };
        SocketAddr::new(address, port)
    }

    /// What every packet between two namespaces passes.
    pub(crate) fn router(&self) -> &Namespace {
        &self.router
    }

    /// The pods' address, in the form in which the gateway is told of it.
    pub(crate) fn pod(way: Way) -> IpAddr {
        match way {
            Way::V4 | Way::Mapped => Ipv4Addr::new(10, 244, 3, 2).into(),
            Way::V6 => Ipv6Addr::new(0xfd00, 3, 0, 0, 0, 0, 0, 2).into(),
        }
    }

    /// The address of pods whose programs leave their sockets blocking: the gateway leaves all of an address alone once it
    /// has met such a program there.
    pub(crate) fn blocking_pod(way: Way) -> IpAddr {
        match way {
            Way::V4 | Way::Mapped => Ipv4Addr::new(10, 244, 3, 3).into(),
            Way::V6 => Ipv6Addr::new(0xfd00, 3, 0, 0, 0, 0, 0, 3).into(),
        }
    }

    /// Waits until no connection is left in any namespace.
    fn is_quiet(&self) {
        for (name, namespace) in [("caller", &self.caller), ("gateway", &self.node), ("pods", &self.pods)] {
            traces::no_sockets(name, namespace);
        }
    }
}
