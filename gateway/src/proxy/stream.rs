//! One connection that is passed on unread: to a cluster drawn by weight, an endpoint of it, and back.
//!
//! As Envoy's TCP proxy under Istio, which tries once: what cannot be carried is closed, and the client finds out by that.

use super::{
    activity::{Activity, Phase},
    affinity::Affinity,
    by_name,
    choice::choose,
    load_share::LoadShare,
    relay::{End, Lifetime, relay},
    stream_record::StreamRecord,
    transport::Transport,
    worker::Worker,
};
use crate::{
    balance::{
        limits::{ConnectionPermit, Limited},
        outliers::Observed,
    },
    message::proxy_header::Addresses,
    model::{
        origination::ClientTls,
        traffic_policy::{ConnectionPool, Tunnel},
    },
    routing::{
        cluster::{Cluster, ClusterState, EndpointSpeech},
        snapshot::Snapshot,
        streams::{Stream, StreamPolicy},
    },
    upstream::{
        connect::{ConnectError, open_stream},
        opening::Announcement,
        secure::Secure,
        stream::Stream as Endpoint,
        tunnel::{self, NoTunnel},
    },
};
use std::{io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};
use tokio::time::{self, Instant};

/// Envoy's default, which Istio leaves as it is.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Where a connection goes: drawn from the snapshot in which its stream was found.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) cluster: Arc<Cluster>,
    policy: StreamPolicy,
    hashes_source: bool,
    tunnel: Option<Arc<Tunnel>>,
}

/// Who has connected.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    /// Of the TLS handshake, ours or the endpoint's.
    pub(super) server_name: Option<Arc<str>>,
}

/// A connection to an endpoint, and what it holds while it lives.
struct Reached {
    stream: Endpoint,
    _share: LoadShare,
    _permit: Option<ConnectionPermit>,
}

/// Why there is none, as Envoy's flags say it.
enum Refused {
    NoCluster,
    NoEndpoint,
    Overflow,
    /// What stands in the way of a connection.
    Failed(String),
}

impl Bound {
    pub(super) fn draw(snapshot: &Snapshot, stream: &Stream) -> Self {
        let route = &stream.route;
        let drawn = &route.destinations[route.draw.draw(fastrand::u64(..))];
        let policy = snapshot.cluster(route.policy).stream.clone();
        let hashes_source = if route.is_alone { policy.hashes_source_alone } else { policy.hashes_source };
        let tunnel = if route.is_alone { &policy.tunnel_alone } else { &policy.tunnel };
        let tunnel = tunnel.clone();
        Self { cluster: Arc::clone(snapshot.cluster(drawn.cluster)), policy, hashes_source, tunnel }
    }
}

/// Carries `client` to where it is bound for, to the end of both connections.
pub(super) async fn serve(
    worker: &Rc<Worker>,
    bound: Bound,
    mut client: Transport,
    caller: &Caller,
    activity: &Activity,
) {
    // Our own clock watches it: the sweep has nothing to expire.
    activity.enter(Phase::Exchange);
    let began = Instant::now();
    let mut record = StreamRecord::new(worker, &bound.cluster, caller);
    let mut reached = match reach(worker, &bound, caller, &mut record).await {
        Ok(reached) => reached,
        Err(refused) => {
            match refused {
                Refused::NoCluster => record.refused("NC", None),
                Refused::NoEndpoint => record.refused("UH", None),
                Refused::Overflow => record.refused("UO", None),
                Refused::Failed(reason) => record.refused("UF,URX", Some(reason)),
            }
            return;
        }
    };
    record.opened();
    let idle = bound.policy.idle_timeout.unwrap_or(IDLE_TIMEOUT);
    let lifetime = Lifetime {
        idle: Some(idle).filter(|idle| !idle.is_zero()),
        until: bound.policy.max_duration.and_then(|most| began.checked_add(most)),
    };
    match relay(&mut client, &mut reached.stream, worker.lane(), lifetime, &mut record).await {
        End::Finished | End::Idle | End::Broken { is_reset: false } => {}
        End::TooOld => record.ended("DT"),
        End::Broken { is_reset: true } => {
            // Whichever side it came from, the other is told in the same way.
            for socket in [client.socket(), reached.stream.socket()] {
                if let Err(error) = socket.reset_on_close() {
                    tracing::debug!(%error, "a reset is passed on as a close");
                }
            }
        }
    }
}

async fn reach(worker: &Worker, bound: &Bound, caller: &Caller, record: &mut StreamRecord) -> Result<Reached, Refused> {
    let cluster = &bound.cluster;
    if let ClusterState::Unknown(_) = cluster.state {
        return Err(Refused::NoCluster);
    }
    let affinity = bound.hashes_source.then(|| Affinity::of_source(caller.peer.ip()));
    let chosen = match (&cluster.dynamic, &caller.server_name) {
        (None, _) => choose(cluster, affinity.as_ref(), &[], &[]),
        (Some(dynamic), Some(name)) => Box::pin(by_name::choose_host(worker, cluster, dynamic, name, &[])).await,
        // There is nothing that could be resolved.
        (Some(_), None) => None,
    };
    let chosen = chosen.ok_or(Refused::NoEndpoint)?;
    let share = LoadShare::begin(chosen);
    let traffic = share.traffic();
    let tls = traffic.map_or(&ClientTls::Disable, |traffic| &traffic.tls);
    let name = match tls {
        ClientTls::Disable => None,
        ClientTls::NotServed => return Err(Refused::Failed("TLS_of_this_kind_is_not_spoken".to_owned())),
        // There is no request whose host could stand in for the name that the rule does not give.
        ClientTls::Begin(tls) => Some(tls.origination.server_name.clone().unwrap_or_default()),
    };
    let pool = traffic.and_then(|traffic| traffic.connections.as_ref());
    let (permit, pending) = match (traffic, pool) {
        (Some(traffic), Some(pool)) => {
            let limits = &traffic.balancer.memory().limits;
            // Nobody waits for another's end.
            let permit = match pool.max_connections {
                Some(most) => Some(limits.wait(most).open().ok_or(Refused::Overflow)?),
                None => None,
            };
            (permit, Some(limits.permit(Limited::Pending, pool.max_pending_requests).ok_or(Refused::Overflow)?))
        }
        _ => (None, None),
    };
    let settings = worker.settings();
    let timeout =
        pool.and_then(|pool: &ConnectionPool| pool.connect_timeout).unwrap_or(settings.limits.connect_timeout);
    let keepalive = pool.and_then(|pool| pool.keepalive.as_ref());
    record.tries(share.address());
    let secure = Secure::of(&settings.tls, tls, name.as_ref());
    let offers_http2 = cluster.speaks == EndpointSpeech::Http2;
    let fastpath = settings.fastpath.as_ref();
    let addresses = Addresses { source: caller.peer, destination: caller.local };
    let proxy_protocol = traffic.and_then(|traffic| traffic.proxy_protocol);
    let announcement = proxy_protocol.map(|version| Announcement { version, addresses: Some(addresses) });
    let announcement = announcement.as_ref();
    let opening = open_stream(share.address(), timeout, keepalive, fastpath, announcement, secure, offers_http2);
    // Boxed: what a handshake needs is not kept while the connection lives.
    let opened = Box::pin(opening).await;
    drop(pending);
    match opened {
        Ok(stream) => {
            share.observe(Observed::Connected);
            record.connected(stream.socket().local_address());
            let stream = match &bound.tunnel {
                None => stream,
                // Envoy would ask in HTTP/2.
                Some(_) if offers_http2 => return Err(Refused::Failed("tunnel_of_this_kind_is_not_spoken".to_owned())),
                Some(asked) => {
                    let patience = bound.policy.idle_timeout.filter(|idle| !idle.is_zero()).unwrap_or(IDLE_TIMEOUT);
                    let begun = time::timeout(patience, Box::pin(tunnel::begin(stream, &asked.target))).await;
                    let begun = begun.unwrap_or(Err(NoTunnel::Broken));
                    begun.map_err(|no_tunnel| Refused::Failed(no_tunnel.to_string()))?
                }
            };
            Ok(Reached { stream, _share: share, _permit: permit })
        }
        Err(error) => {
            tracing::debug!(endpoint = %share.address(), ?error, "cannot connect");
            let (observed, reason) = match error {
                ConnectError::TimedOut => (Observed::TimedOut, "connection_timeout".to_owned()),
                ConnectError::Failed(kind) => (Observed::Failed, failure(kind)),
                ConnectError::Handshake(no_tls) => {
                    worker.endpoint_refused(&share, &no_tls);
                    (Observed::Failed, format!("TLS_error:_{}", no_tls.failure.name()))
                }
                _ => return Err(Refused::Overflow),
            };
            share.observe(observed);
            Err(Refused::Failed(reason))
        }
    }
}

/// As Envoy names what the kernel says.
fn failure(kind: io::ErrorKind) -> String {
    let reason = match kind {
        io::ErrorKind::ConnectionRefused => "Connection_refused".to_owned(),
        io::ErrorKind::ConnectionReset => "Connection_reset_by_peer".to_owned(),
        io::ErrorKind::HostUnreachable => "No_route_to_host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "Network_is_unreachable".to_owned(),
        other => other.to_string().replace(' ', "_"),
    };
    format!("delayed_connect_error:_{reason}")
}
