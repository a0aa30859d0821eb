//! Callers from outside the cluster.

use harness::{cluster::World, traffic};

/// deploy/components/nodeport.
pub(crate) const NODE_PORT: u16 = 30080;

#[test]
fn a_node_port_leads_to_the_same_routes() {
    let world = World::with_article("e2e-outside");
    for node in &world.nodes {
        let address = format!("{}:{NODE_PORT}", world.cluster.node_address(node));
        let bodies: Vec<String> = (0..60)
            .map(|_| {
                let answer = traffic::get_once(&address, "reviews.example.com", "/reviews/0").expect("an answer");
                assert_eq!(answer.status, 200, "{address}: {}", answer.body);
                answer.body
            })
            .collect();
        let versions = World::versions(&bodies.join("\n"));
        println!("{address}: {versions:?}");
        assert!(versions["v1"] > 0 && versions["v2"] > 0 && versions["v3"] == 0, "{address}: {versions:?}");
        let unknown = traffic::get_once(&address, "reviews.example.com", "/ratings/0").expect("an answer");
        assert_eq!(unknown.status, 404, "no route");
    }
}
