//! etcd, the API server, and the controllers.

use super::{
    credentials::{self, TOKENS, kubeconfig},
    daemon::{self, Daemon, Place, Program},
    instance::SERVICES,
    plan::Plan,
};
use std::path::Path;

/// etcd and the API server, which waits for it by itself.
pub(crate) fn start(plan: &Plan) -> anyhow::Result<[Daemon; 2]> {
    let place = Place::control(&plan.instance)?;
    let etcd = vec![
        format!("--data-dir={}", plan.instance.path("etcd").display()),
        "--listen-client-urls=http://127.0.0.1:2379".to_owned(),
        "--advertise-client-urls=http://127.0.0.1:2379".to_owned(),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        // What is lost with the machine's power was a test.
        "--unsafe-no-fsync".to_owned(),
    ];
    let etcd = start_one(plan, &place, "etcd", &plan.programs.etcd, etcd)?;
    let file = |name: &str| plan.instance.path(name).display().to_string();
    let apiserver = vec![
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        "--secure-port=6443".to_owned(),
        format!("--advertise-address={}", plan.network.control()),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--service-account-key-file={}", file("service-accounts.key")),
        format!("--service-account-signing-key-file={}", file("service-accounts.key")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-cluster-ip-range={SERVICES}"),
        format!("--token-auth-file={}", file(TOKENS)),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged".to_owned(),
        // Where the control plane runs, nobody knows the nodes by name, and service addresses lead nowhere.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--enable-aggregator-routing".to_owned(),
        // Debian's etcd cannot tell how far a watch has come, which a list as a stream needs. Left on, it also makes one of
        // every watch that begins anywhere, which is how kwok watches, and then refuses it.
        "--feature-gates=WatchList=false".to_owned(),
    ];
    let apiserver = start_one(plan, &place, "kube-apiserver", &plan.programs.kubernetes("kube-apiserver"), apiserver)?;
    Ok([etcd, apiserver])
}

/// Controllers and scheduler. They give up when the API server does not answer: start them when it does.
pub(crate) fn start_controllers(plan: &Plan) -> anyhow::Result<[Daemon; 2]> {
    let place = Place::control(&plan.instance)?;
    let file = |name: &str| plan.instance.path(name).display().to_string();
    let controllers = vec![
        format!("--kubeconfig={}", credentials::kubeconfig(plan, "controllers").display()),
        format!("--service-account-private-key-file={}", file("service-accounts.key")),
        format!("--root-ca-file={}", file("ca.crt")),
        // The roles that Kubernetes makes are one for each controller.
        "--use-service-account-credentials".to_owned(),
        // Twenty a second, the default, is less than a benchmark of thousands of Services asks for.
        "--kube-api-qps=400".to_owned(),
        "--kube-api-burst=800".to_owned(),
        "--leader-elect=false".to_owned(),
    ];
    let scheduler =
        vec![format!("--kubeconfig={}", kubeconfig(plan, "scheduler").display()), "--leader-elect=false".to_owned()];
    let manager = "kube-controller-manager";
    Ok([
        start_one(plan, &place, manager, &plan.programs.kubernetes(manager), controllers)?,
        start_one(plan, &place, "kube-scheduler", &plan.programs.kubernetes("kube-scheduler"), scheduler)?,
    ])
}

fn start_one(plan: &Plan, place: &Place, name: &str, path: &Path, arguments: Vec<String>) -> anyhow::Result<Daemon> {
    daemon::start(&plan.instance, place, Program { name, path, arguments, environment: Vec::new() })
}
