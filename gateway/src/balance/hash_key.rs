//! The hash of a request, by which consistent hashing finds its endpoint: Envoy's function on Envoy's input, so that a key
//! leads to the endpoint to which Istio's gateway sends it (source/common/http/hash_policy.cc).

use crate::model::traffic_policy::{HashCookie, HashKey};
use http::{HeaderMap, header::COOKIE};
use smallvec::SmallVec;
use std::{fmt::Write as _, net::IpAddr};
use twox_hash::XxHash64;

/// What of a request can be hashed.
#[derive(Clone, Copy, Debug)]
pub struct HashedRequest<'r> {
    pub headers: &'r HeaderMap,
    /// Of the target, without the question mark.
    pub query: Option<&'r str>,
    pub source: IpAddr,
}

/// Envoy's `HashUtil::xxHash64`.
pub(super) fn xx_hash(bytes: &[u8]) -> u64 {
    XxHash64::oneshot(0, bytes)
}

/// With a seed, as Maglev needs a second function.
pub(super) fn xx_hash_with(seed: u64, bytes: &[u8]) -> u64 {
    XxHash64::oneshot(seed, bytes)
}

/// The hash of `request` over `keys`, `None` when it has none of them. `give_cookie` is asked for the value of a cookie that
/// the client is to be given.
pub fn hash<'k>(
    keys: impl IntoIterator<Item = &'k HashKey>,
    request: HashedRequest<'_>,
    mut give_cookie: impl FnMut(&HashCookie) -> String,
) -> Option<u64> {
    let hashes = keys.into_iter().filter_map(|key| of_key(key, request, &mut give_cookie));
    // Rotated, so that equal keys do not cancel each other out.
    hashes.reduce(|before, hash| before.rotate_left(1) ^ hash)
}

fn of_key(
    key: &HashKey,
    request: HashedRequest<'_>,
    give_cookie: &mut impl FnMut(&HashCookie) -> String,
) -> Option<u64> {
    match key {
        HashKey::Header(name) => {
            let mut values: SmallVec<[&[u8]; 2]> =
                request.headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
            match &*values {
                [] => None,
                [only] => Some(xx_hash(only)),
                _ => {
                    // In whatever order they come; the hash of one is the seed of the next.
                    values.sort_unstable();
                    Some(values.iter().fold(0, |seed, value| xx_hash_with(seed, value)))
                }
            }
        }
        HashKey::Cookie(cookie) => match cookie_value(request.headers, &cookie.name) {
            Some(value) => Some(xx_hash(value.as_bytes())),
            None if cookie.ttl_seconds.is_some() => Some(xx_hash(give_cookie(cookie).as_bytes())),
            None => None,
        },
        HashKey::SourceIp => {
            let mut text = String::new();
            write!(text, "{}", request.source).ok()?;
            Some(xx_hash(text.as_bytes()))
        }
        HashKey::Query(name) => {
            let pairs = request.query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.into_iter().find(|(key, _)| *key == &**name).map(|(_, value)| xx_hash(value.as_bytes()))
        }
    }
}

/// The value of the first cookie of that name that has one, without the quotes around it (`parseCookieValue` in
/// source/common/http/utility.cc).
fn cookie_value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let cookies =
        headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';'));
    let mut named = cookies.filter_map(|cookie| cookie.trim().split_once('=')).filter(|(key, _)| *key == name);
    let value = named.next()?.1;
    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    (!bare.is_empty()).then_some(bare)
}

/// The value Envoy makes up for a cookie: the hash of both ends of the client's connection, in 16 hexadecimal digits.
pub fn new_cookie_value(remote: std::net::SocketAddr, local: std::net::SocketAddr) -> String {
    format!("{:016x}", xx_hash(format!("{remote}{local}").as_bytes()))
}

/// The `set-cookie` field for it (`makeSetCookieValue` in source/common/http/utility.cc).
pub fn set_cookie(cookie: &HashCookie, value: &str) -> String {
    let mut text = format!("{}=\"{value}\"", cookie.name);
    // Writing into a String does not fail.
    let _written = (|| {
        if let Some(seconds) = cookie.ttl_seconds.filter(|seconds| *seconds > 0) {
            write!(text, "; Max-Age={seconds}")?;
        }
        if !cookie.path.is_empty() {
            write!(text, "; Path={}", cookie.path)?;
        }
        for (name, value) in &cookie.attributes {
            if value.is_empty() { write!(text, "; {name}")? } else { write!(text, "; {name}={value}")? }
        }
        write!(text, "; HttpOnly")
    })()
    .is_ok();
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn request<'r>(headers: &'r HeaderMap, query: Option<&'r str>) -> HashedRequest<'r> {
        HashedRequest { headers, query, source: IpAddr::from([10, 0, 0, 1]) }
    }

    fn cookie(ttl_seconds: Option<u64>) -> HashKey {
        HashKey::Cookie(HashCookie { name: "user".into(), path: "/p".into(), ttl_seconds, attributes: Vec::new() })
    }

    fn never(_: &HashCookie) -> String {
        unreachable!("no cookie is to be given")
    }

    /// The test vectors of the xxHash project for XXH64 with seed 0.
    #[test]
    fn the_function_is_xx_hash_64() {
        assert_eq!(xx_hash(b""), 0xef46_db37_51d8_e999);
        assert_eq!(xx_hash(b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xx_hash(b"abc"), 0x44bc_2cf5_ad77_0999);
    }

    #[test]
    fn a_header_is_hashed_whatever_the_order_of_its_values() {
        let key = [HashKey::Header("x-user".parse().unwrap())];
        let mut headers = HeaderMap::new();
        assert_eq!(hash(&key, request(&headers, None), never), None);
        headers.append("x-user", HeaderValue::from_static("me"));
        assert_eq!(hash(&key, request(&headers, None), never), Some(xx_hash(b"me")));
        headers.append("x-user", HeaderValue::from_static("a"));
        assert_eq!(hash(&key, request(&headers, None), never), Some(xx_hash_with(xx_hash(b"a"), b"me")));
    }

    #[test]
    fn a_cookie_is_hashed_or_given() {
        let mut headers = HeaderMap::new();
        assert_eq!(hash(&[cookie(None)], request(&headers, None), never), None);
        let given = hash(&[cookie(Some(60))], request(&headers, None), |_| "made-up".to_owned());
        assert_eq!(given, Some(xx_hash(b"made-up")));
        headers.insert(COOKIE, HeaderValue::from_static("other=1; user=\"bob\"; user=2"));
        assert_eq!(hash(&[cookie(Some(60))], request(&headers, None), never), Some(xx_hash(b"bob")));
    }

    #[test]
    fn the_first_value_of_a_query_parameter_and_the_source_are_hashed() {
        let headers = HeaderMap::new();
        let key = [HashKey::Query("q".into())];
        assert_eq!(hash(&key, request(&headers, Some("a=1&q=x%20y&q=2")), never), Some(xx_hash(b"x%20y")));
        assert_eq!(hash(&key, request(&headers, Some("a=1")), never), None);
        assert_eq!(hash(&key, request(&headers, None), never), None);
        assert_eq!(hash(&[HashKey::SourceIp], request(&headers, None), never), Some(xx_hash(b"10.0.0.1")));
    }

    #[test]
    fn several_keys_make_one_hash() {
        let mut headers = HeaderMap::new();
        headers.append("x-user", HeaderValue::from_static("me"));
        let header = HashKey::Header("x-user".parse().unwrap());
        let both = hash(&[header.clone(), header], request(&headers, None), never);
        assert_eq!(both, Some(xx_hash(b"me").rotate_left(1) ^ xx_hash(b"me")));
    }

    #[test]
    fn a_cookie_that_is_given_is_written_as_envoy_writes_it() {
        let mut cookie = HashCookie { name: "s".into(), path: "".into(), ttl_seconds: Some(0), attributes: Vec::new() };
        assert_eq!(set_cookie(&cookie, "1f"), "s=\"1f\"; HttpOnly");
        cookie.ttl_seconds = Some(60);
        cookie.path = "/p".into();
        cookie.attributes = vec![("SameSite".into(), "Lax".into()), ("Secure".into(), "".into())];
        assert_eq!(set_cookie(&cookie, "1f"), "s=\"1f\"; Max-Age=60; Path=/p; SameSite=Lax; Secure; HttpOnly");
        let value = new_cookie_value(([10, 0, 0, 1], 4000).into(), ([10, 0, 0, 2], 80).into());
        assert_eq!(value, format!("{:016x}", xx_hash(b"10.0.0.1:400010.0.0.2:80")));
    }
}
