//! Our access log beside what an origin has written down.

use crate::origins::Running;
use std::collections::BTreeMap;

/// What every origin knows.
const METHODS: [&str; 6] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE"];

/// How the two differ.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub(crate) seen: usize,
    /// What one of the two may still be about to write.
    pub(crate) open: Option<String>,
    /// A request that the origin has seen and we have not sent like that.
    pub(crate) wrong: Option<String>,
}

/// A request that we have sent to an origin.
struct Sent {
    method: String,
    target: String,
    status: String,
    /// The origin has answered it.
    answered: bool,
    /// Some origins refuse its method or its host before they have read any more of it.
    is_odd: bool,
    seen: usize,
}

impl Sent {
    /// Whether the origin has refused this with `status`, before it has read the id, and nobody has accounted for it. Some
    /// origins do not say what they have not understood.
    fn is_refused(&self, method: &str, target: &str, status: &str) -> bool {
        let is_told = !target.is_empty() && method != "-";
        let is_the_same = self.method == method && self.target == target;
        let is_possible = match self.answered {
            true => self.status == status && (!is_told || is_the_same),
            // Its client broke it off, or its body broke the rules, while the origin was about to say so.
            false => is_the_same || (!is_told && self.is_odd),
        };
        self.seen == 0 && is_possible
    }
}

/// Holds `log` against what `origin` has seen.
pub(crate) fn differences(log: &str, origin: &Running) -> Differences {
    let host = format!("\"{}\"", origin.origin.address());
    let ours = whole_lines(log).filter(|line| line.contains(&host));
    let mut sent: BTreeMap<&str, Sent> = ours.filter_map(entry).collect();
    let mut differences = Differences::default();
    let text = origin.seen();
    for line in whole_lines(&text) {
        // Anything without the form is something else that the server has to say.
        let Some((id, rest)) = line.split_once('|') else { continue };
        let Some((request, status)) = rest.rsplit_once('|') else { continue };
        differences.seen += 1;
        let mut words = request.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        // An origin that refuses a head may not have read it to the id; no two requests have the same target.
        let mut is_refused = false;
        if !is_id(id) && status.starts_with(['4', '5']) {
            let possible = sent.values_mut().filter(|sent| sent.is_refused(method, target, status));
            // One that was answered has a line for certain.
            if let Some(sent) = possible.max_by_key(|sent| sent.answered) {
                (sent.seen, is_refused) = (1, true);
            }
        }
        match sent.get_mut(id) {
            None if is_id(id) => differences.open = Some(format!("not in our log: {line:?}")),
            None if is_refused => {}
            None => differences.wrong = Some(format!("it has seen {line:?}, which has no id of ours")),
            Some(sent) => {
                sent.seen += 1;
                // Paths are normalised on their way, which is not what is tested here.
                let same_target = sent.target == target || !is_plain(&sent.target);
                if sent.seen > 1 || sent.method != method || !same_target {
                    let Sent { method, target, seen, .. } = sent;
                    let sent = format!("{method} {target}, and for the {seen}. time");
                    differences.wrong = Some(format!("it has seen {line:?}, which is not as we have sent it: {sent}"));
                }
            }
        }
    }
    if let Some((id, sent)) = sent.iter().find(|(_, sent)| sent.answered && sent.seen == 0) {
        let Sent { method, target, status, .. } = sent;
        differences.open = Some(format!("it has answered {method} {target} ({id}) with {status} and does not say so"));
    }
    differences
}

/// The lines that are there to their end.
fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
}

/// The id and the request of a line of the access log.
fn entry(line: &str) -> Option<(&str, Sent)> {
    let (_, rest) = line.split_once("] \"")?;
    // A target may hold quotation marks.
    let version = ["HTTP/1.1\" ", "HTTP/1.0\" "].iter().filter_map(|version| rest.find(version)).min()?;
    let (request, rest) = (&rest[..version], &rest[version + "HTTP/1.1\" ".len()..]);
    let mut words = request.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut words = rest.split(' ');
    let (status, flags) = (words.next()?.to_owned(), words.next()?);
    let mut quoted = rest.split('"').skip_while(|text| !is_id(text));
    let (id, authority) = (quoted.next()?, quoted.nth(1)?);
    let is_plain_host = authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-".contains(&byte));
    let is_odd = !(is_plain_host && METHODS.contains(&method.as_str()));
    Some((id, Sent { method, target, status, answered: flags == "-", is_odd, seen: 0 }))
}

/// A UUID.
fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

fn is_plain(target: &str) -> bool {
    target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_?=&".contains(&byte))
}
