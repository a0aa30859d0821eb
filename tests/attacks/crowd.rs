//! Clients that keep their connections and do nothing with them.

use crate::target::{PATIENCE, Target};
use harness::{
    http::{backend::Backend, client::get},
    wait,
};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

#[test]
fn connections_that_wait_cost_little() {
    const CLIENTS: usize = 2_000;
    const KIB_EACH: usize = 8;
    let backend = Backend::saying("here");
    let target = Target::start(backend.address());
    let before = target.memory();
    let crowd: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut client = target.connect().expect("a connection");
            client.write_all(get("a", "/").as_bytes()).expect("a request sent");
            let mut answer = [0; 1024];
            let read = client.read(&mut answer).expect("an answer");
            assert!(answer[..read].starts_with(b"HTTP/1.1 200 "));
            client
        })
        .collect();
    wait::until("what their requests needed to be given back", PATIENCE, || {
        (target.memory() < before + CLIENTS * KIB_EACH).then_some(())
    });
    drop(crowd);
}
