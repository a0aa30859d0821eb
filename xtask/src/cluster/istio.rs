//! Istio's own control plane and gateway, for people who want to compare and for the tests that do.
//!
//! The control plane runs beside the API server, as CoreDNS does. The gateway is a stock Envoy in the network namespace of
//! a real pod, so that Istio, Kubernetes's services and other pods take it for what it is.

mod gateway;

use super::{
    daemon::{self, Daemon, Place, Program},
    instance::Node,
    state::State,
    up::Rising,
};
use crate::{
    command::{command, output},
    interrupt::Interrupt,
    programs,
};
use anyhow::Context;
use serde_json::json;
use std::{fs, path::PathBuf};

/// Where everything of it is.
pub(crate) const NAMESPACE: &str = "istio-system";

/// What it consists of.
#[derive(Debug)]
pub(crate) struct Programs {
    pilot: PathBuf,
    istioctl: PathBuf,
    envoy: PathBuf,
}

impl Programs {
    /// Builds and fetches what is missing.
    pub(crate) fn ready(interrupt: &Interrupt) -> anyhow::Result<Self> {
        let istio = programs::istio(interrupt)?;
        Ok(Self {
            pilot: istio.join("pilot-discovery"),
            istioctl: istio.join("istioctl"),
            envoy: programs::envoy(interrupt)?,
        })
    }
}

const XDS_PORT: u16 = 15010;
/// Readiness, and the admission webhook at `/validate`.
const HTTP_PORT: u16 = 15080;
/// Metrics and debugging.
const MONITORING_PORT: u16 = 15014;

/// Starts both in the cluster that `rising` describes and adds them to `state`.
pub(crate) fn start(rising: &mut Rising<'_>, programs: &Programs, state: &mut State) -> anyhow::Result<String> {
    rising.kubectl.apply(&gateway::manifest(), rising.interrupt)?;
    start_control_plane(rising, programs)?;
    let pod = gateway::pod(rising)?;
    let address = rising.plan.network.control();
    let ready = format!("http://{address}:{HTTP_PORT}/ready");
    rising.wait_until("Istio's control plane", |rising| Ok(answers(&ready, rising.interrupt)?.then_some(())))?;
    gateway::start(rising, programs, &pod, &format!("{address}:{XDS_PORT}"))?;
    let ready = format!("http://{}:{}/ready", pod.address, gateway::ADMIN_PORT);
    rising.wait_until("Istio's gateway", |rising| Ok(answers(&ready, rising.interrupt)?.then_some(())))?;
    state.0["istio"] = json!({
        "namespace": NAMESPACE,
        "istiod": format!("http://{address}:{HTTP_PORT}"),
        "xds": format!("{address}:{XDS_PORT}"),
        "monitoring": format!("http://{address}:{MONITORING_PORT}"),
        "istioctl": programs.istioctl,
        "envoy": pod.address,
        "envoy_admin": format!("http://{}:{}", pod.address, gateway::ADMIN_PORT),
        "envoy_pod": gateway::POD,
        "envoy_node": gateway::NODE.name(),
    });
    let started = || rising.daemons.iter().filter(|daemon| ["istiod", "envoy"].contains(&&*daemon.name));
    state.0["istio"]["istiod_pid"] = json!(started().next().map(Daemon::id));
    state.0["istio"]["envoy_pid"] = json!(gateway::process(rising)?);
    state.record(started());
    Ok(format!("its gateway is {} behind {}.{NAMESPACE}", pod.address, gateway::NAME))
}

fn start_control_plane(rising: &mut Rising<'_>, programs: &Programs) -> anyhow::Result<()> {
    let plan = &rising.plan;
    let mesh = plan.instance.path("mesh.yaml");
    // With automatic mTLS a stock Envoy waits for certificates for ever and never asks for listeners.
    fs::write(&mesh, "enablePrometheusMerge: false\nenableAutoMtls: false\n")
        .context("write the mesh's configuration")?;
    let arguments = [
        "discovery".to_owned(),
        format!("--kubeconfig={}", plan.instance.kubeconfig().display()),
        format!("--meshConfig={}", mesh.display()),
        "--networksConfig=/dev/null".to_owned(),
        format!("--grpcAddr=0.0.0.0:{XDS_PORT}"),
        "--secureGRPCAddr=".to_owned(),
        format!("--httpAddr=0.0.0.0:{HTTP_PORT}"),
        "--httpsAddr=".to_owned(),
        format!("--monitoringAddr=0.0.0.0:{MONITORING_PORT}"),
        "--ctrlz_port=0".to_owned(),
    ];
    // No certificates, no injection; filters of Istio's own Envoy build are left out, which no answer depends on.
    let environment = [
        ("POD_NAMESPACE", NAMESPACE),
        ("POD_NAME", "istiod-0"),
        ("ENABLE_CA_SERVER", "false"),
        ("PILOT_CERT_PROVIDER", "none"),
        ("INJECTION_WEBHOOK_CONFIG_NAME", ""),
        ("VALIDATION_WEBHOOK_CONFIG_NAME", ""),
        ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
        ("PILOT_ENABLE_ALPN_FILTER", "false"),
        // Secrets go only to gateways that have said who they are.
        ("XDS_AUTH_PLAINTEXT", "true"),
    ];
    let program = Program {
        name: "istiod",
        path: &programs.pilot,
        arguments: arguments.to_vec(),
        environment: environment.map(|(name, value)| (name, value.to_owned())).to_vec(),
    };
    rising.daemons.push(daemon::start(&plan.instance, &Place::control(&plan.instance)?, program)?);
    Ok(())
}

/// Whether a GET of `url` is answered with a good status.
fn answers(url: &str, interrupt: &Interrupt) -> anyhow::Result<bool> {
    let mut curl = command("curl", ["--silent", "--fail", "--max-time", "2", "--noproxy", "*", url]);
    let answer = output(&mut curl, interrupt);
    interrupt.check()?;
    Ok(answer.is_ok())
}
