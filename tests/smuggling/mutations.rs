//! Requests that are almost right: a well-formed one, and one to three changes that some server has once been fooled by.

use fastrand::Rng;

/// A request on its way to be spoilt.
struct Draft {
    method: String,
    target: String,
    version: String,
    /// Lines without their ends.
    fields: Vec<String>,
    body: String,
    /// What stands behind it on the connection.
    next: String,
}

type Change = fn(&mut Draft, &mut Rng);

/// Number `number` for `origin`, as bytes.
pub(crate) fn draw(origin: &str, number: usize, random: &mut Rng) -> Vec<u8> {
    let mut draft = Draft::well(origin, number, random);
    for _ in 0..random.usize(1..=3) {
        pick(&CHANGES, random)(&mut draft, random);
    }
    let mut bytes = draft.bytes(random);
    for _ in 0..random.usize(0..=2) / 2 {
        noise(&mut bytes, random);
    }
    bytes
}

fn pick<T: Copy>(all: &[T], random: &mut Rng) -> T {
    all[random.usize(0..all.len())]
}

impl Draft {
    fn well(origin: &str, number: usize, random: &mut Rng) -> Self {
        let smuggled = format!("GET /{origin}/smuggled-{number} HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\n\r\n");
        let mut fields = vec!["host: a".to_owned(), "x-a: 1".to_owned()];
        let (method, body) = match random.u8(0..4) {
            0 => ("GET", String::new()),
            1 => {
                fields.push(format!("content-length: {}", smuggled.len()));
                ("POST", smuggled.clone())
            }
            2 => {
                fields.push("transfer-encoding: chunked".to_owned());
                ("POST", format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()))
            }
            // Ends where it seems to end, for one that believes in chunks as for one that believes in the length.
            _ => {
                fields.push("content-length: 5".to_owned());
                ("POST", "0\r\n\r\n".to_owned())
            }
        };
        let next = if random.bool() { smuggled } else { String::new() };
        Self {
            method: method.to_owned(),
            target: format!("/{origin}/n{number}"),
            version: "HTTP/1.1".to_owned(),
            fields,
            body,
            next,
        }
    }

    fn bytes(&self, random: &mut Rng) -> Vec<u8> {
        // A character is a byte of Latin-1.
        let latin = |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect::<Vec<_>>();
        let mut text = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for field in &self.fields {
            text.push_str(field);
            text.push_str(if random.u8(0..40) == 0 { pick(&["\n", "\r", "\r\r\n", "\n\r"], random) } else { "\r\n" });
        }
        text.push_str("\r\n");
        latin(&(text + &self.body + &self.next))
    }

    /// The place of a line that begins with `name`, or a random one.
    fn line(&mut self, name: &str, random: &mut Rng) -> &mut String {
        let named = self.fields.iter().position(|field| field.starts_with(name));
        let index = named.unwrap_or_else(|| random.usize(0..self.fields.len()));
        &mut self.fields[index]
    }

    fn insert(&mut self, line: String, random: &mut Rng) {
        let at = random.usize(0..=self.fields.len());
        self.fields.insert(at, line);
    }
}

const CHANGES: [Change; 17] = [
    // Another length.
    |draft, random| {
        let lengths = [
            "0",
            "1",
            "5",
            "44",
            "+5",
            "-1",
            "0x5",
            "5 5",
            "5, 5",
            "5,6",
            "5;",
            "05",
            "5.0",
            "",
            " ",
            "\t5",
            "5\u{b}",
            "5\0",
            "99999999999999999999",
            "18446744073709551616",
            "1e1",
            "\u{b2}",
        ];
        let line = format!("content-length: {}", pick(&lengths, random));
        draft.insert(line, random);
    },
    // Another coding.
    |draft, random| {
        let codings = [
            "chunked",
            "CHUNKED",
            " chunked",
            "\tchunked",
            "chunked ",
            "xchunked",
            "chunkedx",
            "chunked, identity",
            "identity, chunked",
            "identity",
            "gzip, chunked",
            "chunked, chunked",
            "chunked\u{b}",
            "\u{b}chunked",
            "\"chunked\"",
            "chunked;q=1",
            ",chunked",
            "chunked,",
            "chunked\0",
            "\u{ff}chunked",
            "'chunked'",
            "",
            "ch\r\n unked",
            "\r\n chunked",
            "chunk\u{212a}ed",
            "cow",
        ];
        let line = format!("transfer-encoding: {}", pick(&codings, random));
        draft.insert(line, random);
    },
    // The name of it in disguise.
    |draft, random| {
        let names = [
            "Transfer-Encoding ",
            "transfer-encoding\t",
            "transfer_encoding",
            "\0transfer-encoding",
            " transfer-encoding",
            "\ttransfer-encoding",
            "x: y\ntransfer-encoding",
            "x: y\rtransfer-encoding",
            "transfer-encoding\u{b}",
            "transfer-\u{e9}ncoding",
            "transfer-encoding\r",
            "x: y\u{85}transfer-encoding",
            "TRANSFER-ENCODING",
        ];
        let line = format!("{}: chunked", pick(&names, random));
        draft.insert(line, random);
    },
    |draft, random| {
        let names = [
            "Content-Length ",
            "content-length\t",
            "content_length",
            "\0content-length",
            " content-length",
            "x: y\ncontent-length",
            "x: y\rcontent-length",
            "content-length\u{b}",
            "content-length\r",
            "Content-length",
        ];
        let line = format!("{}: {}", pick(&names, random), random.u8(0..60));
        draft.insert(line, random);
    },
    // A folded line.
    |draft, random| {
        let fold = pick(&["\r\n ", "\r\n\t", "\n ", "\r ", "\r\n \r\n ", " \r\n "], random);
        let name = pick(&["content-length", "transfer-encoding", "host", "x-a"], random);
        let line = draft.line(name, random);
        let at = line.find(':').map_or(0, |colon| colon + 1);
        line.insert_str(at, fold);
    },
    // Whitespace before the colon.
    |draft, random| {
        let name = pick(&["content-length", "transfer-encoding", "host", "x-a"], random);
        let line = draft.line(name, random);
        *line = line.replacen(':', pick(&[" :", "\t:", "\0:", "\u{a0}:", "::"], random), 1);
    },
    // A control character somewhere in a line.
    |draft, random| {
        let line = draft.line("", random);
        let at = random.usize(0..=line.len());
        let at = (0..=at).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.insert(at, pick(&['\0', '\r', '\n', '\u{b}', '\u{c}', '\u{1}', '\u{7f}', '\u{85}', '\u{ff}'], random));
    },
    // Another version.
    |draft, random| {
        let versions =
            ["HTTP/1.0", "HTTP/1.2", "HTTP/0.9", "HTTP/2.0", "HTTP/1.01", "HTTP/1.1 ", "http/1.1", "HTTP/1.1\0", ""];
        draft.version = pick(&versions, random).to_owned();
    },
    // A whole URL, and perhaps another host.
    |draft, random| {
        let prefix = pick(
            &[
                "http://a",
                "http://b",
                "http://a:80",
                "https://c",
                "HTTP://a",
                "//a",
                "http://a@b",
                "ws://a",
                "http:/",
                "http://",
            ],
            random,
        );
        draft.target = format!("{prefix}{}", draft.target);
    },
    // Two hosts, or none.
    |draft, random| match random.u8(0..3) {
        0 => draft.fields.retain(|field| !field.starts_with("host")),
        1 => draft.insert("host: b".to_owned(), random),
        _ => {
            *draft.line("host", random) =
                pick(&["host: a b", "host: a/b", "host: a\tb", "Host : a", "host: @"], random).to_owned()
        }
    },
    // Chunks with something behind their sizes.
    |draft, random| {
        let behind = [
            "\n",
            "\r",
            " ",
            "\t",
            ";",
            ";a",
            ";a=\"\r\n\"",
            ";\n",
            ";a\n",
            ";a\r",
            ";\0",
            " ;",
            "\0",
            "_",
            ",1",
            "\u{b}",
            ";a=b;c",
        ];
        draft.body = draft.body.replacen("\r\n", &format!("{}\r\n", pick(&behind, random)), 1);
    },
    // Sizes that are none.
    |draft, random| {
        let sizes =
            ["0x", "+", "-", " ", "00000000000000000", "\t", "f", "ffffffffffffffff", "1", "\n", "\r\n", "g", "_"];
        draft.body.insert_str(0, pick(&sizes, random));
    },
    // Ends of chunks and of bodies.
    |draft, random| {
        let end = pick(
            &["\n\n", "\r\r", "\n0\r\n\r\n", "\r\n0\n\n", "\r\n0\r\n", "\r\n00\r\n\r\n", "\r\n0\r\n\n", "0\r\n\r\n"],
            random,
        );
        draft.body.truncate(draft.body.trim_end_matches("\r\n0\r\n\r\n").len());
        draft.body.push_str(end);
    },
    // Trailers that frame.
    |draft, random| {
        let trailers = [
            "content-length: 50",
            "transfer-encoding: chunked",
            "host: b",
            "x : 1",
            "x",
            " x: 1",
            "x: \0",
            "GET / HTTP/1.1",
        ];
        if let Some(head) = draft.body.strip_suffix("\r\n\r\n") {
            draft.body = format!("{head}\r\n{}\r\n\r\n", pick(&trailers, random));
        }
    },
    // Fields that connection takes out.
    |draft, random| {
        let named = [
            "content-length",
            "transfer-encoding",
            "host",
            "x-request-id",
            "x-forwarded-for",
            "close, te",
            "upgrade",
            "keep-alive",
            "\"host\"",
        ];
        let line = format!("connection: {}", pick(&named, random));
        draft.insert(line, random);
        if random.bool() {
            draft.insert("upgrade: websocket".to_owned(), random);
        }
    },
    // Methods.
    |draft, random| {
        let methods = [
            "HEAD",
            "OPTIONS",
            "TRACE",
            "PUT",
            "get",
            "G\u{c9}T",
            "GET\t",
            "GE\0T",
            "POST\u{b}",
            "BREW",
            "CONNECT",
            "GET /x HTTP/1.1\r\nPOST",
            "PRI",
            "",
        ];
        draft.method = pick(&methods, random).to_owned();
    },
    // Something before it, something it waits for.
    |draft, random| match random.u8(0..3) {
        0 => draft.method.insert_str(0, pick(&["\r\n", "\n", "\r\n\r\n", " ", "\0", "x\r\n", "\r"], random)),
        1 => draft
            .insert(pick(&["expect: 100-continue", "expect: 100-Continue", "expect: x"], random).to_owned(), random),
        _ => draft.target.push_str(pick(
            &["#x", "?x=\"", "%00", "\0", "\t", " ", "/../..", "\\..\\", "%0d%0aX:1", "\u{e9}", "?a b", ";x=/.."],
            random,
        )),
    },
];

/// One byte changed, left out or put in.
fn noise(bytes: &mut Vec<u8>, random: &mut Rng) {
    let at = random.usize(0..bytes.len());
    match random.u8(0..3) {
        0 => bytes[at] = random.u8(..),
        1 => drop(bytes.remove(at)),
        _ => bytes.insert(at, random.u8(..)),
    }
}
