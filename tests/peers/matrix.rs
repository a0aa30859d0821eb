//! Bodies of every size, there and back.

use crate::{
    backends::{BACKENDS, Backend, Speaks, named},
    clients::{self, Client},
    outcomes::Outcomes,
    stage::Stage,
    world::{self, Fast},
};
use harness::scale;

/// What every pair of a client and a backend is given, besides `sizes`. At full size hundreds of gigabytes pass.
fn with_large(sizes: &[usize]) -> Vec<usize> {
    let large: &[usize] = if scale::is_full() { &[LARGE, HUGE] } else { &[LARGE] };
    [sizes, large].concat()
}

const SIZES: [usize; 4] = [1, 300, 64 << 10, 1 << 20];
const LARGE: usize = 10_000_000;
const HUGE: usize = 100_000_000;

/// What `client` is given of `sizes`. A slow one has the largest from a few backends only, below.
fn sizes_for(client: &Client, sizes: &[usize]) -> Vec<usize> {
    sizes.iter().copied().filter(|size| *size < HUGE || !client.is_slow()).collect()
}

#[test]
fn every_client_gets_and_gives_every_byte() {
    world::run("peers::every_client_gets_and_gives_every_byte", |world| {
        let sizes = with_large(&SIZES);
        let stage = Stage::set(world, &BACKENDS, &sizes);
        let _gateway = stage.gateway(Fast::Off);
        let mut outcomes = Outcomes::default();
        for client in clients::HTTP1.iter().chain(&clients::HTTP2) {
            client.transfer(&stage, &BACKENDS, &sizes_for(client, &sizes), &mut outcomes);
        }
        outcomes.conclude("without TLS, in userspace", &BACKENDS);
    });
}

#[test]
fn every_client_gets_and_gives_every_byte_through_the_kernel() {
    world::run("peers::every_client_gets_and_gives_every_byte_through_the_kernel", |world| {
        let sizes = with_large(&SIZES);
        let backends: Vec<Backend> = BACKENDS.into_iter().filter(|it| it.speaks == Speaks::Http1).collect();
        let stage = Stage::set(world, &backends, &sizes);
        let gateway = stage.gateway(Fast::Require);
        let mut outcomes = Outcomes::default();
        for client in clients::HTTP1 {
            let before = gateway.counts();
            client.transfer(&stage, &backends, &sizes, &mut outcomes);
            let counts = gateway.counts().since(&before);
            assert!(counts.redirected > 0, "{}: the kernel moved nothing: {counts:?}", client.name);
        }
        outcomes.conclude("without TLS, through the kernel", &backends);
    });
}

#[test]
fn every_client_gets_and_gives_every_byte_by_tls() {
    world::run("peers::every_client_gets_and_gives_every_byte_by_tls", |world| {
        let sizes = if scale::is_full() { with_large(&[1, 64 << 10]) } else { vec![1, 64 << 10, 1 << 20] };
        let stage = Stage::set(world, &BACKENDS, &sizes);
        let _gateway = stage.gateway(Fast::Off);
        let mut outcomes = Outcomes::default();
        for client in clients::TLS {
            client.transfer(&stage, &BACKENDS, &sizes_for(&client, &sizes), &mut outcomes);
        }
        outcomes.conclude("with TLS", &BACKENDS);
    });
}

/// The largest bodies, for a few pairs.
#[test]
fn large_bodies_are_whole() {
    world::run("peers::large_bodies_are_whole", |world| {
        let (backends, sizes) = (named(&["nginx", "go2"]), [HUGE]);
        let stage = Stage::set(world, &backends, &sizes);
        for fast in world::MODES {
            let _gateway = stage.gateway(fast);
            let mut outcomes = Outcomes::default();
            clients::GO_HTTP1.transfer(&stage, &backends, &sizes, &mut outcomes);
            // The kernel has no part in HTTP/2, but other connections of the gateway have it.
            clients::NODE_HTTP2.transfer(&stage, &backends, &sizes, &mut outcomes);
            if scale::is_full() {
                clients::HTTPX_HTTP2.transfer(&stage, &backends, &sizes, &mut outcomes);
            }
            outcomes.conclude(&format!("large bodies, {fast:?}"), &backends);
        }
    });
}
