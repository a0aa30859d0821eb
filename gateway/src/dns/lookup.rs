//! One question to DNS.

use super::DnsSettings;
use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{op::ResponseCode, rr::RecordType},
    system_conf,
};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::time::timeout;

/// One server, and how often it is asked, before the question counts as failed.
const SERVER_TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPTS: usize = 2;
/// For all servers and the whole search list.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a "there is none" without a TTL of its own is good for.
const NEGATIVE: Duration = Duration::from_secs(30);

/// Asks the DNS servers of the node, or those of the settings.
#[derive(Clone, Debug)]
pub(super) struct Resolver(Arc<TokioResolver>);

/// What a name means for a while.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// None when the name does not exist, or has no address.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) valid_for: Duration,
}

impl Resolver {
    /// # Errors
    /// When /etc/resolv.conf cannot be read, in words.
    pub(super) fn new(settings: &DnsSettings) -> Result<Self, String> {
        let (config, mut options) = if settings.servers.is_empty() {
            let unreadable =
                |error: NetError| format!("cannot read /etc/resolv.conf: {error}; name servers with --dns-servers");
            system_conf::read_system_conf().map_err(unreadable)?
        } else {
            let servers = settings.servers.iter().map(|server| {
                let mut config = NameServerConfig::udp_and_tcp(server.ip());
                config.connections.iter_mut().for_each(|connection| connection.port = server.port());
                config
            });
            (ResolverConfig::from_name_servers(servers.collect()), Default::default())
        };
        // Answers are kept by `control`, for as long as their TTL.
        options.cache_size = 0;
        // With a dot, a name is asked for as it stands first: pods' `ndots:5` would have six questions for each name.
        options.ndots = 1;
        options.timeout = SERVER_TIMEOUT;
        options.attempts = ATTEMPTS;
        options.try_tcp_on_error = true;
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = builder.build().map_err(|error| format!("cannot ask DNS: {error}"))?;
        Ok(Self(Arc::new(resolver)))
    }

    /// The IPv4 addresses of `name`, or, where it has none, its IPv6 ones.
    ///
    /// # Errors
    /// When no server answers, or none knows, in words.
    pub(super) async fn addresses(&self, name: &str) -> Result<Found, String> {
        let asked = timeout(PATIENCE, async {
            let found = self.ask(name, RecordType::A).await?;
            if found.addresses.is_empty() { self.ask(name, RecordType::AAAA).await } else { Ok(found) }
        });
        asked.await.unwrap_or_else(|_elapsed| Err(format!("no answer within {} s", PATIENCE.as_secs())))
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<Found, String> {
        match self.0.lookup(name, kind).await {
            Ok(lookup) => {
                // Of an alias the shortest time on the way counts.
                let ttl = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or_default();
                let addresses = lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
                Ok(Found { addresses, valid_for: Duration::from_secs(ttl.into()) })
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none)))
                if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
            {
                let valid_for = none.negative_ttl.map_or(NEGATIVE, |ttl| Duration::from_secs(ttl.into()));
                Ok(Found { addresses: Vec::new(), valid_for: valid_for.min(NEGATIVE) })
            }
            Err(error) => Err(error.to_string()),
        }
    }
}
