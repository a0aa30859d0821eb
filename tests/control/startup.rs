//! What the gateway needs is not there yet.

use crate::lab::{self, Lab, split, until_answer};
use harness::{
    daemon::Daemon,
    kubernetes::{Cluster, Schema},
    wait,
};
use nix::sys::signal::Signal;
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
            daemon.process.output().contains("cannot reach the API server").then_some(())
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
        process.signal(Signal::SIGTERM);
        let status = process.wait(Duration::from_secs(40));
        assert_eq!(status.code(), Some(0), "{}", process.tail());
    });
}

/// The one test here without a cluster: what ends the gateway is the same for every source.
#[test]
fn a_second_sigterm_ends_it_at_once() {
    lab::run("a_second_sigterm_ends_it_at_once", || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let objects = directory.path().display().to_string();
        let flags = ["-f", &objects, "--fastpath", "off", "--workers", "1", "--drain-announce-seconds", "600"];
        let mut daemon = Daemon::start(directory.path(), &flags, &[]);
        daemon.until_ready();
        daemon.process.signal(Signal::SIGTERM);
        wait::until("readiness to end", lab::PATIENCE, || (!daemon.is_ready()).then_some(()));
        daemon.process.assert_running();
        daemon.process.signal(Signal::SIGTERM);
        let status = daemon.process.wait(Duration::from_secs(5));
        assert_eq!(status.code(), Some(1), "cut short is not drained: {}", daemon.process.tail());
    });
}

/// Wrong settings end it before anything is bound, with the nearest name.
#[test]
fn wrong_settings_are_refused_with_a_hint() {
    lab::run("wrong_settings_are_refused_with_a_hint", || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let objects = directory.path().display().to_string();
        let flags = ["-f", &*objects];
        for (environment, hint) in [
            (vec![("GATEWAY_WORKER", "2".to_owned())], "did you mean GATEWAY_WORKERS?"),
            (vec![("GATEWAY_FASTPATH", "maybe".to_owned())], "auto, off or require"),
        ] {
            let mut daemon = Daemon::start(directory.path(), &flags, &environment);
            let status = daemon.process.wait(Duration::from_secs(5));
            assert_eq!(status.code(), Some(2), "{}", daemon.process.tail());
            assert!(daemon.process.output().contains(hint), "{hint} is not in {}", daemon.process.output());
        }
    });
}
