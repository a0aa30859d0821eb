//! Servers and callers that people run: nginx, HAProxy, Node, Go, Python, Java, curl and wrk.

use crate::{
    peers::{Content, Head, Read, Reader, Write, connect, send},
    scale,
    world::{self, Gateway, MODES, Namespace, Way, World, everything_to},
};
use fastrand::Rng;
use harness::{daemon::workspace, process::Process, servers, wait};
use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Names of the servers, and the ports of their pods.
const SERVERS: [(&str, u16); 6] =
    [("nginx", 9001), ("haproxy", 9002), ("node", 9003), ("go", 9004), ("python", 9005), ("java", 9006)];

fn program(name: &str) -> PathBuf {
    workspace().join("tests/fastpath/programs").join(name)
}

/// A running server in the pods' namespace.
struct Server {
    _process: Process,
}

fn start(world: &World, name: &str, directory: &Path) -> Server {
    let text = |path: &Path| path.display().to_string();
    let port = SERVERS.iter().find(|(server, _)| *server == name).map(|(_, port)| port.to_string()).expect("a server");
    let serve = |file: &str| vec![text(&program(file)), "serve".to_owned(), port.clone()];
    let (executable, arguments) = match name {
        "nginx" => ("nginx".to_owned(), vec!["-c".to_owned(), text(&nginx_config(directory))]),
        "haproxy" => ("haproxy".to_owned(), vec!["-f".to_owned(), text(&program("haproxy.cfg"))]),
        "node" => ("node".to_owned(), serve("echo.js")),
        "go" => (text(&servers::go(&program("echo.go"))), vec!["serve".to_owned(), port.clone()]),
        "python" => ("python3".to_owned(), serve("echo.py")),
        _ => ("java".to_owned(), serve("Echo.java")),
    };
    let mut process = world.pods.enter(|| Process::start(name, directory, Path::new(&executable), &arguments, &[]));
    let address = format!("127.0.0.1:{port}");
    wait::until(&format!("{name} to listen"), Duration::from_secs(60), || {
        process.assert_running();
        world.pods.enter(|| TcpStream::connect(&address)).ok()
    });
    Server { _process: process }
}

fn nginx_config(directory: &Path) -> PathBuf {
    let text = fs::read_to_string(program("nginx.conf")).expect("the configuration");
    let path = directory.join("nginx.conf");
    fs::create_dir(directory.join("files")).expect("a directory");
    fs::write(&path, text.replace("DIRECTORY", &directory.display().to_string())).expect("write the configuration");
    path
}

fn objects() -> String {
    let pod = |(name, port): &(&str, u16)| {
        let address = if *name == "python" { World::blocking_pod(Way::V4) } else { World::pod(Way::V4) };
        ((*name).to_owned(), SocketAddr::new(address, *port))
    };
    everything_to(&SERVERS.iter().map(pod).collect::<Vec<_>>())
}

#[test]
fn servers_people_run_get_and_give_every_byte() {
    world::run("fastpath::servers_people_run_get_and_give_every_byte", |world| {
        let directory = tempfile::tempdir().expect("a directory");
        let servers: Vec<Server> = SERVERS.iter().map(|(name, _)| start(world, name, directory.path())).collect();
        for fast in MODES {
            let gateway = Gateway::start(world, fast, &objects());
            for (name, _) in SERVERS {
                let before = gateway.counts();
                // HAProxy passes on to Python, whose server keeps a thread busy for each connection.
                transfers(world, name);
                let counts = gateway.counts().since(&before);
                println!("{name}, {fast:?}: {counts:?}");
                if fast.is_on() && name != "go" {
                    assert!(counts.redirected > 0, "{name}: the kernel moved nothing: {counts:?}");
                }
            }
        }
        drop(servers);
    });
}

/// Uploads and downloads of every size on one connection.
fn transfers(world: &World, server: &str) {
    let mut random = Rng::with_seed(1);
    let stream = connect(&world.caller, World::entrance(Way::V4, true)).expect("the gateway");
    let mut reader = Reader::new(stream, Read::Edge, 128 << 10).expect("a reader");
    let large = scale::of(10_000_000, 100_000_000);
    for (seed, size) in (0..).zip([1, 300, 16 << 10, 1 << 20, large, 0, 1]) {
        let body = Content::new(seed).bytes(0..size as u64);
        let method = if server == "nginx" { "PUT" } else { "POST" };
        let head = format!("{method} /{server}/x HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
        send(reader.stream(), Write::Whole, &[head.as_bytes(), &body].concat(), &mut random)
            .unwrap_or_else(|error| panic!("{server}, {size} bytes: {error}"));
        let mut answer = Head::read(&mut reader).expect("an answer");
        if server == "nginx" {
            assert!(answer.start.contains(" 201 ") || answer.start.contains(" 204 "), "{answer:?}");
            if answer.start.contains(" 201 ") {
                answer.body(&mut reader, |_, _| {}).expect("the end of the answer");
            }
            send(reader.stream(), Write::Whole, b"GET /nginx/x HTTP/1.1\r\nhost: a\r\n\r\n", &mut random)
                .expect("sent");
            answer = Head::read(&mut reader).expect("an answer");
        }
        assert!(answer.start.contains(" 200 "), "{server}, {size} bytes: {answer:?}");
        let length = answer.body(&mut reader, |at, bytes| {
            Content::new(seed).check(at, bytes).unwrap_or_else(|wrong| panic!("{server}, {size} bytes: {wrong}"));
        });
        assert_eq!(length.expect("the whole body"), size as u64, "{server}");
    }
}

#[test]
fn callers_people_run_get_and_give_every_byte() {
    world::run("fastpath::callers_people_run_get_and_give_every_byte", |world| {
        let directory = tempfile::tempdir().expect("a directory");
        let server = start(world, "node", directory.path());
        for fast in MODES {
            let gateway = Gateway::start(world, fast, &objects());
            for (caller, arguments) in callers(directory.path()) {
                let before = gateway.counts();
                let output = run(&world.caller, &caller, &arguments);
                let counts = gateway.counts().since(&before);
                println!("{caller}, {fast:?}: {counts:?}");
                assert!(!output.contains("Socket errors") && !output.contains("Non-2xx"), "{caller}: {output}");
                assert_eq!(counts.redirected > 0, fast.is_on(), "{caller}: {counts:?}");
            }
            assert!(
                fs::read(directory.path().join("sent")).expect("a file")
                    == fs::read(directory.path().join("back")).expect("a file"),
                "curl got other bytes back"
            );
        }
        drop(server);
    });
}

/// Programs that check what they get, and their arguments.
fn callers(directory: &Path) -> Vec<(String, Vec<String>)> {
    let text = |path: PathBuf| path.display().to_string();
    let url = "http://10.96.0.10/node/x";
    let (sent, back) = (directory.join("sent"), directory.join("back"));
    fs::write(&sent, Content::new(1).bytes(0..3_000_000)).expect("a file");
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut curl = words("-sSf --max-time 60 --data-binary");
    curl.extend([format!("@{}", text(sent)), "-o".to_owned(), text(back), url.to_owned()]);
    vec![
        ("curl".to_owned(), curl),
        ("wrk".to_owned(), words(&format!("-t1 -c16 -d2 {url}"))),
        ("node".to_owned(), vec![text(program("echo.js")), "call".to_owned(), url.to_owned()]),
        (text(servers::go(&program("echo.go"))), words(&format!("call {url}"))),
        (
            "python3".to_owned(),
            vec![
                text(program("echo.py")),
                "call".to_owned(),
                "10.96.0.10".to_owned(),
                "80".to_owned(),
                "/node/x".to_owned(),
            ],
        ),
        ("java".to_owned(), vec![text(program("Echo.java")), "call".to_owned(), url.to_owned()]),
    ]
}

fn run(namespace: &Namespace, caller: &str, arguments: &[String]) -> String {
    let output = namespace.enter(|| Command::new(caller).args(arguments).output());
    let output = output.unwrap_or_else(|error| panic!("{caller}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{caller}: {text}");
    text
}
