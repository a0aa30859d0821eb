//! Samples that choose between versions, and the one with a certificate.

use crate::samples::{Sample, count, lines};
use harness::{
    cluster::{World, deploy_file},
    tls::certificates::{Authority, Wish},
};

#[test]
fn the_canary_is_for_those_who_ask_and_one_in_ten() {
    let world = World::with_article("e2e-canary");
    let canary = Sample::apply(&world, "canary");
    for node in &world.nodes {
        for cookie in ["canary=always", "a=1; canary=always; b=2"] {
            let asking = canary.from(node, &format!("--cookie '{cookie}'"), 20);
            assert_eq!(count(&asking, &Some("v3")), 20, "{node}: {cookie}: {asking:?}");
        }
        let others = canary.from(node, "--cookie canary=never", 200);
        let (v1, v3) = (count(&others, &Some("v1")), count(&others, &Some("v3")));
        println!("{node}: {v1} of v1, {v3} of v3");
        // Binomial with mean 20: outside of this once in 10^6 runs.
        assert!(v1 + v3 == 200 && (3..=45).contains(&v3), "{node}: {others:?}");
    }
}

#[test]
fn traffic_shifts_as_the_weights_say() {
    let world = World::with_article("e2e-shifting");
    let shifting = Sample::apply(&world, "traffic-shifting");
    let node = &world.nodes[0];
    let answers = shifting.from(node, "", 200);
    let (v1, v3) = (count(&answers, &Some("v1")), count(&answers, &Some("v3")));
    println!("{v1} of v1, {v3} of v3");
    assert!(v1 + v3 == 200 && (15..=90).contains(&v1), "{answers:?}");

    let patch = r#"[{"op": "replace", "path": "/spec/http/0/route/0/weight", "value": 0},
                    {"op": "replace", "path": "/spec/http/0/route/1/weight", "value": 100}]"#;
    world.kubectl(&["patch", "virtualservice", "traffic-shifting", "--type=json", "--patch", patch]);
    harness::wait::until("everything at v3", super::PATIENCE, || {
        (count(&shifting.from(node, "", 40), &Some("v3")) == 40).then_some(())
    });
}

#[test]
fn header_fields_choose_the_version() {
    let world = World::with_article("e2e-headers");
    let routing = Sample::apply(&world, "header-routing");
    for node in &world.nodes {
        for (fields, expected) in [
            ("--header 'end-user: jason'", "v2"),
            ("--user-agent mobile/1.0", "v3"),
            ("--header 'end-user: jason' --user-agent mobile/1.0", "v2"),
            ("--header 'end-user: Jason'", "v1"),
            ("--user-agent desktop", "v1"),
        ] {
            let answers = routing.from(node, fields, 10);
            assert_eq!(count(&answers, &Some(expected)), 10, "{node}: {fields}: {answers:?}");
        }
    }
}

/// The Secret is where the gateway is, and must go whatever happens.
struct Secret<'w>(&'w World);

impl Drop for Secret<'_> {
    fn drop(&mut self) {
        let delete = ["-n", "istio-system", "delete", "secret", "shop-credential", "--ignore-not-found"];
        if let Err(error) = self.0.cluster.try_kubectl(&delete, None) {
            println!("cannot remove the Secret: {error}");
        }
    }
}

#[test]
fn a_shop_is_served_by_https_alone() {
    let world = World::with_article("e2e-https");
    let authority = Authority::new("shop");
    let pair = authority.sign(&Wish::named(&["shop.example.com"]));
    let secret = Secret(&world);
    world.cluster.apply("istio-system", &pair.secret("shop-credential", &[]));
    let _shop = Sample::of(&world, "https", "shop.example.com");
    for node in &world.nodes {
        // The pod has no file to keep the authority in.
        let curl = format!(
            "curl --silent --max-time 10 --cacert /dev/stdin --write-out '\\n%{{http_code}}' \
             --connect-to ::istio-ingressgateway.istio-system: https://shop.example.com/reviews/0 <<'END' || true\n{}END\n",
            authority.certificate
        );
        let answer = harness::wait::until(&format!("an answer by TLS on {node}"), super::PATIENCE, || {
            let answer = lines(&world.in_caller(node, &curl));
            (answer.last().is_some_and(|status| status == "200")).then_some(answer)
        });
        assert!(super::version(&answer[0]).is_some(), "{node}: {answer:?}");

        let plain = "curl --silent --output /dev/null --write-out '%{http_code} %{redirect_url}' \
                     --header 'Host: shop.example.com' http://istio-ingressgateway.istio-system/reviews/0";
        assert_eq!(world.in_caller(node, plain), "301 https://shop.example.com/reviews/0", "{node}");
    }
    drop(secret);
}

#[test]
fn the_network_policy_is_taken_and_lets_callers_in() {
    let world = World::with_article("e2e-policy");
    let policy = deploy_file("samples/network-policy.yaml");
    world.cluster.try_kubectl(&["apply", "-f", "-"], Some(&policy)).expect("the policy can be applied");
    let answers = world.nodes.iter().map(|node| {
        let curl = format!("curl --silent --max-time 10 {}/reviews/0; echo", harness::cluster::GATEWAY);
        super::version(world.in_caller(node, &curl).trim())
    });
    let answers: Vec<_> = answers.collect();
    world.cluster.try_kubectl(&["delete", "-f", "-"], Some(&policy)).expect("the policy can be removed");
    assert!(answers.iter().all(Option::is_some), "{answers:?}");
}
