//! Hop-by-hop header fields (RFC 9110 §7.6.1).

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, TE},
};
use smallvec::SmallVec;

/// Fields that are for one connection only, besides those that `Connection` names.
const WELL_KNOWN: [&str; 6] = ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/// Fields that stay whatever `Connection` says: without them the message would be another one, and a client must not be
/// able to make the gateway take them away.
const PROTECTED: [&str; 3] = ["host", "content-length", "trailer"];

/// Removes the fields that are for one connection only: those `Connection` names, and the well-known ones. `te: trailers`
/// stays, as RFC 9110 §10.1.4 lets a proxy forward that one.
pub fn remove(headers: &mut HeaderMap) {
    // One walk over the few names there are is cheaper than a lookup for each name there might be.
    let mut found = SmallVec::<[HeaderName; 4]>::new();
    for name in headers.keys() {
        if is_well_known(name.as_str()) {
            found.push(name.clone());
        }
    }
    match &found[..] {
        [] => return,
        // What most peers send. The field that `keep-alive` names would have been found.
        [only] if *only == CONNECTION => {
            if let Some(option) = only_option(headers) {
                headers.remove(CONNECTION);
                if option == "close" {
                    headers.remove("close");
                }
                return;
            }
        }
        _ => {}
    }
    for value in headers.get_all(CONNECTION) {
        found.extend(tokens(value).filter_map(|token| {
            let name = HeaderName::from_bytes(token.as_bytes()).ok()?;
            (!PROTECTED.contains(&name.as_str())).then_some(name)
        }));
    }
    let trailers_wanted = headers.get_all(TE).iter().flat_map(tokens).any(|t| t.eq_ignore_ascii_case("trailers"));
    for name in found {
        headers.remove(name);
    }
    if trailers_wanted {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

fn is_well_known(name: &str) -> bool {
    // Most names differ from all of them in length already.
    matches!(name.len(), 2 | 7 | 10 | 16 | 17) && WELL_KNOWN.contains(&name)
}

/// What `Connection` says, if it says one of two things and no more.
fn only_option(headers: &HeaderMap) -> Option<&'static str> {
    let mut values = headers.get_all(CONNECTION).iter();
    let only = values.next().filter(|_| values.next().is_none())?.as_bytes();
    ["keep-alive", "close"].into_iter().find(|option| only.eq_ignore_ascii_case(option.as_bytes()))
}

/// Whether `Connection` names `option`.
pub fn connection_has(headers: &HeaderMap, option: &str) -> bool {
    headers.get_all(CONNECTION).iter().flat_map(tokens).any(|token| token.eq_ignore_ascii_case(option))
}

/// The elements of a comma-separated field value (RFC 9110 §5.6.1); none for a value that is not ASCII.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_are_those_of_the_names() {
        assert!(WELL_KNOWN.iter().all(|name| is_well_known(name)));
    }

    fn after_removal(fields: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        remove(&mut headers);
        let mut left: Vec<String> =
            headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap_or("?"))).collect();
        left.sort();
        left
    }

    #[test]
    fn the_well_known_fields_go() {
        let fields = [
            ("host", "a"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("x-a", "1"),
        ];
        assert_eq!(after_removal(&fields), ["host: a", "x-a: 1"]);
    }

    #[test]
    fn a_lone_connection_field_goes_with_what_it_names() {
        assert_eq!(after_removal(&[("connection", "Keep-Alive"), ("x-a", "1")]), ["x-a: 1"]);
        assert_eq!(after_removal(&[("connection", "Close"), ("x-a", "1")]), ["x-a: 1"]);
        assert_eq!(after_removal(&[("connection", "close"), ("connection", "x-a"), ("x-a", "1")]), [""; 0]);
        assert_eq!(
            after_removal(&[("connection", "keep-alive"), ("keep-alive", "timeout=5"), ("x-a", "1")]),
            ["x-a: 1"]
        );
        assert_eq!(after_removal(&[("connection", "keep-alive"), ("connection", "x-a"), ("x-a", "1")]), [""; 0]);
        assert_eq!(after_removal(&[("connection", "close"), ("close", "1"), ("x-a", "1")]), ["x-a: 1"]);
    }

    #[test]
    fn fields_that_connection_names_go_in_every_spelling() {
        let fields = [("connection", "X-Hop, close"), ("connection", " x-other "), ("x-hop", "1"), ("x-other", "2")];
        assert_eq!(after_removal(&fields), [""; 0]);
    }

    #[test]
    fn connection_cannot_take_the_message_apart() {
        let fields = [("connection", "host, content-length"), ("host", "a"), ("content-length", "3")];
        assert_eq!(after_removal(&fields), ["content-length: 3", "host: a"]);
    }

    #[test]
    fn a_wish_for_trailers_stays() {
        assert_eq!(after_removal(&[("te", "gzip, Trailers"), ("connection", "te")]), ["te: trailers"]);
    }

    #[test]
    fn what_is_not_ascii_names_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert("connection", HeaderValue::from_bytes(b"x-a, \xff").expect("opaque bytes are legal"));
        headers.insert("x-a", HeaderValue::from_static("1"));
        remove(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
