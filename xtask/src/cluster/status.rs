//! `status`: what is up, and where its parts are.

use super::{instance::Instance, kubectl::Kubectl, state::State};
use crate::{interrupt::Interrupt, output::styled};
use anyhow::ensure;

/// Prints processes, nodes and addresses.
///
/// # Errors
/// When a part of the cluster is not there any more.
pub(crate) fn show(instance: &Instance, state: &State, interrupt: &Interrupt) -> anyhow::Result<()> {
    println!("{} {}", styled("1", "cluster"), instance.name());
    println!("  kubeconfig  {}", instance.kubeconfig().display());
    println!("  logs        {}", instance.logs().display());
    println!("  API server  {}", state.0["control_plane"]["apiserver"].as_str().unwrap_or_default());
    for node in state.nodes() {
        let text = |field: &str| node[field].as_str().unwrap_or_default();
        println!("{} {}", styled("1", "node"), text("name"));
        println!("  address     {}, pods {}", text("address"), text("pods"));
        println!("  enter       nsenter --target {} --mount --cgroup --net", node["process"]);
        println!("  cgroup      {}", text("cgroup"));
        println!("  containerd  {}", text("containerd"));
    }
    if state.has_istio() {
        println!("{}", styled("1", "Istio"));
        for (name, value) in state.0["istio"].as_object().into_iter().flatten() {
            println!("  {name:<11} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    let (running, ended): (Vec<_>, Vec<_>) = state.processes().into_iter().partition(|process| process.is_running);
    println!("{} {} running", styled("1", "processes"), running.len());
    for process in &ended {
        println!("  {} {} has ended", styled("31", "✘"), process.name);
    }
    let nodes = Kubectl::new(state.file("kubectl"), instance).output("get nodes --request-timeout=5s", interrupt)?;
    print!("{nodes}");
    ensure!(ended.is_empty(), "the cluster is not whole: cargo xtask cluster --name {} up", instance.name());
    Ok(())
}
