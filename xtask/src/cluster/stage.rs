//! The cluster of a test run: brought up for it with everything in it that the tests expect, and taken down after it.

use super::{down, instance::Instance, kubectl::Kubectl, load_images, raise, running, state, turn::Turn};
use crate::{
    image::{self, Profile},
    install,
    interrupt::Interrupt,
    output::step,
    programs, workspace,
};
use anyhow::{Context, ensure};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Not the developer's own, which may be up at the same time.
const NAME: &str = "test";
/// What happens on one node must not happen on another.
const NODES: u8 = 2;

/// Read by tests/harness/cluster.rs.
const KUBECONFIG: &str = "NODE_GATEWAY_KUBECONFIG";
const STATE: &str = "NODE_GATEWAY_CLUSTER_STATE";
const HELM: &str = "NODE_GATEWAY_HELM";

/// A cluster for tests. Dropped, ours goes.
#[derive(Debug)]
pub(crate) struct Stage {
    environment: Vec<(&'static str, OsString)>,
    _ours: Option<Ours>,
}

/// The cluster that goes when this does.
#[derive(Debug)]
struct Ours {
    instance: Instance,
    _turn: Turn,
}

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Istio {
    Beside,
    Absent,
}

impl Stage {
    /// Our own cluster, with the images of the tests' pods in its nodes. With Istio beside it, our gateway is installed
    /// from deploy/overlays/local as well, so that there are two to compare. `profile` is that of the gateway.
    pub(crate) fn set(istio: Istio, profile: Profile, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let instance = Instance::named(NAME)?;
        let helm = programs::helm(interrupt)?;
        let gateway = image::gateway(profile, image::GATEWAY, &image::archive_path("node-gateway"), interrupt)?;
        let mut images: Vec<PathBuf> = vec![gateway.path];
        images.extend(image::test_images(Profile::Quick, interrupt)?.into_iter().map(|archive| archive.path));
        // Test runs of several checkouts take turns: they all call their cluster the same.
        let turn = Turn::wait_for(&format!("{}-tests", instance.prefix()), interrupt)?;
        // From here on `drop` takes it down.
        let ours = Ours { instance: instance.clone(), _turn: turn };
        let environment = vec![
            (KUBECONFIG, instance.kubeconfig().into()),
            (STATE, state::path(&instance).into()),
            (HELM, helm.into()),
            ("KUBECACHEDIR", instance.path("kubectl-cache").into()),
        ];
        let stage = Self { environment, _ours: Some(ours) };
        // What a run that was killed has left would not be what this one expects.
        down::take_down(&instance)?;
        raise(&instance, NODES, istio == Istio::Beside, interrupt)?;
        let state = running(&instance)?;
        load_images(&state, &images, interrupt)?;
        if istio == Istio::Beside {
            let kubectl = Kubectl::new(state.file("kubectl"), &instance);
            step("our gateway", |_| install_gateway(&kubectl, interrupt))?;
        }
        Ok(stage)
    }

    /// A cluster that somebody has. It is left as it is, but for what the tests themselves do.
    pub(crate) fn borrowed(kubeconfig: &Path, interrupt: &Interrupt) -> anyhow::Result<Self> {
        ensure!(kubeconfig.is_file(), "{} is no file: name the kubeconfig of a cluster", kubeconfig.display());
        let kubeconfig = kubeconfig.canonicalize().with_context(|| format!("find {}", kubeconfig.display()))?;
        // Whoever has a cluster may well have Helm, and no Go to build one with.
        let helm = install::find("helm").map_or_else(|| programs::helm(interrupt), Ok)?;
        Ok(Self { environment: vec![(KUBECONFIG, kubeconfig.into()), (HELM, helm.into())], _ours: None })
    }

    /// What the tests' environment needs.
    pub(crate) fn environment(&self) -> &[(&'static str, OsString)] {
        &self.environment
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        if let Err(error) = down::take_down(&self.instance) {
            eprintln!("error: cluster {} is not gone: {error:#}", self.instance.name());
        }
    }
}

fn install_gateway(kubectl: &Kubectl, interrupt: &Interrupt) -> anyhow::Result<String> {
    let overlay = workspace::root().join("deploy/overlays/local");
    kubectl.output(&format!("apply -k {}", overlay.display()), interrupt)?;
    let daemon_set = "daemonset/istio-ingressgateway --namespace istio-system";
    kubectl.output(&format!("rollout status {daemon_set} --timeout=180s"), interrupt)?;
    Ok("installed from deploy/overlays/local".to_owned())
}
