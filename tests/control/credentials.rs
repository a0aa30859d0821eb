//! Credentials that cannot be used, or no longer.

use crate::lab::{self, GATEWAY, Lab};
use harness::{
    kubernetes::{Cluster, GATEWAY_TOKEN, SERVER, Schema},
    traffic::Load,
    wait,
};
use std::{fs, time::Duration};

/// A cluster with everything but a gateway.
fn lab_without_daemon() -> Lab {
    let lab = Lab::without_daemon(Cluster::start());
    lab.cluster.install_istio_crds(Schema::Istios);
    lab.add_reviews();
    lab
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_named_and_read_again() {
    lab::run("a_kubeconfig_that_cannot_be_used_is_named_and_read_again", || {
        let mut lab = lab_without_daemon();
        let path = lab.cluster.directory().join("gateway.kubeconfig");
        let name = path.display().to_string();

        // Not there yet.
        lab.start_daemon_with(&path, &[]);
        lab.until_not_ready_because(&[&name, "cannot be used: failed to read kubeconfig", "No such file", "mend it"]);
        // Not a kubeconfig.
        fs::write(&path, "clusters: [").expect("write");
        lab.until_not_ready_because(&[&name, "cannot be used: failed to parse kubeconfig"]);
        // Leads nowhere.
        lab.cluster.write_kubeconfig("gateway.kubeconfig", "https://127.0.0.1:1", GATEWAY_TOKEN);
        lab.until_not_ready_because(&["cannot reach the API server https://127.0.0.1:1/", &name, "refused"]);
        // Names nobody the server knows.
        lab.cluster.write_kubeconfig("gateway.kubeconfig", SERVER, "wrong");
        lab.until_not_ready_because(&["does not accept the token or certificate", &name, "Unauthorized", "renew it"]);
        // Each of it has been said once, for all kinds.
        for words in ["failed to read kubeconfig", "failed to parse", "https://127.0.0.1:1/", "does not accept"] {
            assert_eq!(lab.lines_with(words), 1, "{words}: {}", lab.daemon().process.output());
        }

        lab.cluster.write_kubeconfig("gateway.kubeconfig", SERVER, GATEWAY_TOKEN);
        lab.daemon().until_ready();
        lab.apply_article();
    });
}

#[test]
fn a_token_that_expires_is_read_again_and_fails_no_request() {
    lab::run("a_token_that_expires_is_read_again_and_fails_no_request", || {
        let mut lab = lab_without_daemon();
        let kubeconfig = lab.cluster.write_kubeconfig("gateway.kubeconfig", SERVER, GATEWAY_TOKEN);
        lab.start_daemon_with(&kubeconfig, &[]);
        lab.daemon().until_ready();
        lab.apply_article();
        let load = Load::start(GATEWAY, "reviews", "/reviews/0", 2, Duration::from_millis(5));

        lab.cluster.kill_apiserver();
        lab.cluster.know_gateway_as("another-token");
        lab.cluster.start_apiserver();
        wait::until("the old token to be refused", lab::PATIENCE, || {
            (lab.lines_with("does not accept the token") > 0).then_some(())
        });
        assert!(lab.daemon().is_ready(), "what is known stays in force");
        lab.cluster.write_kubeconfig("gateway.kubeconfig", SERVER, "another-token");
        wait::until("the new token to be used", lab::PATIENCE * 2, || {
            (lab.lines_with("answers again") > 0).then_some(())
        });
        lab.cluster.objects().delete(&lab::istio("VirtualService", "reviews"));
        lab::until_answer("reviews", "/reviews/0", |answer| answer.status == 404);
        let sent = load.stop();
        let answered =
            |status| move |sent: &&harness::traffic::Sent| matches!(&sent.outcome, Ok((s, _)) if *s == status);
        let (served, gone) = (sent.iter().filter(answered(200)).count(), sent.iter().filter(answered(404)).count());
        assert_eq!(served + gone, sent.len(), "only the deletion changes an answer");
        // Whether the load itself saw the deletion before it was stopped is a matter of milliseconds.
        assert!(served > 100, "{served} and {gone}");
    });
}
