//! nghttp, h2load, wrk and openssl's s_client.

use crate::{
    backends::{BACKENDS, Backend, Speaks},
    curl::sum,
    objects::Door,
    outcomes::Outcomes,
    programs::text,
    stage::Stage,
    world::{self, Fast},
};
use std::{
    fmt::Write as _,
    fs::{self, File},
    process::{Command, Stdio},
};

const SIZES: [usize; 2] = [300, 64 << 10];

#[test]
fn tools_get_and_give_every_byte() {
    world::run("peers::tools_get_and_give_every_byte", |world| {
        let stage = Stage::set(world, &BACKENDS, &SIZES);
        let mut outcomes = Outcomes::default();
        {
            let _gateway = stage.gateway(Fast::Off);
            let mut add = |name: &str, whats: &[&str], attempt: &dyn Fn(&Backend, &str) -> Result<(), String>| {
                let mut said = String::new();
                for backend in &BACKENDS {
                    for what in whats {
                        let result = attempt(backend, what).err().unwrap_or_else(|| "ok".to_owned());
                        let _ = writeln!(said, "{}\t{what}\t{}", backend.name, result.replace('\n', " "));
                    }
                }
                outcomes.add(name, &said, &BACKENDS, &whats.iter().map(|&it| it.to_owned()).collect::<Vec<_>>());
            };
            let bodies = ["get 300", "get 65536", "put 300", "put 65536"];
            for door in [Door::Plain, Door::Tls] {
                add(&format!("nghttp {door:?}"), &bodies, &|backend, what| nghttp(&stage, door, backend, what));
            }
            add("h2load", &["2", "1.1", "TLS"], &|backend, what| h2load(&stage, backend, what));
            add("s_client", &["TLSv1.2", "TLSv1.3"], &|backend, what| s_client(&stage, backend, what));
        }
        outcomes.conclude("tools", &BACKENDS);
        let backends: Vec<Backend> = BACKENDS.into_iter().filter(|it| it.speaks == Speaks::Http1).collect();
        let gateway = stage.gateway(Fast::Require);
        for backend in &backends {
            wrk(&stage, backend);
        }
        let counts = gateway.counts();
        assert!(counts.redirected > 0, "the kernel moved nothing: {counts:?}");
    });
}

/// Standard output of `line`, with more arguments, in the callers' namespace.
fn output(stage: &Stage<'_>, line: &str, more: &[&str], input: Stdio) -> Result<Vec<u8>, String> {
    let mut command = Command::new("timeout");
    command.arg("120").args(line.split(' ')).args(more).stdin(input);
    let output = stage.world.caller.enter(|| command.output()).map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(output.stdout) } else { Err(format!("{}: {said}", output.status)) }
}

fn nghttp(stage: &Stage<'_>, door: Door, backend: &Backend, what: &str) -> Result<(), String> {
    let (verb, size) = what.split_once(' ').expect("a verb and a size");
    let url = format!("{}/{}", door.base(), backend.name);
    let content = stage.content.join(size);
    let body = fs::read(&content).expect("content");
    let (got, want) = if verb == "get" {
        (output(stage, "nghttp", &[&format!("{url}/bytes/{size}")], Stdio::null())?, body)
    } else {
        let arguments = ["-H:method: PUT", "-d", &text(&content), &format!("{url}/sha256")];
        (output(stage, "nghttp", &arguments, Stdio::null())?, sum(&body).into_bytes())
    };
    if got == want { Ok(()) } else { Err(format!("{} other bytes came back", got.len())) }
}

fn h2load(stage: &Stage<'_>, backend: &Backend, what: &str) -> Result<(), String> {
    let door = if what == "TLS" { Door::Tls } else { Door::Plain };
    let url = format!("{}/{}/bytes/300", door.base(), backend.name);
    let line = if what == "1.1" { "h2load --h1 -n 200 -c 4" } else { "h2load -n 200 -c 2 -m 16" };
    let said = output(stage, line, &[&url], Stdio::null())?;
    let said = String::from_utf8_lossy(&said);
    let good = said.contains("200 succeeded, 0 failed, 0 errored, 0 timeout") && said.contains("status codes: 200 2xx");
    if good { Ok(()) } else { Err(said.into_owned()) }
}

fn s_client(stage: &Stage<'_>, backend: &Backend, what: &str) -> Result<(), String> {
    let version = if what == "TLSv1.2" { "-tls1_2" } else { "-tls1_3" };
    let address = Door::Tls.base();
    let address = address.trim_start_matches("https://");
    let request = stage.directory.path().join("request");
    let head = format!("GET /{}/bytes/65536 HTTP/1.0\r\nhost: a\r\n\r\n", backend.name);
    fs::write(&request, head).expect("a file");
    let authority = text(&stage.content.join("authority.pem"));
    let arguments = ["-CAfile", &authority, "-servername", "a.peers.test", version, "-connect", address];
    let line = "openssl s_client -quiet -ign_eof -verify_return_error -verify_hostname a.peers.test -alpn http/1.1";
    let said = output(stage, line, &arguments, File::open(&request).expect("a file").into())?;
    let body = fs::read(stage.content.join("65536")).expect("content");
    let head = said.strip_suffix(&body[..]).ok_or_else(|| format!("other bytes at the end of {}", said.len()))?;
    let head = String::from_utf8_lossy(head);
    if head.starts_with("HTTP/1.0 200") && head.ends_with("\r\n\r\n") { Ok(()) } else { Err(head.into_owned()) }
}

/// Nothing is lost under load.
fn wrk(stage: &Stage<'_>, backend: &Backend) {
    let url = format!("{}/{}/bytes/300", Door::Plain.base(), backend.name);
    let said = output(stage, "wrk -t1 -c8 -d1 --timeout 60", &[&url], Stdio::null());
    let said = said.unwrap_or_else(|error| panic!("wrk × {}: {error}", backend.name));
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "wrk × {}: {said}", backend.name);
}
