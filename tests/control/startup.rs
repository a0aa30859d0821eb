//! What the gateway needs is not there yet.

use crate::lab::{self, Lab, split, until_answer};
use harness::{
    kubernetes::{Cluster, Schema},
    wait,
};
use std::time::{Duration, Instant};

#[test]
fn crds_installed_later_are_picked_up() {
    lab::run("crds_installed_later_are_picked_up", || {
        let mut lab = Lab::without_daemon(Cluster::start());
        lab.add_reviews();
        lab.start_daemon();
        wait::until("the gateway to miss the CRDs", lab::PATIENCE, || {
            let daemon = lab.daemon();
            daemon.process.assert_running();
            daemon.process.output().contains("install Istio's CRDs").then_some(())
        });
        assert!(!lab.daemon().is_ready(), "nothing is known of routes yet");
        assert_eq!(lab.daemon().admin("/livez").map(|(status, _)| status), Some(200));

        lab.cluster.install_istio_crds(Schema::Istios);
        let installed = Instant::now();
        lab.daemon().until_ready();
        println!("startup: ready {:?} after the CRDs were installed", installed.elapsed());
        lab.apply_article();
        let sent = split("reviews", "/reviews/0", 200);
        assert_eq!(sent.values().sum::<usize>(), sent["v1"] + sent["v2"], "{sent:?}");
    });
}

#[test]
fn the_gateway_may_start_before_the_api_server() {
    lab::run("the_gateway_may_start_before_the_api_server", || {
        let mut lab = Lab::without_daemon(Cluster::start_stopped());
        lab.start_daemon();
        wait::until("the gateway to miss the API server", lab::PATIENCE, || {
            let daemon = lab.daemon();
            daemon.process.assert_running();
            daemon.process.output().contains("cannot watch").then_some(())
        });
        assert!(!lab.daemon().is_ready());
        assert_eq!(lab.daemon().admin("/livez").map(|(status, _)| status), Some(200), "waiting is no illness");

        lab.cluster.start_apiserver();
        lab.cluster.install_istio_crds(Schema::Istios);
        lab.add_reviews();
        let begun = Instant::now();
        lab.daemon().until_ready();
        println!("startup: ready {:?} after the API server", begun.elapsed());
        lab.apply_article();
        until_answer("reviews", "/reviews/0", |answer| answer.backend == "v2");
    });
}

#[test]
fn sigterm_ends_it_in_order() {
    lab::run("sigterm_ends_it_in_order", || {
        let mut lab = Lab::start();
        lab.apply_article();
        let process = &mut lab.daemon().process;
        process.signal(nix::sys::signal::Signal::SIGTERM);
        let status = process.wait(Duration::from_secs(40));
        assert_eq!(status.code(), Some(0), "{}", process.tail());
    });
}
