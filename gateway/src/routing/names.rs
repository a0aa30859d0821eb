//! What DNS has said about the names that ServiceEntries lead to.

use std::{net::IpAddr, sync::Arc};

/// The outcome of asking for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameAnswer {
    /// Its addresses, in the order of the answer; none when the name does not exist, or has none.
    Addresses(Arc<[IpAddr]>),
    /// Nobody knows, for this reason. What was known before stays.
    Failed(Arc<str>),
}

/// What is known about one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NameState {
    /// The last good answer.
    pub(super) addresses: Arc<[IpAddr]>,
    /// The first of the last answer that had any: the one that DNS_ROUND_ROBIN uses, which an empty answer does not take
    /// away (`LogicalDnsCluster` in envoy's source/extensions/clusters/logical_dns).
    pub(super) first: Option<IpAddr>,
    /// Why the last attempt failed.
    pub(super) trouble: Option<Arc<str>>,
}

impl NameState {
    /// The state after `answer`.
    pub(super) fn after(before: Option<&Self>, answer: NameAnswer) -> Self {
        let before = before.cloned().unwrap_or_default();
        match answer {
            NameAnswer::Failed(reason) => Self { trouble: Some(reason), ..before },
            NameAnswer::Addresses(addresses) => {
                let first = addresses.first().copied().or(before.first);
                Self { addresses, first, trouble: None }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(addresses: &[&str]) -> NameAnswer {
        NameAnswer::Addresses(addresses.iter().map(|address| address.parse().unwrap()).collect())
    }

    #[test]
    fn a_failure_keeps_the_last_good_answer() {
        let good = NameState::after(None, addresses(&["192.0.2.1", "192.0.2.2"]));
        let failed = NameState::after(Some(&good), NameAnswer::Failed("timeout".into()));
        assert_eq!((&failed.addresses, failed.first), (&good.addresses, good.first));
        assert_eq!(failed.trouble.as_deref(), Some("timeout"));
        assert_eq!(NameState::after(Some(&failed), addresses(&["192.0.2.1", "192.0.2.2"])), good);
    }

    #[test]
    fn an_empty_answer_takes_all_but_the_one_in_use_by_round_robin() {
        let good = NameState::after(None, addresses(&["192.0.2.1"]));
        let empty = NameState::after(Some(&good), addresses(&[]));
        assert!(empty.addresses.is_empty());
        assert_eq!(empty.first, good.first);
    }
}
