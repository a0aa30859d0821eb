//! A gateway that starts while its cluster cannot be followed.

use crate::lab::{self, GATEWAY, Lab, istio, split, until_answer, weights};
use harness::{
    kubernetes::{Cluster, Schema},
    traffic::Load,
    wait,
};
use std::{fs, path::PathBuf, time::Duration};

/// A gateway that has served the article and whose objects are on disk; both it and the API server are gone.
fn after_a_power_cut() -> (Lab, PathBuf) {
    let mut lab = Lab::without_daemon(Cluster::start());
    lab.cluster.install_istio_crds(Schema::Istios);
    lab.add_reviews();
    start_daemon(&mut lab);
    lab.daemon().until_ready();
    lab.apply_article();
    let file = directory(&lab).join("last-good");
    wait::until("the objects to be on disk", lab::PATIENCE * 2, || {
        let text = fs::read_to_string(&file).ok()?;
        (text.contains("DestinationRule") && text.contains("reviews-v3")).then_some(())
    });
    lab.daemon = None;
    lab.cluster.kill_apiserver();
    (lab, file)
}

fn directory(lab: &Lab) -> PathBuf {
    lab.cluster.directory().join("snapshot")
}

fn start_daemon(lab: &mut Lab) {
    let directory = directory(lab).display().to_string();
    lab.start_daemon_with(&lab.cluster.kubeconfig(), &["--snapshot-dir", &directory, "--node-name", "node7"]);
}

impl Lab {
    /// Whether the metrics hold this line.
    fn has_metric(&mut self, line: &str) -> bool {
        self.daemon().admin("/metrics").is_some_and(|(_, text)| text.lines().any(|l| l == line))
    }
}

#[test]
fn what_was_served_is_served_again_without_the_api_server() {
    lab::run("what_was_served_is_served_again_without_the_api_server", || {
        let (mut lab, file) = after_a_power_cut();
        let text = fs::read_to_string(&file).expect("the file");
        assert!(!text.contains("\"kind\":\"Secret\"") && !text.contains("managedFields"), "{text}");

        start_daemon(&mut lab);
        lab.daemon().until_ready();
        let sent = split("reviews", "/reviews/0", 100);
        assert_eq!(sent["v1"] + sent["v2"], 100, "{sent:?}");
        let (_, ready) = lab.daemon().admin("/readyz?verbose").expect("an answer");
        assert!(ready.contains("[+] configuration ok: served from the snapshot on disk, written "), "{ready}");
        let (_, config) = lab.daemon().admin("/config").expect("an answer");
        let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
        let about = &config["gateway"];
        assert!(about["snapshot_age_seconds"].is_u64() && about["restored"].is_string(), "{about:#}");
        assert_eq!(about["node"], "node7", "{about:#}");
        assert!(lab.has_metric("gateway_source_restored{kind=\"VirtualService\"} 1"));
        assert!(lab.has_metric(concat!("gateway_info{version=\"", env!("CARGO_PKG_VERSION"), "\",node=\"node7\"} 1")));
        let off = "gateway_fastpath{mode=\"userspace\",reason=\"switched off by --fastpath off\"} 1";
        assert!(lab.has_metric(off), "{:?}", lab.daemon().admin("/metrics"));
        assert_eq!(lab.lines_with("the cluster cannot be followed: served from the snapshot on disk"), 1);

        // The cluster comes back, and is followed from then on.
        let load = Load::start(GATEWAY, "reviews", "/reviews/0", 2, Duration::from_millis(5));
        lab.cluster.start_apiserver();
        wait::until("nothing of the disk is in force", lab::PATIENCE * 2, || {
            lab.has_metric("gateway_source_restored{kind=\"VirtualService\"} 0").then_some(())
        });
        lab.cluster.objects().merge(&istio("VirtualService", "reviews"), &weights(0, 100));
        wait::until("only v2 answers", lab::PATIENCE * 2, || {
            (split("reviews", "/reviews/0", 20).get("v2") == Some(&20)).then_some(())
        });
        let sent = load.stop();
        let failed: Vec<_> = sent.iter().filter(|sent| !sent.succeeded()).collect();
        assert!(failed.is_empty(), "{} of {} failed, first {:?}", failed.len(), sent.len(), failed[0]);
        wait::until("the edit to be on disk", lab::PATIENCE * 2, || {
            fs::read_to_string(&file).ok()?.contains("\"weight\":100").then_some(())
        });
    });
}

#[test]
fn a_damaged_snapshot_is_refused_and_replaced() {
    lab::run("a_damaged_snapshot_is_refused_and_replaced", || {
        let (mut lab, file) = after_a_power_cut();
        let whole = fs::read(&file).expect("the file");
        fs::write(&file, &whole[..whole.len() / 2]).expect("write");
        start_daemon(&mut lab);
        wait::until("the gateway to refuse it", lab::PATIENCE * 2, || {
            (lab.lines_with("its checksum is wrong") == 1).then_some(())
        });
        lab.until_not_ready_because(&["waiting for the first list of", "cannot reach the API server"]);
        let (_, config) = lab.daemon().admin("/config").expect("an answer");
        assert!(config.contains("its checksum is wrong"), "{config}");

        lab.cluster.start_apiserver();
        lab.daemon().until_ready();
        until_answer("reviews", "/reviews/0", |answer| answer.status == 200);
        wait::until("the file to be whole again", lab::PATIENCE * 2, || {
            let text = fs::read_to_string(&file).ok()?;
            (text.len() > whole.len() / 2 && text.contains("reviews-v3")).then_some(())
        });
        wait::until("the problem to be over", lab::PATIENCE * 2, || {
            let (_, config) = lab.daemon().admin("/config")?;
            (!config.contains("its checksum is wrong")).then_some(())
        });
    });
}
