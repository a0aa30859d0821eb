//! The API server is away.

use harness::{
    cluster::{self, Cluster, Gateway, World},
    traffic, wait,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_gateway_started_without_the_api_server_waits_and_recovers() {
    if !cluster::reaches_nodes("a_gateway_started_without_the_api_server_waits_and_recovers") {
        return;
    }
    let world = World::with_article("e2e-outage");
    let [node, other] = &world.nodes[..2] else { panic!("this needs two nodes: {:?}", world.nodes) };
    let (gateway, neighbour) = (Gateway::fresh(&world.cluster, node), Gateway::of(&world.cluster, other));
    let readiness = |gateway: &Gateway| format!("{}:15021", gateway.address);
    let before = gateway.process().expect("the gateway's process is on this machine");

    let stopped = Stopped::apiserver(&world.cluster);
    gateway.kill();
    // The kubelet starts it again from what it remembers.
    let verbose = wait::until("the next gateway to say why it is not ready", PATIENCE, || {
        gateway.process().filter(|process| *process != before)?;
        traffic::get_once(&readiness(&gateway), "gateway", "/readyz?verbose").ok()
    });
    println!("started without the API server: {}", verbose.body.trim().replace('\n', "; "));
    assert_eq!(verbose.status, 503, "{}", verbose.body);
    assert!(verbose.body.contains("[-] configuration failed"), "{}", verbose.body);
    let alive = traffic::get_once(&readiness(&gateway), "gateway", "/livez").expect("an answer");
    assert_eq!(alive.status, 200, "waiting is no illness");
    let served = traffic::get_once(&format!("{}:8080", neighbour.address), "reviews", "/reviews/0").expect("an answer");
    assert_eq!(served.status, 200, "whoever has a configuration keeps serving it");

    drop(stopped);
    wait::until("the gateway to follow the API server again", PATIENCE, || {
        let answer = traffic::get_once(&readiness(&gateway), "gateway", "/healthz/ready").ok()?;
        (answer.status == 200).then_some(())
    });
    let served = traffic::get_once(&format!("{}:8080", gateway.address), "reviews", "/reviews/0").expect("an answer");
    assert_eq!(served.status, 200, "{}", served.body);
    Gateway::of(&world.cluster, node);
}

/// An API server that hears and says nothing, until dropped.
struct Stopped(Pid);

impl Stopped {
    fn apiserver(cluster: &Cluster) -> Self {
        let processes = cluster.state()["processes"].as_array().expect("the processes of the cluster");
        let apiserver = processes.iter().find(|process| process["name"] == "kube-apiserver").expect("an API server");
        let id = apiserver["pid"].as_i64().and_then(|id| i32::try_from(id).ok()).expect("a process id");
        kill(Pid::from_raw(id), Signal::SIGSTOP).expect("a process of the cluster");
        Self(Pid::from_raw(id))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}
