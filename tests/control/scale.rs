//! 3,000 VirtualServices, and how long an edit of one takes to answer.

use crate::lab::{self, GATEWAY, Lab, istio, quantile, until_answer};
use harness::traffic::Client;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const ROUTES: usize = 3_000;
const EDITS: usize = 200;
/// From the API server's answer to the edit until the first request answered by it.
const FLOOR_P50: Duration = Duration::from_millis(10);
const FLOOR_P99: Duration = Duration::from_millis(30);

#[test]
fn an_edit_among_three_thousand_is_answered_at_once() {
    lab::run("an_edit_among_three_thousand_is_answered_at_once", || {
        let mut lab = Lab::start();
        lab.apply_article();
        let objects = lab.cluster.objects();
        let begun = Instant::now();
        let routes: Vec<Value> = (0..ROUTES).map(|index| route(index, "created")).collect();
        objects.apply_all(&routes);
        let last = ROUTES - 1;
        until_answer(&host(last), "/", |answer| answer.body == "created");
        println!("scale: {ROUTES} VirtualServices created and served in {:.1} s", begun.elapsed().as_secs_f64());

        let mut client = Client::new(GATEWAY);
        let (mut from_answer, mut from_request) = (Vec::new(), Vec::new());
        for edit in 0..EDITS {
            let index = edit * 7_919 % ROUTES;
            let token = format!("edit-{edit}");
            let requested = Instant::now();
            objects.merge(&istio("VirtualService", &name(index)), &json!({"spec": spec(index, &token)}));
            let answered = Instant::now();
            loop {
                let sent = Instant::now();
                let answer = client.get(&host(index), "/").expect("the gateway answers");
                assert_eq!(answer.status, 200, "{}", answer.body);
                if answer.body == token {
                    from_answer.push(answered.elapsed());
                    from_request.push(requested.elapsed());
                    break;
                }
                assert!(sent - answered < Duration::from_secs(10), "edit {edit} is not served after 10 s");
            }
        }
        from_answer.sort_unstable();
        from_request.sort_unstable();
        let (p50, p99) = (quantile(&from_answer, 0.5), quantile(&from_answer, 0.99));
        println!("scale: edit stored -> first request answered by it: p50 {p50:?}, p99 {p99:?} ({EDITS} edits)");
        println!(
            "scale: edit sent -> first request answered by it: p50 {:?}, p99 {:?}",
            quantile(&from_request, 0.5),
            quantile(&from_request, 0.99)
        );
        println!("scale: resident memory {} KiB", resident_kib(lab.daemon().process.id()));
        assert!(p50 <= FLOOR_P50, "p50 {p50:?} is above {FLOOR_P50:?}");
        assert!(p99 <= FLOOR_P99, "p99 {p99:?} is above {FLOOR_P99:?}");
    });
}

fn name(index: usize) -> String {
    format!("route-{index}")
}

fn host(index: usize) -> String {
    format!("h{index}.example")
}

fn route(index: usize, token: &str) -> Value {
    let mut route = istio("VirtualService", &name(index));
    route["spec"] = spec(index, token);
    route
}

fn spec(index: usize, token: &str) -> Value {
    json!({
        "hosts": [host(index)], "gateways": ["reviews-gateway"],
        "http": [{"directResponse": {"status": 200, "body": {"string": token}}}],
    })
}

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the gateway runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident set");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
