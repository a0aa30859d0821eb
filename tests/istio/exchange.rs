//! One request to one gateway, on a connection of its own.

use super::{answer::Answer, request::Request};
use harness::http::message::{self, Framing};
use std::{
    io::{BufReader, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

/// No answer takes longer, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway's pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gateway {
    pub(crate) address: IpAddr,
}

impl Gateway {
    /// Sends `request`; what goes wrong on the way is an answer too.
    pub(crate) fn ask(self, request: &Request) -> Answer {
        if let Some(stream) = request.stream {
            return stream.ask(SocketAddr::new(self.address, request.port), request);
        }
        if request.tls {
            return self.ask_over_tls(request);
        }
        self.try_ask(request).unwrap_or_else(|why| Answer::None(why.to_owned()))
    }

    fn try_ask(self, request: &Request) -> Result<Answer, &'static str> {
        let address = SocketAddr::new(self.address, request.port);
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).or(Err("connection refused"))?;
        let patient = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_nodelay(true));
        patient.or(Err("connection closed"))?;
        // A gateway may answer before it has read everything, and close.
        let _ = stream.write_all(&request.bytes());
        let framing = if request.method == "HEAD" { Framing::NoBody } else { Framing::Fields };
        match message::read(&mut BufReader::new(stream), framing) {
            Ok(Some(message)) if message.start.starts_with("HTTP/") => Ok(Answer::of(&message)),
            Ok(Some(_)) => Err("something that is no HTTP"),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err("no answer in time"),
            Ok(None) | Err(_) => Err("connection closed"),
        }
    }

    /// curl speaks TLS for us; its answer is the message as it came.
    fn ask_over_tls(self, request: &Request) -> Answer {
        let name = request.authority.split(':').next().unwrap_or_default();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--insecure", "--include", "--http1.1", "--path-as-is", "--max-time", "10"]);
        curl.args(["--request", &request.method, "--connect-to", &format!("::{}:{}", self.address, request.port)]);
        for (name, value) in &request.fields {
            curl.args(["--header", &format!("{name}: {value}")]);
        }
        curl.arg(format!("https://{name}{}", request.target));
        let Ok(output) = curl.output() else { return Answer::None("curl cannot be run".to_owned()) };
        match message::read(&mut output.stdout.as_slice(), Framing::Fields) {
            Ok(Some(message)) => Answer::of(&message),
            Ok(None) | Err(_) => Answer::None("no TLS connection".to_owned()),
        }
    }
}
