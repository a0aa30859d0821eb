//! temporary
use crate::{
    peers::*,
    world::{self, *},
};
use fastrand::Rng;
#[test]
fn focus() {
    world::run("focus", |world| {
        let backends = Backends::start(world);
        let gateway = Gateway::start(world, Fast::Require, &everything_to(&backends.services()));
        for round in 0..300u64 {
            let mut random = Rng::with_seed(round);
            let before = gateway.directions();
            let how = READS[random.usize(..READS.len())];
            let back = READS[random.usize(..READS.len())];
            let up = if random.bool() { 1 << 20 } else { 300 };
            let exchange = Exchange {
                write: WRITES[random.usize(..WRITES.len())],
                answer: WRITES[random.usize(..WRITES.len())],
                chunked_up: random.bool(),
                chunked_down: random.bool(),
                ..Exchange::new(&Backends::service(Way::V4, back), up, (1 << 20) + 300 - up)
            };
            let mut client = Client::connect(&world.caller, World::entrance(Way::V4, false), how, &mut random).unwrap();
            let r = client.exchange(&exchange);
            let after = gateway.directions();
            let d: Vec<_> = after.iter().zip(&before).map(|(a, b)| a.since(b)).collect();
            if r.is_err() || d[1].passed > 0 || d[2].passed > 0 {
                println!(
                    "{round} caller {how:?} pod {back:?} up {up} write {:?} answer {:?} chunked {} {}: {:?}",
                    exchange.write,
                    exchange.answer,
                    exchange.chunked_up,
                    exchange.chunked_down,
                    r.err().map(|e| e
                        .to_string()
                        .chars()
                        .rev()
                        .take(80)
                        .collect::<String>()
                        .chars()
                        .rev()
                        .collect::<String>())
                );
                for (n, d) in d.iter().enumerate() {
                    println!(
                        "   {n}: redirected {} ({}) passed {} unread {} over {}",
                        d.redirected, d.bytes, d.passed, d.passed_unread, d.passed_over_budget
                    );
                }
            }
        }
    });
}
