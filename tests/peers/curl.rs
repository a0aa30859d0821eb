//! curl, which is started for each transfer.

use crate::{backends::Backend, objects::Door, programs::text, stage::Stage};
use aws_lc_rs::digest::{Context, SHA256, digest};
use std::{fmt::Write as _, fs, process::Command};

/// How many bytes a new socket takes that have not arrived: at least, at first and at most.
///
/// Before 8.2, curl loses its place in an upload by HTTP/2 when its socket takes no more: it breaks off, or sends other bytes
/// and ends well, to any server (curl's issue 10591, repaired with its pull request 11342). So there is room for more than
/// the window of a stream, 256 KiB: then it is the window that says stop, and what comes is held to its sum as everybody's.
const ROOM: &str = "net/ipv4/tcp_wmem";
const PLENTY: &str = "4096 4194304 4194304";

/// Tries each of `whats` with each of `backends`, and says how it went as the other clients do.
pub(crate) fn transfer(stage: &Stage<'_>, door: Door, how: &str, backends: &[Backend], whats: &[String]) -> String {
    if !how.starts_with("--http2") {
        return attempts(stage, door, how, backends, whats);
    }
    let caller = &stage.world.caller;
    let usual = caller.run(&format!("cat /proc/sys/{ROOM}"));
    caller.sysctl(ROOM, PLENTY);
    let said = attempts(stage, door, how, backends, whats);
    caller.sysctl(ROOM, usual.trim());
    said
}

fn attempts(stage: &Stage<'_>, door: Door, how: &str, backends: &[Backend], whats: &[String]) -> String {
    let mut said = String::new();
    for backend in backends {
        for what in whats {
            let result = attempt(stage, door, how, backend, what);
            let result = result.err().unwrap_or_else(|| "ok".to_owned());
            let _ = writeln!(said, "{}\t{what}\t{}", backend.name, result.replace('\n', " "));
        }
    }
    said
}

fn attempt(stage: &Stage<'_>, door: Door, how: &str, backend: &Backend, what: &str) -> Result<(), String> {
    let (verb, size) = what.split_once(' ').expect("a verb and a size");
    let url = format!("{}/{}", door.base(), backend.name);
    let content = stage.content.join(size);
    let mut curl = Command::new("curl");
    curl.args(["-sSf", "--max-time", "60", how]);
    // With `Expect`, curl waits a second for a server that does not know it.
    curl.args(["-H", "Expect:"]);
    if door != Door::Plain {
        curl.arg("--cacert").arg(stage.content.join("authority.pem"));
    }
    if door == Door::MutualTls {
        curl.arg("--cert").arg(stage.content.join("client.pem"));
        curl.arg("--key").arg(stage.content.join("client.key"));
    }
    match verb {
        "get" => curl.arg(format!("{url}/bytes/{size}")),
        "put" => curl.args(["-T", &text(&content), &format!("{url}/sha256")]),
        // curl does not know the length of its standard input.
        _ => curl.args(["-T", "-", &format!("{url}/sha256")]).stdin(fs::File::open(&content).expect("content")),
    };
    let output = stage.world.caller.enter(|| curl.output()).expect("curl");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let body = fs::read(&content).expect("content");
    let want = if verb == "get" { body } else { sum(&body).into_bytes() };
    if output.stdout == want { Ok(()) } else { Err(other(verb, &output.stdout, &fs::read(&content).expect("content"))) }
}

/// What is known of a wrong answer: a body that has been cut has the sum of its beginning.
fn other(verb: &str, got: &[u8], body: &[u8]) -> String {
    if verb == "get" {
        let same = got.iter().zip(body).take_while(|(got, sent)| got == sent).count();
        return format!("{} bytes came, {same} of them right", got.len());
    }
    let mut context = Context::new(&SHA256);
    for (length, byte) in body.iter().enumerate() {
        if hexadecimal(context.clone().finish().as_ref()).as_bytes() == got {
            return format!("only the first {length} bytes have arrived");
        }
        context.update(&[*byte]);
    }
    format!("another sum came back: {}", String::from_utf8_lossy(got))
}

/// The SHA-256, in hexadecimal.
pub(crate) fn sum(bytes: &[u8]) -> String {
    hexadecimal(digest(&SHA256, bytes).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
