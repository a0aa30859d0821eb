//! The annotation that keeps the short-circuit away from a pod, or from all pods of a namespace, followed while its
//! connections are open.

use crate::lab::{self, Lab};
use harness::{
    cgroup::TestCgroup,
    kubernetes::{Cluster, Schema},
    wait,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

/// A few seconds are what is promised, and printed.
const PATIENCE: Duration = Duration::from_secs(60);
const CALLER: &str = "10.244.2.7";
const ANNOTATION: &str = "node-gateway.io/fastpath";

#[test]
fn an_annotation_takes_open_connections_out_and_lets_them_back() {
    lab::run("an_annotation_takes_open_connections_out_and_lets_them_back", || {
        let group = TestCgroup::enter();
        let mut lab = Lab::without_daemon(Cluster::start());
        lab.cluster.install_istio_crds(Schema::Istios);
        lab.add_reviews();
        add_caller(&lab.cluster);
        let cgroup = group.path().display().to_string();
        let flags =
            ["--fastpath", "require", "--fastpath-cgroup", &cgroup, "--node-name", "node1", "--readiness", "off"];
        lab.start_daemon_as(&lab.cluster.kubeconfig(), &flags);
        lab.daemon().until_ready();
        lab.apply_article();

        let open = Caller::connect();
        until(&mut lab, &open, "the kernel moves requests and answers", |now, before| now.moved >= before.moved + 2);
        for (what, name) in [("pod", "caller"), ("namespace", "default")] {
            annotate(&lab.cluster, what, name, "=off");
            let took = until(&mut lab, &open, "the open connection goes through TCP", |now, before| {
                now.paused > before.paused && now.moved == before.moved
            });
            let before = counts(&mut lab);
            Caller::connect().ask();
            let after = counts(&mut lab);
            assert_eq!(
                (after.refused, after.moved),
                (before.refused + 1, before.moved),
                "a new one of a {what} that opted out"
            );
            println!("{what}: out after {took:?}");

            annotate(&lab.cluster, what, name, "-");
            let took = until(&mut lab, &open, "its requests go past TCP again", |now, before| {
                now.moved > before.moved && now.paused == before.paused
            });
            let new = Caller::connect();
            until(&mut lab, &new, "a new one goes past TCP both ways", |now, before| now.moved >= before.moved + 2);
            println!("{what}: back after {took:?}");
        }
    });
}

/// Sets the annotation to `=value`, or takes it away with `-`.
fn annotate(cluster: &Cluster, what: &str, name: &str, value: &str) {
    cluster.kubectl(&["annotate", what, name, "--overwrite", &format!("{ANNOTATION}{value}")]);
}

fn add_caller(cluster: &Cluster) {
    cluster.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: caller, namespace: default}
spec: {nodeName: node1, containers: [{name: caller, image: caller}]}
",
    );
    let status = format!("{{\"status\": {{\"podIP\": \"{CALLER}\", \"podIPs\": [{{\"ip\": \"{CALLER}\"}}]}}}}");
    cluster.kubectl(&["patch", "pod", "caller", "--subresource=status", "--type=merge", "-p", &status]);
}

/// Of the caller's leg, both ways.
#[derive(Clone, Copy, Debug)]
struct Counts {
    moved: u64,
    paused: u64,
    refused: u64,
}

fn counts(lab: &mut Lab) -> Counts {
    let (_, config) = lab.daemon().admin("/config").expect("the admin page");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    let fastpath = &config["fastpath"];
    let both = |of: fn(&Value) -> &Value| {
        let directions = ["caller_to_gateway", "gateway_to_caller"];
        directions.iter().map(|direction| of(&fastpath["moved"][direction]).as_u64().expect("a number")).sum()
    };
    Counts {
        moved: both(|moved| &moved["redirected"]["messages"]),
        paused: both(|moved| &moved["passed_because"]["paused"]),
        refused: fastpath["refused"]["opt_out"].as_u64().expect("a number"),
    }
}

/// Asks again and again until what one exchange has counted is as `wanted`; returns how long that took.
fn until(lab: &mut Lab, caller: &Caller, what: &str, wanted: impl Fn(Counts, Counts) -> bool) -> Duration {
    let started = Instant::now();
    wait::until(what, PATIENCE, || {
        let before = counts(lab);
        caller.ask();
        wanted(counts(lab), before).then_some(())
    });
    started.elapsed()
}

/// A program in the caller's pod whose sockets never block.
struct Caller(TcpStream);

impl Caller {
    fn connect() -> Self {
        let address = |text: String| text.parse::<SocketAddr>().expect("an address");
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
        socket.bind(&address(format!("{CALLER}:0")).into()).expect("a free port");
        socket.set_nonblocking(true).expect("an option");
        match socket.connect(&address("10.244.9.9:80".to_owned()).into()) {
            Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => panic!("cannot connect: {error}"),
            _ => {}
        }
        Self(socket.into())
    }

    /// One request and its answer, which is whole.
    fn ask(&self) {
        let request = b"GET /reviews/0 HTTP/1.1\r\nhost: reviews\r\n\r\n";
        self.ready(PollFlags::POLLOUT);
        (&self.0).write_all(request).expect("the gateway reads");
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            self.ready(PollFlags::POLLIN);
            let mut piece = [0; 4096];
            match (&self.0).read(&mut piece) {
                Ok(0) => panic!("the connection ended after {:?}", String::from_utf8_lossy(&answer)),
                Ok(bytes) => answer.extend_from_slice(&piece[..bytes]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer));
    }

    fn ready(&self, what: PollFlags) {
        let mut wanted = [PollFd::new(self.0.as_fd(), what)];
        let patience = PollTimeout::try_from(PATIENCE).expect("seconds");
        assert_eq!(poll(&mut wanted, patience).expect("poll"), 1, "nothing came");
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| length.trim().parse() == Ok(body.len()))
}
