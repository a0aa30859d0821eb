//! The way of a connection's messages changes between two of them: by the switch, with the daemon's sign of life, by an
//! opt-out. Each scene here needs one guard of the BPF object, and fails in an object that lacks it.

use crate::{
    options::opt_out,
    peers::{Backend, Client, Exchange, PATIENCE, Read, Write, idle, send},
    switches::throw,
    world::{self, Fast, Gateway, Way, World, everything_to},
};
use fastrand::Rng;
use harness::wait;
use nix::sys::signal::Signal;
use std::{net::SocketAddr, time::Duration};

/// One caller, whose connections to the gateway and from there to the pod are known to be pairs.
struct Scene<'a> {
    backend: Backend,
    objects: String,
    gateway: Gateway<'a>,
    client: Client,
    random: Rng,
}

impl<'a> Scene<'a> {
    fn set(world: &'a World, fast: Fast) -> Self {
        let address = SocketAddr::new(World::pod(Way::V4), 9000);
        let backend = Backend::start(&world.pods, address, Read::Edge);
        let objects = everything_to(&[("pod".to_owned(), address)]);
        let gateway = Gateway::start(world, fast, &objects);
        let mut random = Rng::with_seed(1);
        let client = Client::connect(&world.caller, World::entrance(Way::V4, false), Read::Edge, &mut random)
            .expect("the gateway");
        let mut scene = Self { backend, objects, gateway, client, random };
        scene.exchange();
        assert!(scene.gateway.counts().redirected > 0, "the kernel was to move the first exchange");
        scene
    }

    /// A small request and its answer.
    fn exchange(&mut self) {
        self.client.exchange(&Exchange::new("pod", 300, 300)).unwrap_or_else(|wrong| panic!("{wrong}"));
    }

    fn send(&mut self, bytes: &[u8]) {
        send(self.client.reader().stream(), Write::Whole, bytes, &mut self.random).expect("the gateway reads");
    }

    /// Messages of the gateway to its caller so far, whichever way they went.
    fn answered(&self) -> u64 {
        let answers = self.gateway.directions()[1];
        answers.redirected + answers.passed
    }
}

#[test]
fn answers_that_went_both_ways_are_read_in_order() {
    world::run("fastpath::answers_that_went_both_ways_are_read_in_order", |world| both_ways(world, Fast::Require));
}

/// An answer lies unread in the caller's TCP queue when the kernel could move the next one past it.
pub(crate) fn both_ways(world: &World, fast: Fast) {
    let mut scene = Scene::set(world, fast);
    let exchange = Exchange::new("pod", 10, 2000);
    let before = scene.gateway.counts();
    for (seed, on) in [(1, false), (2, true)] {
        throw(&scene.gateway, on);
        let answered = scene.answered();
        let request = exchange.request(seed, &mut scene.random);
        scene.send(&request);
        wait::until("the answer", PATIENCE, || (scene.answered() > answered).then_some(()));
    }
    for seed in [1, 2] {
        let answer = scene.client.answer(&exchange, seed);
        answer.unwrap_or_else(|wrong| panic!("an answer was overtaken: {wrong}"));
    }
    scene.backend.assert_content();
    let counts = scene.gateway.counts().since(&before);
    assert!(counts.passed_off > 0 && counts.passed_sticky > 0, "{counts:?}");
}

#[test]
fn bytes_on_their_way_are_not_overtaken() {
    world::run("fastpath::bytes_on_their_way_are_not_overtaken", |world| on_their_way(world, Fast::Require));
}

/// The first half of a request is lost on the network, and sent again a while later; the second half need not use it.
pub(crate) fn on_their_way(world: &World, fast: Fast) {
    let mut scene = Scene::set(world, fast);
    let exchange = Exchange::new("pod", 2000, 10);
    let request = exchange.request(1, &mut scene.random);
    let (first, second) = request.split_at(request.len() / 2);
    let before = scene.gateway.counts();
    let rule = "FORWARD -p tcp -d 10.244.2.2 -j DROP";
    world.router().run(&format!("iptables -A {rule}"));
    throw(&scene.gateway, false);
    scene.send(first);
    throw(&scene.gateway, true);
    scene.send(second);
    world.router().run(&format!("iptables -D {rule}"));
    let answer = scene.client.answer(&exchange, 1);
    answer.unwrap_or_else(|wrong| panic!("bytes on their way were overtaken: {wrong}"));
    scene.backend.assert_content();
    let counts = scene.gateway.counts().since(&before);
    assert!(counts.passed_off > 0 && counts.passed_unread > 0, "{counts:?}");
}

#[test]
fn what_is_sent_to_a_dead_daemon_goes_through_tcp() {
    world::run("fastpath::what_is_sent_to_a_dead_daemon_goes_through_tcp", |world| dead_daemon(world, Fast::Require));
}

/// The daemon shows no sign of life for longer than it may.
pub(crate) fn dead_daemon(world: &World, fast: Fast) {
    let mut scene = Scene::set(world, fast);
    let exchange = Exchange::new("pod", 300, 300);
    let request = exchange.request(1, &mut scene.random);
    let before = scene.gateway.counts();
    scene.gateway.signal(Signal::SIGSTOP);
    idle(Duration::from_millis(3500));
    scene.send(&request);
    let counts = scene.gateway.counts().since(&before);
    scene.gateway.signal(Signal::SIGCONT);
    assert!(counts.passed_stale > 0, "what was sent to a dead daemon did not go through TCP: {counts:?}");
    scene.client.answer(&exchange, 1).unwrap_or_else(|wrong| panic!("{wrong}"));
    // And it is alive again.
    let before = scene.gateway.counts();
    wait::until("the kernel to move bytes again", PATIENCE, || {
        scene.exchange();
        (scene.gateway.counts().redirected > before.redirected).then_some(())
    });
    scene.backend.assert_content();
}

#[test]
fn an_opt_out_reaches_open_connections() {
    world::run("fastpath::an_opt_out_reaches_open_connections", |world| opting_out(world, Fast::Require));
}

/// The caller's pod is annotated while its connection is open, and loses the annotation again.
pub(crate) fn opting_out(world: &World, fast: Fast) {
    let mut scene = Scene::set(world, fast);
    let annotated = scene.objects.clone() + &opt_out("caller", "10.244.1.2");
    scene.gateway.apply(&annotated);
    wait::until("open connections to follow the opt-out", PATIENCE, || {
        scene.exchange();
        (scene.gateway.counts().passed_paused > 0).then_some(())
    });
    let moved = |scene: &Scene<'_>| scene.gateway.directions()[..2].iter().map(|way| way.redirected).sum::<u64>();
    let before = moved(&scene);
    scene.exchange();
    assert_eq!(moved(&scene), before, "the caller's messages went past TCP in spite of its opt-out");
    scene.gateway.apply(&scene.objects);
    wait::until("new connections to follow the opt-in", PATIENCE, || {
        let entrance = World::entrance(Way::V4, true);
        scene.client = Client::connect(&world.caller, entrance, Read::Edge, &mut scene.random).expect("the gateway");
        scene.exchange();
        (moved(&scene) > before).then_some(())
    });
    scene.backend.assert_content();
}
