//! Bringing a cluster up, from nothing to two nodes that are ready.

use super::{
    cgroups, control_plane, credentials,
    daemon::Daemon,
    dns,
    images::{self, Loading},
    instance::{Instance, Network, Node},
    istio,
    kubectl::Kubectl,
    network, node,
    plan::{Plan, Programs},
    state::{self, State},
    turn::Turn,
};
use crate::{interrupt::Interrupt, output::step};
use anyhow::{Context, bail};
use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    time::{Duration, Instant},
};

/// For each thing that is waited for: many times what it takes on a laptop that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(180);

/// A cluster that comes up.
pub(crate) struct Rising<'a> {
    pub(crate) plan: Plan,
    pub(crate) kubectl: Kubectl,
    pub(crate) interrupt: &'a Interrupt,
    /// The first process of each node.
    pub(crate) inits: Vec<Daemon>,
    pub(crate) daemons: Vec<Daemon>,
}

/// Starts everything; returns when pods can be scheduled and names resolve. What is left on failure is the caller's to
/// remove.
pub(crate) fn bring_up(
    instance: &Instance,
    nodes: u8,
    programs: Programs,
    istio: Option<&istio::Programs>,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let addresses = Turn::wait_for("ngw-addresses", interrupt)?;
    let mut rising = Rising::new(instance, network::free(interrupt)?, nodes, programs, interrupt);
    step("network", |_| rising.lay_ground())?;
    // Taken, and seen by the next who looks for free ones.
    drop(addresses);
    step("control plane", |_| rising.start_control_plane())?;
    step("nodes", |_| rising.start_nodes())?;
    let mut state = State::new(&rising.plan, &rising.inits, &rising.daemons)?;
    if let Some(istio) = istio {
        step("Istio", |_| istio::start(&mut rising, istio, &mut state))?;
    }
    state.write(instance)
}

/// Starts Istio in a cluster that is up.
pub(crate) fn add_istio(
    instance: &Instance,
    mut state: State,
    programs: Programs,
    istio: &istio::Programs,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let nodes = u8::try_from(state.nodes().len()).context("more nodes than there can be")?;
    let mut rising = Rising::new(instance, state.network()?, nodes, programs, interrupt);
    // Until it is complete again: a later run that finds no state does not trust what it finds instead.
    fs::remove_file(state::path(instance)).context("remove the cluster's state")?;
    let started = step("Istio", |_| istio::start(&mut rising, istio, &mut state));
    if started.is_err() {
        rising.daemons.iter_mut().for_each(Daemon::end);
    }
    let written = state.write(instance);
    started.and(written)
}

impl<'a> Rising<'a> {
    fn new(instance: &Instance, network: Network, nodes: u8, programs: Programs, interrupt: &'a Interrupt) -> Self {
        let kubectl = Kubectl::new(programs.kubernetes("kubectl"), instance);
        let plan = Plan { instance: instance.clone(), network, nodes, programs };
        Self { plan, kubectl, interrupt, inits: Vec::new(), daemons: Vec::new() }
    }
}

impl Rising<'_> {
    /// Directory, addresses, cgroups, credentials, and the first process of each node.
    fn lay_ground(&mut self) -> anyhow::Result<String> {
        let (plan, interrupt) = (&self.plan, self.interrupt);
        let mut directory = fs::DirBuilder::new();
        // Tokens and keys are in it.
        directory.recursive(true).mode(0o700).create(plan.instance.logs()).context("create the cluster's directory")?;
        network::create(&plan.instance, plan.network, plan.nodes, interrupt)?;
        cgroups::create(&plan.instance, plan.nodes)?;
        credentials::create(plan, interrupt)?;
        Ok(format!("nodes in {}, pods in {}", plan.network.nodes(), plan.network.pods()))
    }

    /// etcd and the API server; while they start, the nodes get their namespaces, their containerd and the pause image.
    fn start_control_plane(&mut self) -> anyhow::Result<String> {
        let began = Instant::now();
        self.daemons.extend(control_plane::start(&self.plan)?);
        let pause = images::make_pause(&self.plan.instance, self.interrupt)?;
        for node in Node::first(self.plan.nodes) {
            self.inits.push(node::start_init(&self.plan, node)?);
        }
        for node in Node::first(self.plan.nodes) {
            let init = self.wait_until(&format!("the namespaces of {}", node.name()), |rising| {
                let init = rising.inits.get(usize::from(node.0) - 1).map(Daemon::id);
                Ok(init.filter(|_| node::is_prepared(&rising.plan.instance, node)))
            })?;
            self.daemons.push(node::start_runtime(&self.plan, node, init)?);
        }
        let mut loading: Vec<Loading> = Vec::new();
        for node in Node::first(self.plan.nodes) {
            let socket = self.plan.instance.containerd_socket(node);
            self.wait_until(&format!("containerd of {}", node.name()), |_| Ok(socket.exists().then_some(())))?;
            loading.push(images::load(&self.plan.programs.ctr(), &socket, &pause)?);
        }
        self.wait_until("the API server", |rising| {
            let answer = rising.kubectl.output("get --raw /readyz --request-timeout=2s", rising.interrupt);
            rising.interrupt.check()?;
            Ok(answer.ok().filter(|answer| answer == "ok"))
        })?;
        self.daemons.extend(control_plane::start_controllers(&self.plan)?);
        loading.into_iter().try_for_each(Loading::finish)?;
        Ok(format!("Kubernetes's API answered after {:.1} s", began.elapsed().as_secs_f64()))
    }

    /// kubelet and kube-proxy of each node; while they start, what every cluster of ours has in it.
    fn start_nodes(&mut self) -> anyhow::Result<String> {
        for (node, init) in Node::first(self.plan.nodes).zip(self.inits.iter().map(Daemon::id).collect::<Vec<_>>()) {
            self.daemons.extend(node::start_agents(&self.plan, node, init)?);
        }
        self.wait_until("the namespace kube-system", |rising| {
            Ok(rising.kubectl.output("get namespace kube-system", rising.interrupt).ok())
        })?;
        self.kubectl.apply(&dns::manifest(&self.plan), self.interrupt)?;
        self.daemons.push(dns::start(&self.plan)?);
        self.kubectl.apply_file(&self.plan.programs.crds, self.interrupt)?;
        self.wait_until("the service account of the namespace default", |rising| {
            Ok(rising.kubectl.output("get serviceaccount default", rising.interrupt).ok())
        })?;
        let names: Vec<String> = Node::first(self.plan.nodes).map(Node::name).collect();
        for name in &names {
            let ready = format!("wait --for=condition=Ready --timeout=2s node/{name}");
            self.wait_until(&format!("{name} to be ready"), |rising| {
                let answer = rising.kubectl.output(&ready, rising.interrupt);
                rising.interrupt.check()?;
                Ok(answer.ok())
            })?;
        }
        Ok(format!("{} ready", names.join(", ")))
    }

    /// Asks `condition` until it answers with a value.
    ///
    /// # Errors
    /// When a process of the cluster has ended in the meantime, or nothing came of it for a long time.
    pub(crate) fn wait_until<T>(
        &mut self,
        what: &str,
        condition: impl Fn(&Self) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = condition(self)? {
                return Ok(value);
            }
            for daemon in self.inits.iter_mut().chain(&mut self.daemons) {
                daemon.check()?;
            }
            if Instant::now() > deadline {
                bail!(
                    "{what}: not within {} s; the logs of the last processes:\n{}",
                    PATIENCE.as_secs(),
                    self.last_words()
                );
            }
            self.interrupt.pause(Duration::from_millis(50))?;
        }
    }

    fn last_words(&self) -> String {
        let said = self.daemons.iter().map(|daemon| format!("--- {}\n{}", daemon.name, daemon.last_words()));
        said.collect::<Vec<_>>().join("\n")
    }
}
