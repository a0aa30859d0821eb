//! What a gateway answered and what the pod behind it saw, without what legitimately changes from one time to the next.

use super::tls::Handshake;
use harness::http::message::Message;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Response fields that are not compared, and why:
/// - `date`: the time;
/// - `x-envoy-upstream-service-time`: a duration (its presence is compared);
/// - `x-envoy-expected-rq-timeout-ms` of a retry, at the pod: what is left of a time (its presence is compared);
/// - the value of a cookie that the gateway makes up, which is the hash of its own address (its form is compared);
/// - `content-length` of what a pod answered: it repeats the request, which is compared field by field.
const TIMES: [&str; 1] = ["x-envoy-upstream-service-time"];
const IGNORED: [&str; 1] = ["date"];

/// Request fields whose values are random: only their form is compared.
const RANDOM: [&str; 1] = ["x-request-id"];

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::large_enum_variant, reason = "nearly all are responses")]
pub(crate) enum Answer {
    /// The connection is refused, or ends before an answer.
    None(String),
    /// Nothing was asked but for that.
    Handshake(Handshake),
    Response(Response),
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// By lower-case name, values in order.
    pub(crate) fields: BTreeMap<String, Vec<String>>,
    /// `None` for an answer in the clear.
    pub(crate) handshake: Option<Handshake>,
    /// Of a local reply; a pod's is in `upstream`.
    pub(crate) body: String,
    pub(crate) upstream: Option<Upstream>,
}

/// A request as a pod received it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Upstream {
    pub(crate) pod: String,
    pub(crate) port: u16,
    pub(crate) method: String,
    pub(crate) target: String,
    protocol: String,
    pub(crate) authority: String,
    #[serde(rename = "fields")]
    list: Vec<(String, String)>,
    #[serde(skip)]
    pub(crate) fields: BTreeMap<String, Vec<String>>,
    body: String,
    /// `None` for a pod that is spoken to in the clear.
    #[serde(default)]
    tls: Option<PodTls>,
}

/// What a pod knows of its TLS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct PodTls {
    server_name: Option<String>,
    alpn: Option<String>,
    has_certificate: bool,
}

/// What went wrong with TLS to a pod is said in the words of the library; that there was no TLS, in Envoy's.
fn without_library(body: &str) -> String {
    let says = "transport failure reason: ";
    match body.split_once(says) {
        Some((before, _)) => format!("{before}{says}(the library's)"),
        None => body.to_owned(),
    }
}

/// `name="16 hexadecimal digits"; …` without the digits.
fn hide_made_up_value(cookie: &mut String) {
    let parts = cookie.split_once("=\"").and_then(|(name, rest)| Some((name, rest.split_once('"')?)));
    if let Some((name, (value, attributes))) = parts
        && value.len() == 16
        && value.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        *cookie = format!("{name}=\"(made up)\"{attributes}");
    }
}

impl Answer {
    pub(crate) fn of(message: &Message) -> Self {
        let mut fields = by_name(&message.fields);
        fields.retain(|name, _| !IGNORED.contains(&name.as_str()));
        for name in TIMES {
            if let Some(values) = fields.get_mut(name) {
                values.fill("(a time)".to_owned());
            }
        }
        for value in fields.get_mut("set-cookie").into_iter().flatten() {
            hide_made_up_value(value);
        }
        let from_pod = fields.remove("x-echo").is_some();
        let upstream = from_pod.then(|| serde_json::from_slice(&message.body).ok()).flatten().map(Upstream::settle);
        if from_pod {
            fields.remove("content-length");
        }
        let body = if upstream.is_some() { String::new() } else { String::from_utf8_lossy(&message.body).into_owned() };
        Self::Response(Response { status: message.status(), fields, handshake: None, body, upstream })
    }

    /// This answer, which came over TLS.
    pub(crate) fn over(self, handshake: Handshake) -> Self {
        match self {
            Self::Response(response) => Self::Response(Response { handshake: Some(handshake), ..response }),
            other => other,
        }
    }

    /// What is known of its TLS.
    pub(crate) fn handshake(&self) -> Option<&Handshake> {
        match self {
            Self::None(_) => None,
            Self::Handshake(handshake) => Some(handshake),
            Self::Response(response) => response.handshake.as_ref(),
        }
    }

    /// `None` when there was no answer.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::None(_) | Self::Handshake(_) => None,
            Self::Response(response) => Some(response.status),
        }
    }

    pub(crate) fn response(&self) -> Option<&Response> {
        match self {
            Self::None(_) | Self::Handshake(_) => None,
            Self::Response(response) => Some(response),
        }
    }

    pub(crate) fn upstream(&self) -> Option<&Upstream> {
        self.response()?.upstream.as_ref()
    }

    /// Who answered: the pod, or the status where the gateway did.
    pub(crate) fn who(&self) -> String {
        match self {
            Self::None(_) | Self::Handshake(_) => "nobody".to_owned(),
            Self::Response(r) => r.upstream.as_ref().map_or_else(|| r.status.to_string(), |u| u.pod.clone()),
        }
    }

    pub(crate) fn location(&self) -> Option<&str> {
        self.response()?.fields.get("location")?.first().map(String::as_str)
    }

    /// Every way in which `ours` is not this one, in words.
    pub(crate) fn differences(&self, ours: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, istio: &dyn ToText, ours: &dyn ToText| {
            let (istio, ours) = (istio.text(), ours.text());
            if istio != ours {
                found.push(format!("{what}: Istio {istio}, here {ours}"));
            }
        };
        compare("handshake", &format!("{:?}", self.handshake()), &format!("{:?}", ours.handshake()));
        match (self, ours) {
            (Self::Handshake(_), Self::Handshake(_)) => {}
            (Self::Response(istio), Self::Response(ours)) => {
                compare("status", &istio.status, &ours.status);
                compare_fields("", &istio.fields, &ours.fields, &mut compare);
                compare("body", &without_library(&istio.body), &without_library(&ours.body));
                match (&istio.upstream, &ours.upstream) {
                    (Some(istio), Some(ours)) => {
                        compare("pod", &istio.pod, &ours.pod);
                        compare("pod's port", &u32::from(istio.port), &u32::from(ours.port));
                        compare("method at the pod", &istio.method, &ours.method);
                        compare("target at the pod", &istio.target, &ours.target);
                        compare("protocol at the pod", &istio.protocol, &ours.protocol);
                        compare("authority at the pod", &istio.authority, &ours.authority);
                        compare_fields(" at the pod", &istio.fields, &ours.fields, &mut compare);
                        compare("body at the pod", &istio.body, &ours.body);
                        compare("TLS at the pod", &format!("{:?}", istio.tls), &format!("{:?}", ours.tls));
                    }
                    (istio, ours) => {
                        let who = |upstream: &Option<Upstream>| {
                            upstream.as_ref().map_or_else(|| "the gateway".to_owned(), |upstream| upstream.pod.clone())
                        };
                        compare("who answers", &who(istio), &who(ours));
                    }
                }
            }
            (istio, ours) => {
                let text = |answer: &Self| match answer {
                    Self::None(why) => why.clone(),
                    Self::Handshake(_) => "a handshake".to_owned(),
                    Self::Response(response) => response.status.to_string(),
                };
                compare("answer", &text(istio), &text(ours));
            }
        }
        found
    }
}

type Fields = BTreeMap<String, Vec<String>>;

fn compare_fields(at: &str, istio: &Fields, ours: &Fields, compare: &mut impl FnMut(&str, &dyn ToText, &dyn ToText)) {
    let names: std::collections::BTreeSet<&String> = istio.keys().chain(ours.keys()).collect();
    for name in names {
        compare(&format!("{name}{at}"), &istio.get(name), &ours.get(name));
    }
}

/// What a difference shows of a value.
trait ToText {
    fn text(&self) -> String;
}

impl ToText for String {
    fn text(&self) -> String {
        format!("{self:?}")
    }
}

impl ToText for u16 {
    fn text(&self) -> String {
        self.to_string()
    }
}

impl ToText for u32 {
    fn text(&self) -> String {
        self.to_string()
    }
}

impl ToText for Option<&Vec<String>> {
    fn text(&self) -> String {
        self.map_or_else(|| "none".to_owned(), |values| format!("{values:?}"))
    }
}

impl Upstream {
    fn settle(mut self) -> Self {
        self.fields = by_name(&self.list);
        self.list.clear();
        // A retry says how much of the time is left.
        let is_retry = self.fields.get("x-envoy-attempt-count").is_some_and(|count| *count != ["1"]);
        if is_retry && let Some(left) = self.fields.get_mut("x-envoy-expected-rq-timeout-ms") {
            left.fill("(what is left)".to_owned());
        }
        for name in RANDOM {
            for value in self.fields.get_mut(name).into_iter().flatten() {
                if is_uuid(value) {
                    "(a UUID)".clone_into(value);
                }
            }
        }
        self
    }
}

fn by_name(list: &[(String, String)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in list {
        fields.entry(name.to_ascii_lowercase()).or_default().push(value.clone());
    }
    fields
}

fn is_uuid(value: &str) -> bool {
    let lengths: Vec<usize> = value.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && value.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
