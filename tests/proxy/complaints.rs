//! Bad input in the log of a real daemon: a line says where, whose it is and why. None holds a secret, and no flood fills it.

use crate::{
    gateway::{own_address, routes, service},
    tls::https,
};
use harness::{
    daemon,
    http::{
        backend::Backend,
        client::{Client, get},
    },
    http2::frames::{self, Frames, PREFACE},
    objects::PORT,
    process::Process,
    tls::{
        certificates::{Authority, Pair, Wish, secret},
        client::Dialect,
    },
    wait,
};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// Plaintext is spoken here, and TLS on [`PORT`].
const PLAIN: u16 = 8081;

/// What clients send where it should not be: it may be in no line.
const CANARY: &str = "canary-0c5f9e";

const CLIENTS: usize = 300;

type Fields = Vec<(&'static str, String)>;

/// The daemon, before a backend that nothing may reach.
struct Lab {
    process: Process,
    address: IpAddr,
    objects: PathBuf,
    authority: Authority,
    keys: Vec<String>,
    _directory: TempDir,
    _backend: Backend,
}

impl Lab {
    /// With a plaintext Gateway `gateway`, and one with TLS for each of `secure`: its name, its mode, and its Secret's fields.
    fn start(secure: impl FnOnce(&Authority) -> Vec<(&'static str, &'static str, Fields)>) -> Self {
        let authority = Authority::new("lab");
        let backend = Backend::saying("hello");
        let directory = tempfile::tempdir().expect("a directory");
        let objects = directory.path().join("objects");
        fs::create_dir(&objects).expect("created");
        let plain = routes("  - route: [{destination: {host: backend}}]");
        let mut all = plain.replace(&format!("number: {PORT}"), &format!("number: {PLAIN}"));
        all += &service("backend", &[backend.address()]);
        let mut keys = Vec::new();
        for (name, mode, fields) in secure(&authority) {
            all += &https(name, &format!("[{name}.test]"), &format!("{{mode: {mode}, credentialName: {name}}}"));
            let fields: Vec<_> = fields.iter().map(|(field, text)| (*field, text.as_str())).collect();
            keys.extend(fields.iter().filter(|(field, _)| *field == "tls.key").map(|(_, key)| (*key).to_owned()));
            fs::write(objects.join(format!("{name}.yaml")), secret(name, &fields)).expect("written");
        }
        fs::write(objects.join("objects.yaml"), all).expect("written");
        let address = own_address();
        let flags = "--workers 1 --fastpath off --admin 127.0.0.1:0 --readiness off --metrics off";
        let mut words = vec!["run".to_owned(), "-f".to_owned(), objects.display().to_string()];
        words.extend(flags.split(' ').map(str::to_owned));
        words.extend(["--listen-address".to_owned(), address.to_string()]);
        let mut process = Process::start("gateway", directory.path(), daemon::binary(), &words, &[]);
        wait::until("the gateway to listen", PATIENCE, || {
            process.assert_running();
            TcpStream::connect((address, PLAIN)).ok()
        });
        Self { process, address, objects, authority, keys, _directory: directory, _backend: backend }
    }

    fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    /// Sends `bytes` to `port`, and reads to the end.
    fn send(&self, port: u16, bytes: &[u8]) {
        let mut stream = TcpStream::connect(self.address(port)).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // It may be closed before all of it was sent; then there is nothing to read either.
        let _sent = stream.write_all(bytes).is_ok();
        let _read = stream.read_to_end(&mut Vec::new()).is_ok();
    }

    fn lines_with(&self, parts: &[&str]) -> usize {
        let output = self.process.output();
        output.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
    }

    /// Waits for a line that has all of `parts`.
    fn until_said(&self, parts: &[&str]) {
        wait::until(&format!("a line with {parts:?}"), PATIENCE, || (self.lines_with(parts) > 0).then_some(()));
    }

    /// No key and nothing of what clients have sent is in the log.
    fn assert_no_secret(&self) {
        let output = self.process.output();
        assert!(!output.contains(CANARY), "{output}");
        for key in &self.keys {
            let line = key.lines().nth(1).expect("a line of base64");
            assert!(!output.contains(line), "a key is in the log");
        }
    }
}

fn pair(pair: &Pair) -> Fields {
    vec![("tls.crt", pair.certificate.clone()), ("tls.key", pair.key.clone())]
}

#[test]
fn what_is_wrong_with_certificates_is_said_with_secret_server_and_reason() {
    let lab = Lab::start(|authority| {
        let sign = |name: &str| authority.sign(&Wish::named(&[name]));
        let (good, other) = (sign("good.test"), sign("other.test"));
        let expired = authority.sign(&Wish { expired: true, ..Wish::named(&["expired.test"]) });
        let with =
            |certificate: &str, key: &str| vec![("tls.crt", certificate.to_owned()), ("tls.key", key.to_owned())];
        vec![
            ("good", "SIMPLE", pair(&good)),
            ("expired", "SIMPLE", pair(&expired)),
            ("broken", "SIMPLE", with("nonsense", &other.key)),
            ("keyless", "SIMPLE", with(&other.certificate, &other.certificate)),
            ("mismatched", "SIMPLE", with(&other.certificate, &good.key)),
            ("oversized", "SIMPLE", with(&good.certificate.repeat(300), &good.key)),
        ]
    });
    for (name, field, reason) in [
        ("broken", "tls.crt", "holds no certificate"),
        ("keyless", "tls.key", "holds no private key"),
        ("mismatched", "tls.key", "is not the key of the certificate"),
        ("oversized", "tls.crt", "more than a handshake can carry"),
    ] {
        let object = format!("Secret istio-system/{name} stringData.{field}: ");
        let server = format!("(spec.servers[0].tls of Gateway default/{name})");
        lab.until_said(&[&object, reason, "every handshake is refused until then", &server]);
    }
    lab.until_said(&["Gateway default/expired spec.servers[0].tls: ", "of Secret expired has expired"]);
    fs::remove_file(lab.objects.join("good.yaml")).expect("removed");
    lab.until_said(&[
        "Gateway default/good spec.servers[0].tls.credentialName: Secret istio-system/good does not exist: create it",
        "the last good certificate stays in force",
    ]);
    assert!(Dialect::asking("good.test").connect(lab.address(PORT)).is_ok());
    lab.assert_no_secret();
}

#[test]
fn what_a_client_does_wrong_is_said_with_port_gateway_and_reason() {
    let lab = Lab::start(|authority| {
        let sign = |name: &str| authority.sign(&Wish::named(&[name]));
        let expired = authority.sign(&Wish { expired: true, ..Wish::named(&["expired.test"]) });
        let mut proving = pair(&sign("proving.test"));
        proving.push(("ca.crt", authority.certificate.clone()));
        vec![
            ("empty", "SIMPLE", vec![("tls.crt", String::new())]),
            ("expired", "SIMPLE", pair(&expired)),
            ("good", "SIMPLE", pair(&sign("good.test"))),
            ("proving", "MUTUAL", proving),
        ]
    });
    let tls = lab.address(PORT);
    let all = "object=\"Gateway default/empty, Gateway default/expired, Gateway default/good and 1 more\"";
    let secure = |parts: &[&str]| lab.until_said(&[&[" WARN ", &format!("port={PORT} ")], parts].concat());
    let plain = |parts: &[&str]| {
        let port = format!("port={PLAIN} ");
        lab.until_said(&[&[" WARN ", &port, "object=\"Gateway default/gateway\""], parts].concat());
    };

    lab.send(PORT, format!("GET /{CANARY} HTTP/1.1\r\nhost: good.test\r\nauthorization: {CANARY}\r\n\r\n").as_bytes());
    secure(&[all, "reason=\"plaintext\"", "the client does not speak TLS"]);
    lab.send(PORT, &[&[0x16, 3, 1, 0, 5][..], b"hello"].concat());
    secure(&[all, "reason=\"protocol\""]);
    assert!(Dialect::asking("nobody.test").connect(tls).is_err());
    secure(&[all, "reason=\"no_server\"", "server_name=\"nobody.test\""]);
    assert!(Dialect::asking("empty.test").connect(tls).is_err());
    secure(&["object=\"Gateway default/empty\"", "reason=\"no_certificate\"", "server_name=\"empty.test\""]);
    let unproven = Dialect::asking("proving.test").connect(tls).and_then(|mut c| c.exchange(get("proving.test", "/")));
    assert!(unproven.is_err());
    secure(&["object=\"Gateway default/proving\"", "reason=\"client_certificate\"", "server_name=\"proving.test\""]);
    refuse(&lab, "expired.test");
    secure(&["object=\"Gateway default/expired\"", "reason=\"refused_by_client\"", "CertificateExpired"]);
    // Who offers no protocol that is spoken is served all the same, as by Envoy: there is nothing to be said.
    let odd = Dialect::asking("good.test").offering(&["odd/1"]).connect(tls);
    assert_eq!(odd.and_then(|mut client| client.exchange(get("good.test", "/"))).expect("an answer").status(), 200);

    assert!(Dialect::asking("good.test").connect(lab.address(PLAIN)).is_err());
    plain(&["reason=\"tls\"", "the client speaks TLS to a port without it"]);
    lab.send(PLAIN, format!("GET /{CANARY} HTTP/1.1\r\nhost: a\r\nbad name: {CANARY}\r\n\r\n").as_bytes());
    plain(&["reason=\"http1\"", "malformed HTTP/1: invalid HTTP header parsed"]);
    lab.send(PLAIN, format!("GET / HTTP/1.1\r\nhost: a\r\nlong: {CANARY}{}", "y".repeat(70_000)).as_bytes());
    plain(&["reason=\"head_too_long\""]);
    // DATA of no stream (RFC 9113 §6.1).
    let mut wrong = Frames::connect(lab.address(PLAIN));
    wrong.send(frames::DATA, 0, 0, CANARY.as_bytes()).expect("a frame");
    plain(&["reason=\"http2\"", "unspecific protocol error"]);
    lab.assert_no_secret();
    assert_eq!(lab.lines_with(&["good.test"]), 0, "whoever was served is not spoken of");
}

/// Before anything, within a head, a preface and a frame, and within a body.
#[test]
fn those_who_only_go_are_not_spoken_of() {
    let lab = Lab::start(|_| Vec::new());
    let beginnings: [&[u8]; 5] = [
        b"",
        b"GET / HTTP/1.1\r\nhost: a\r\n",
        &PREFACE[..9],
        &[PREFACE, &[0, 0, 6, 4]].concat(),
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf",
    ];
    for beginning in beginnings {
        let mut stream = TcpStream::connect(lab.address(PLAIN)).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(beginning).expect("sent");
        stream.shutdown(Shutdown::Write).expect("an end");
        let _read = stream.read_to_end(&mut Vec::new()).is_ok();
    }
    // Served on the same thread, behind all of them.
    assert_eq!(Client::connect(lab.address(PLAIN)).exchange(get("a", "/")).status(), 200);
    assert_eq!(lab.lines_with(&[" WARN "]), 0, "{}", lab.process.output());
}

#[test]
fn a_flood_of_the_same_gives_few_lines() {
    let lab = Lab::start(|authority| vec![("good", "SIMPLE", pair(&authority.sign(&Wish::named(&["good.test"]))))]);
    let began = Instant::now();
    for _ in 0..CLIENTS {
        lab.send(PORT, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        lab.send(PLAIN, b"GET / HTTP/1.1\r\nbad name: x\r\n\r\n");
    }
    lab.until_said(&["reason=\"plaintext\""]);
    lab.until_said(&["reason=\"http1\""]);
    // One each, and one more for every ten seconds, which a machine with much to do may need.
    let most = usize::try_from(began.elapsed().as_secs() / 10).expect("a small number") + 1;
    assert!(most < CLIENTS / 2, "too slow to say anything");
    for reason in ["plaintext", "http1"] {
        let lines = lab.lines_with(&[&format!("reason=\"{reason}\"")]);
        assert!((1..=most).contains(&lines), "{lines} lines of {reason}, at most {most}");
    }
}

/// Makes a handshake for `name` as a client that checks what it is shown.
fn refuse(lab: &Lab, name: &str) {
    let authority = lab.objects.with_file_name("ca.pem");
    fs::write(&authority, &lab.authority.certificate).expect("written");
    let met = Command::new("openssl")
        .args(["s_client", "-connect", &lab.address(PORT).to_string(), "-servername", name])
        .args(["-verify_return_error", "-CAfile", &authority.to_string_lossy()])
        .stdin(Stdio::null())
        .output()
        .expect("openssl is installed");
    assert!(!met.status.success(), "{met:?}");
}
