//! The access log, in Istio's default text format (`EnvoyTextLogFormat` in
//! istio/pilot/pkg/model/telemetry_logging.go), written by a thread of its own.

use super::{AccessLogTarget, requests::Measured};
use crate::message::{
    forwarded::{X_FORWARDED_FOR, X_REQUEST_ID},
    http_version,
};
use http::{HeaderMap, Method, Version};
use prometheus_client::metrics::counter::Counter;
use std::{
    fmt::{self, Write as _},
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    net::SocketAddr,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, SyncSender},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Lines that may wait for the disk; beyond, lines are dropped and counted rather than requests held up.
const QUEUE: usize = 16 * 1024;

/// How long a line may stay in the buffer.
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// What a line says beyond the figures. Fields are as the client sent them, before the gateway changed anything.
#[derive(Debug)]
pub struct RequestFacts {
    began: SystemTime,
    method: Method,
    target: String,
    version: Version,
    authority: Option<String>,
    user_agent: Option<String>,
    local: SocketAddr,
    remote: SocketAddr,
    /// Of the TLS handshake.
    pub(crate) server_name: Option<Arc<str>>,
    /// As sent upstream.
    forwarded_for: Option<String>,
    request_id: Option<String>,
    pub(crate) upstream_host: Option<SocketAddr>,
    pub(crate) upstream_service_time: Option<u64>,
    pub(crate) route_name: Arc<str>,
}

/// The way to the writing thread. The thread ends when this is dropped, after it has written everything.
#[derive(Debug)]
pub(super) struct AccessLog {
    lines: Option<SyncSender<String>>,
    lost: Counter,
    writer: Option<thread::JoinHandle<()>>,
}

/// Something that prints as itself, or as `-` when it is not there.
pub(super) struct OrDash<T>(pub(super) Option<T>);

/// A time as Envoy's `%START_TIME%`: UTC, milliseconds.
pub(crate) struct Utc(pub(crate) SystemTime);

impl RequestFacts {
    pub(crate) fn new(
        method: Method,
        target: String,
        version: Version,
        authority: Option<String>,
        user_agent: Option<String>,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Self {
        Self {
            began: SystemTime::now(),
            method,
            target,
            version,
            authority,
            user_agent,
            local,
            remote,
            server_name: None,
            forwarded_for: None,
            request_id: None,
            upstream_host: None,
            upstream_service_time: None,
            route_name: Arc::from(""),
        }
    }

    /// Takes from `headers` what the gateway has set itself, and who the client is.
    pub(crate) fn forwarded(&mut self, headers: &HeaderMap, remote: SocketAddr) {
        self.remote = remote;
        let text = |name| Some(String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned());
        self.forwarded_for = text(X_FORWARDED_FOR);
        self.request_id = text(X_REQUEST_ID);
    }

    /// One line, with its line feed.
    pub(super) fn line(&self, measured: &Measured, details: &str, cluster: Option<&str>) -> String {
        let mut line = String::with_capacity(384);
        let route_name = (!self.route_name.is_empty()).then_some(&*self.route_name);
        // Writing into a String does not fail.
        let _written = writeln!(
            line,
            "[{}] \"{} {} {}\" {} {} {details} - \"-\" {} {} {} {} \"{}\" \"{}\" \"{}\" \"{}\" \"{}\" {} - {} {} {} {}",
            Utc(self.began),
            self.method,
            self.target,
            http_version::name(self.version),
            measured.status,
            measured.flags,
            measured.request_bytes,
            measured.response_bytes,
            measured.duration.as_millis(),
            OrDash(self.upstream_service_time),
            OrDash(self.forwarded_for.as_deref()),
            OrDash(self.user_agent.as_deref()),
            OrDash(self.request_id.as_deref()),
            OrDash(self.authority.as_deref()),
            OrDash(self.upstream_host),
            OrDash(cluster),
            self.local,
            self.remote,
            OrDash(self.server_name.as_deref()),
            OrDash(route_name),
        )
        .is_ok();
        line
    }
}

impl AccessLog {
    /// `None` when the log is off.
    pub(super) fn open(target: &AccessLogTarget) -> io::Result<Option<Self>> {
        let output: Box<dyn Write + Send> = match target {
            AccessLogTarget::Off => return Ok(None),
            AccessLogTarget::Stdout => Box::new(io::stdout()),
            AccessLogTarget::File(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        };
        let (lines, queue) = mpsc::sync_channel(QUEUE);
        let writer = thread::Builder::new().name("access-log".to_owned()).spawn(move || write_all(output, &queue))?;
        Ok(Some(Self { lines: Some(lines), lost: Counter::default(), writer: Some(writer) }))
    }

    /// Lines dropped so far.
    pub(super) fn lost(&self) -> &Counter {
        &self.lost
    }

    pub(super) fn write(&self, line: String) {
        if self.lines.as_ref().is_none_or(|lines| lines.try_send(line).is_err()) {
            self.lost.inc();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the access log's thread had panicked");
        }
    }
}

/// Writes until nobody can send any more.
fn write_all(output: Box<dyn Write + Send>, queue: &mpsc::Receiver<String>) {
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    let mut failing = false;
    loop {
        let result = match queue.recv_timeout(FLUSH_AFTER) {
            Ok(line) => output.write_all(line.as_bytes()),
            Err(RecvTimeoutError::Timeout) => output.flush(),
            Err(RecvTimeoutError::Disconnected) => {
                if let Err(error) = output.flush() {
                    tracing::error!(%error, "cannot write the end of the access log");
                }
                return;
            }
        };
        match result {
            Err(error) if !failing => {
                failing = true;
                tracing::error!(%error, "cannot write the access log");
            }
            Ok(()) => failing = false,
            Err(_) => {}
        }
    }
}

impl<T: fmt::Display> fmt::Display for OrDash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (year, month, day) = civil(days);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            second / 3600,
            second / 60 % 60,
            second % 60,
            since.subsec_millis()
        )
    }
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`, for days from 1970 on).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + later, month, day)
}

#[cfg(test)]
mod tests;
