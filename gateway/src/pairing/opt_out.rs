//! Who wants to have nothing to do with the short-circuit, and what follows from a change of mind.
//!
//! Programs that use splice(2), FIONREAD, MSG_ZEROCOPY, SO_RCVLOWAT or MSG_WAITALL on their connections meet another
//! behaviour there. They say so with an annotation, for one pod or for all pods of a namespace; the pod's word weighs more.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

/// On a Pod or a Namespace; see [`Wish::parse`].
pub const ANNOTATION: &str = "node-gateway.io/fastpath";

/// What the annotation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    On,
    Off,
}

/// A value that is no [`Wish`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("annotation {ANNOTATION}: {0:?} is neither on nor off; the pod is treated as if it said off")]
pub struct InvalidWish(pub String);

impl Wish {
    /// # Errors
    /// Any other word than `on` and `off`. Who writes it wants something, and off is the safe reading.
    pub fn parse(value: &str) -> Result<Self, InvalidWish> {
        match value {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            other => Err(InvalidWish(other.to_owned())),
        }
    }
}

/// A pod's identity within the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodName {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// What is known of one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    pub addresses: Vec<IpAddr>,
    pub wish: Option<Wish>,
}

/// What the kernel is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take in no more connections of this address, and pause those there are.
    OptOut(IpAddr),
    /// The opposite.
    OptIn(IpAddr),
}

/// Carries commands to the kernel.
pub type Tell = Box<dyn FnMut(&[Command]) + Send>;

/// What a source does with what it finds out.
pub struct OptOutWatch {
    /// The node whose pods can take part.
    pub node: Arc<str>,
    pub tell: Tell,
}

impl std::fmt::Debug for OptOutWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OptOutWatch").field("node", &self.node).finish_non_exhaustive()
    }
}

/// Every pod that matters and every namespace with a wish.
#[derive(Clone, Debug, Default)]
pub struct OptOuts {
    pods: BTreeMap<PodName, PodFacts>,
    namespaces: BTreeMap<Arc<str>, Wish>,
    /// What the kernel has been told last.
    told: BTreeSet<IpAddr>,
}

impl OptOuts {
    /// A pod has appeared, changed, or (`None`) gone.
    pub fn pod(&mut self, name: PodName, facts: Option<PodFacts>) {
        match facts {
            Some(facts) => self.pods.insert(name, facts),
            None => self.pods.remove(&name),
        };
    }

    /// A namespace says this now; `None` when it says nothing.
    pub fn namespace(&mut self, name: Arc<str>, wish: Option<Wish>) {
        match wish {
            Some(wish) => self.namespaces.insert(name, wish),
            None => self.namespaces.remove(&name),
        };
    }

    /// What has changed since the last call.
    pub fn commands(&mut self) -> Vec<Command> {
        let now: BTreeSet<IpAddr> = self
            .pods
            .iter()
            .filter(|(name, facts)| {
                facts.wish.or_else(|| self.namespaces.get(&name.namespace).copied()) == Some(Wish::Off)
            })
            .flat_map(|(_, facts)| facts.addresses.iter().map(IpAddr::to_canonical))
            .collect();
        let commands = now
            .difference(&self.told)
            .map(|address| Command::OptOut(*address))
            .chain(self.told.difference(&now).map(|address| Command::OptIn(*address)))
            .collect();
        self.told = now;
        commands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(namespace: &str, name: &str) -> PodName {
        PodName { namespace: namespace.into(), name: name.into() }
    }

    fn facts(address: &str, wish: Option<Wish>) -> Option<PodFacts> {
        Some(PodFacts { addresses: vec![address.parse().expect("an address")], wish })
    }

    fn out(address: &str) -> Command {
        Command::OptOut(address.parse().expect("an address"))
    }

    fn back(address: &str) -> Command {
        Command::OptIn(address.parse().expect("an address"))
    }

    #[test]
    fn a_pod_opts_out_and_in_again() {
        let mut opt_outs = OptOuts::default();
        opt_outs.pod(name("a", "x"), facts("10.0.0.1", None));
        assert_eq!(opt_outs.commands(), []);
        opt_outs.pod(name("a", "x"), facts("10.0.0.1", Some(Wish::Off)));
        assert_eq!(opt_outs.commands(), [out("10.0.0.1")]);
        assert_eq!(opt_outs.commands(), []);
        opt_outs.pod(name("a", "x"), facts("10.0.0.2", Some(Wish::Off)));
        assert_eq!(opt_outs.commands(), [out("10.0.0.2"), back("10.0.0.1")]);
        opt_outs.pod(name("a", "x"), None);
        assert_eq!(opt_outs.commands(), [back("10.0.0.2")]);
    }

    #[test]
    fn a_namespace_speaks_for_its_pods_unless_they_speak_themselves() {
        let mut opt_outs = OptOuts::default();
        opt_outs.pod(name("a", "silent"), facts("10.0.0.1", None));
        opt_outs.pod(name("a", "willing"), facts("10.0.0.2", Some(Wish::On)));
        opt_outs.pod(name("b", "other"), facts("10.0.0.3", None));
        opt_outs.namespace("a".into(), Some(Wish::Off));
        assert_eq!(opt_outs.commands(), [out("10.0.0.1")]);
        opt_outs.namespace("a".into(), None);
        assert_eq!(opt_outs.commands(), [back("10.0.0.1")]);
    }

    #[test]
    fn an_odd_word_is_an_error_that_names_the_annotation() {
        let error = Wish::parse("no").expect_err("neither on nor off");
        assert!(error.to_string().contains("node-gateway.io/fastpath"), "{error}");
    }
}
