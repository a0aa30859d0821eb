//! More connections than there are file descriptors.

use crate::{
    target::{PATIENCE, Target},
    victim::Victim,
};
use harness::{
    http::{
        backend::Backend,
        client::{Client, get},
    },
    wait,
};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::mpsc,
    time::{Duration, Instant},
};

const DESCRIPTORS: usize = 128;
const ATTACKERS: usize = 400;

/// From the end of the attack until the next client is welcome, on a machine that has more to do.
const RECOVERY: Duration = Duration::from_secs(5);

/// Who is new is turned away; who is being served, the endpoints and the admin pages notice nothing, nothing spins, and
/// everybody is welcome again once there is room.
#[test]
fn a_tenth_of_the_descriptors_is_kept_for_those_who_are_here() {
    let backend = Backend::saying("here");
    let limit = format!("--nofile={DESCRIPTORS}:{DESCRIPTORS}");
    let mut target = Target::within(backend.address(), &["prlimit", &limit, "--"]);
    // A connection for every request of the victim, so that the reserve is needed.
    let mut victim = Victim::start_anew("connection flood", &target);

    let attackers: Vec<TcpStream> = (0..ATTACKERS).filter_map(|_| target.connect().ok()).collect();
    let turned_away = || {
        let metrics = Client::connect(target.admin()).exchange(get("localhost", "/metrics")).text().to_owned();
        let line = metrics.lines().find_map(|line| line.strip_prefix("gateway_connections_turned_away_total "));
        line.expect("the counter").parse::<usize>().expect("a number")
    };
    let wanted = attackers.len().saturating_sub(DESCRIPTORS);
    wait::until("clients to be turned away", PATIENCE, || (turned_away() >= wanted).then_some(()));

    victim.the_attack_stands();
    let (began, before) = (Instant::now(), target.processor_time());
    let (_sender, pause) = mpsc::channel::<()>();
    while began.elapsed() < Duration::from_secs(1) {
        // It is refused, or reset once it stands; what is there to be seen is that nothing turns.
        let _refused = TcpStream::connect(target.address).is_err();
        let _waited = pause.recv_timeout(Duration::from_millis(50));
    }
    let busy = target.processor_time().saturating_sub(before);
    println!("full for {:?}: {busy:?} of processor time", began.elapsed());
    assert!(busy < began.elapsed() / 4, "something turns: {busy:?} of {:?}", began.elapsed());
    // Who was turned away comes again, as fast as that goes.
    victim.beside(|| drop(target.connect()));

    drop(attackers);
    let began = Instant::now();
    wait::until("room for a new client", RECOVERY, || {
        let mut client = target.connect().ok()?;
        client.write_all(get("a", "/").as_bytes()).ok()?;
        let mut first = [0; 12];
        client.read_exact(&mut first).ok()?;
        (&first == b"HTTP/1.1 200").then_some(())
    });
    println!("room again after {:?}", began.elapsed());
    target.process.assert_running();
    victim.stop();
}
