//! Questions to DNS that are on their way.

use super::{
    DnsSettings,
    lookup::{Found, Resolver},
};
use std::sync::Arc;
use tokio::task::{JoinError, JoinSet};

/// Lookups that have begun, and whoever asks them.
#[derive(Debug)]
pub(super) struct InFlight {
    settings: DnsSettings,
    /// Made when first needed: without a ServiceEntry with names, no file is read and no socket opened.
    resolver: Option<Resolver>,
    lookups: JoinSet<(Arc<str>, Result<Found, String>)>,
}

impl InFlight {
    pub(super) fn new(settings: DnsSettings) -> Self {
        Self { settings, resolver: None, lookups: JoinSet::new() }
    }

    /// How many have not ended.
    pub(super) fn len(&self) -> usize {
        self.lookups.len()
    }

    /// Asks for `name`.
    pub(super) fn begin(&mut self, name: Arc<str>) {
        let made = match &self.resolver {
            Some(resolver) => Ok(resolver.clone()),
            None => Resolver::new(&self.settings).inspect(|made| self.resolver = Some(made.clone())),
        };
        self.lookups.spawn(async move {
            let found = match made {
                Ok(resolver) => resolver.addresses(&name).await,
                Err(reason) => Err(reason),
            };
            (name, found)
        });
    }

    /// The name and the answer of one that has ended, or why there is none; `None` when none is on its way. May be dropped
    /// while it waits without losing an answer.
    pub(super) async fn next(&mut self) -> Option<Result<(Arc<str>, Result<Found, String>), JoinError>> {
        self.lookups.join_next().await
    }
}
