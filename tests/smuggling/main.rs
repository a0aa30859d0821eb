//! The smuggling garden: requests that are almost right, sent through the gateway to the servers people run. What a server
//! sees is what we have logged, request by request, and nothing else.
//!
//! `NODE_GATEWAY_SEED=N` replays a run, `NODE_GATEWAY_SCALE=full` sends seven times as many.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and what it prints is part of its result"
)]

mod ledger;
mod mutations;
mod origins;

use fastrand::Rng;
use harness::{daemon, daemon::Daemon, netns, objects, privilege, scale, wait};
use origins::{ORIGINS, Programs, Running};
use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

const GATEWAY: (&str, u16) = ("127.0.0.1", objects::PORT);
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a spoilt request waits for more of an answer: it may never be complete. Nothing depends on it.
const MOMENT: Duration = Duration::from_millis(40);

/// Requests to each origin, of which most have others in tow.
fn requests() -> usize {
    scale::of(720, 5000)
}

fn seed() -> u64 {
    let given = env::var("NODE_GATEWAY_SEED").ok();
    given.map_or(1, |seed| seed.parse().expect("NODE_GATEWAY_SEED is a number"))
}

#[test]
fn origins_see_what_was_logged_and_nothing_else() {
    if privilege::granted("smuggling::origins_see_what_was_logged_and_nothing_else") {
        daemon::binary();
        let programs = Programs::find();
        netns::isolated(move || grow(&programs));
    }
}

fn grow(programs: &Programs) {
    let directory = tempfile::tempdir().expect("a directory");
    let origins: Vec<Running> = ORIGINS.iter().map(|origin| origin.start(directory.path(), programs)).collect();
    let mut gateway = start_gateway(directory.path());
    let seed = seed();
    println!("NODE_GATEWAY_SEED={seed}, {} requests to each of {} origins", requests(), origins.len());

    thread::scope(|scope| {
        for (number, origin) in (0..).zip(&ORIGINS) {
            scope.spawn(move || plant(origin.name, &mut Rng::with_seed(seed.wrapping_add(number << 32))));
        }
    });
    gateway.process.assert_running();

    let log = directory.path().join("access.log");
    for origin in &origins {
        let name = origin.origin.name;
        let deadline = Instant::now() + PATIENCE;
        // Both logs are written a moment after what they tell of.
        let differences = wait::until("the logs", PATIENCE * 2, || {
            let differences = ledger::differences(&text(&log), origin);
            let is_over = differences.open.is_none() || differences.wrong.is_some() || Instant::now() > deadline;
            is_over.then_some(differences)
        });
        println!("{name}: {} requests seen", differences.seen);
        let wrong = differences.wrong.or(differences.open);
        assert!(wrong.is_none(), "{name}: {}", wrong.unwrap_or_default());
        assert!(differences.seen > requests(), "{name}: too few to say anything");
    }
}

fn text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn start_gateway(directory: &Path) -> Daemon {
    let rule = |name: &str| {
        format!(
            "  - match: [{{uri: {{prefix: /{name}/}}}}]\n    retries: {{attempts: 0}}\n    route: [{{destination: {{host: {name}}}}}]\n"
        )
    };
    let rules: String = ORIGINS.iter().map(|origin| rule(origin.name)).collect();
    let services: String = ORIGINS.iter().map(|origin| objects::service(origin.name, &[origin.address()])).collect();
    let file = directory.join("objects.yaml");
    fs::write(&file, objects::routes(&rules) + &services).expect("a file");
    let (file, log) = (file.display().to_string(), directory.join("access.log").display().to_string());
    let flags =
        ["-f", &file, "--access-log", &log, "--workers", "1", "--fastpath", "off", "--drain-announce-seconds", "0"];
    let mut daemon = Daemon::start(directory, &flags, &[]);
    daemon.until_ready();
    daemon
}

/// Sends every mutation to `origin`, and after each a request of somebody else's.
fn plant(origin: &str, random: &mut Rng) {
    for number in 0..requests() {
        let mutation = mutations::draw(origin, number, random);
        send(&mutation, MOMENT);
        let innocent = format!("GET /{origin}/innocent-{number} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = send(innocent.as_bytes(), PATIENCE);
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(
            matches!(status, "200" | "404") && answer.matches("HTTP/1.1 ").count() == 1,
            "after {:?} somebody else got {answer:?}",
            String::from_utf8_lossy(&mutation)
        );
    }
}

/// Sends `bytes`, and reads until the end or until nothing has come for `patience`.
fn send(bytes: &[u8], patience: Duration) -> String {
    let mut stream = TcpStream::connect(GATEWAY).expect("the gateway");
    stream.set_read_timeout(Some(patience)).expect("a time limit");
    // The gateway may have answered and closed before it has read everything.
    let _sent = stream.write_all(bytes).is_ok();
    let mut answer = Vec::new();
    // What has come until then is what counts.
    let _ended = stream.read_to_end(&mut answer).is_ok();
    String::from_utf8_lossy(&answer).into_owned()
}
