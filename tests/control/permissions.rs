//! What the gateway may not read.

use crate::lab::{self, GATEWAY, Lab, istio, split, until_answer, weights};
use harness::{
    kubernetes::{Cluster, GATEWAY_TOKEN, SERVER, Schema},
    traffic::Load,
    wait,
};
use std::time::Duration;

pub(crate) const RBAC: &[&str] = &["--authorization-mode=RBAC"];

/// A ClusterRole for user `gateway`: get, list and watch of these.
pub(crate) fn allow(istio: &str) -> String {
    allow_kinds(istio, CORE)
}

const CORE: &str = "services, pods, nodes";
/// What a gateway of before localities was allowed.
const ALL_BUT_NODES: &str = "services, pods";

fn allow_kinds(istio: &str, core: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: gateway}}
rules:
- {{apiGroups: [networking.istio.io], resources: [{istio}], verbs: [get, list, watch]}}
- {{apiGroups: [''], resources: [{core}], verbs: [get, list, watch]}}
- {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: gateway}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: gateway}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: gateway}}]
"
    )
}

pub(crate) const ALL: &str = "gateways, virtualservices, destinationrules, serviceentries, workloadentries";
const ALL_BUT_RULES: &str = "gateways, virtualservices, serviceentries, workloadentries";

fn lab_with_rbac(role: &str) -> Lab {
    let mut lab = Lab::without_daemon(Cluster::start_stopped());
    lab.cluster.start_apiserver_with(RBAC);
    lab.cluster.install_istio_crds(Schema::Istios);
    lab.add_reviews();
    lab.cluster.apply(role);
    let kubeconfig = lab.cluster.write_kubeconfig("gateway.kubeconfig", SERVER, GATEWAY_TOKEN);
    lab.start_daemon_with(&kubeconfig, &[]);
    lab
}

#[test]
fn a_kind_that_may_not_be_read_is_named_and_followed_once_it_may() {
    lab::run("a_kind_that_may_not_be_read_is_named_and_followed_once_it_may", || {
        let mut lab = lab_with_rbac(&allow(ALL_BUT_RULES));
        let remedy = "allow get, list and watch of destinationrules.networking.istio.io";
        lab.until_not_ready_because(&["first list of DestinationRule (", "User \"gateway\" cannot", remedy]);
        wait::until("the gateway to be refused again and again", lab::PATIENCE, || {
            let (_, config) = lab.daemon().admin("/config")?;
            config.contains(remedy).then_some(())
        });
        assert_eq!(lab.lines_with(remedy), 1, "{}", lab.daemon().process.output());

        lab.cluster.apply(&allow(ALL));
        lab.daemon().until_ready();
        lab.apply_article();
        let sent = split("reviews", "/reviews/0", 100);
        assert_eq!(sent["v1"] + sent["v2"], 100, "{sent:?}");
    });
}

#[test]
fn a_permission_that_is_taken_away_takes_no_route_with_it() {
    lab::run("a_permission_that_is_taken_away_takes_no_route_with_it", || {
        let mut lab = lab_with_rbac(&allow(ALL));
        lab.daemon().until_ready();
        lab.apply_article();
        let load = Load::start(GATEWAY, "reviews", "/reviews/0", 2, Duration::from_millis(5));

        lab.cluster.apply(&allow(ALL_BUT_RULES));
        // A watch that stands goes on: whether it may is asked when it begins.
        lab.cluster.kill_apiserver();
        lab.cluster.start_apiserver_with(RBAC);
        let remedy = "allow get, list and watch of destinationrules.networking.istio.io";
        wait::until("the gateway to be refused", lab::PATIENCE * 2, || (lab.lines_with(remedy) == 1).then_some(()));
        assert!(lab.daemon().is_ready(), "what is known stays in force");
        let objects = lab.cluster.objects();
        objects.merge(&istio("VirtualService", "reviews"), &weights(0, 100));
        let mut in_a_row = 0;
        // The subsets of the rule that may no longer be read are still there, beside a new VirtualService.
        until_answer("reviews", "/reviews/0", |answer| answer.backend == "v2");
        while in_a_row < 20 {
            in_a_row += 1;
            assert_eq!(split("reviews", "/reviews/0", 1).get("v3"), None);
        }
        let sent = load.stop();
        let failed: Vec<_> = sent.iter().filter(|sent| !sent.succeeded()).collect();
        assert!(failed.is_empty(), "{} of {} failed, first {:?}", failed.len(), sent.len(), failed[0]);
    });
}

/// A new image under the ClusterRole of before: where endpoints are makes answers better, and is worth no node's gateway.
#[test]
fn a_gateway_that_may_not_read_nodes_serves_and_says_so() {
    lab::run("a_gateway_that_may_not_read_nodes_serves_and_says_so", || {
        let remedy = "allow get, list and watch of nodes";
        let unknown = "it is not known in which zone an endpoint is";
        let mut lab = lab_with_rbac(&allow_kinds(ALL, ALL_BUT_NODES));
        lab.daemon().until_ready();
        lab.apply_article();
        let sent = split("reviews", "/reviews/0", 50);
        assert_eq!(sent["v1"] + sent["v2"], 50, "{sent:?}");
        assert_eq!(lab.lines_with(remedy), 1, "{}", lab.daemon().process.output());
        assert_eq!(lab.lines_with(unknown), 1, "{}", lab.daemon().process.output());
        assert!(config(&mut lab).contains(unknown), "{}", config(&mut lab));

        lab.cluster.apply(&allow(ALL));
        wait::until("Nodes to be followed", lab::PATIENCE * 2, || {
            let config = config(&mut lab);
            (!config.contains(remedy) && !config.contains(unknown)).then_some(())
        });

        lab.cluster.apply(&allow_kinds(ALL, ALL_BUT_NODES));
        lab.cluster.kill_apiserver();
        lab.cluster.start_apiserver_with(RBAC);
        wait::until("the gateway to be refused", lab::PATIENCE * 2, || config(&mut lab).contains(remedy).then_some(()));
        assert!(!config(&mut lab).contains(unknown), "the Nodes it has seen stay known");
        assert!(lab.daemon().is_ready());
        lab.cluster.objects().merge(&istio("VirtualService", "reviews"), &weights(0, 100));
        // One answer of v2 says nothing: it has half of them before the edit too.
        wait::until("the edit to be served", lab::PATIENCE, || {
            (split("reviews", "/reviews/0", 20).get("v2") == Some(&20)).then_some(())
        });
    });
}

fn config(lab: &mut Lab) -> String {
    lab.daemon().admin("/config").map(|(_, text)| text).unwrap_or_default()
}
