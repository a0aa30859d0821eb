//! Cross-origin requests, as Envoy's CORS filter answers them (source/extensions/filters/http/cors/cors_filter.cc).

use crate::model::cors::{Cors, Listed};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    },
};

const TRUE: HeaderValue = HeaderValue::from_static("true");

/// What a policy makes of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// None of its business.
    Pass,
    /// Forwarded, and the answer names this origin.
    Name(HeaderValue),
    /// A preflight: answered with 200 and these fields.
    Answer(HeaderMap),
}

/// Judges a request with `method` and `headers`. No request is refused: that is for the browser to do.
pub fn judge(cors: &Cors, method: &Method, headers: &HeaderMap) -> Verdict {
    let Some(origin) = headers.get(ORIGIN).filter(|origin| !origin.is_empty()) else { return Verdict::Pass };
    let is_allowed = allows(cors, origin);
    let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|asked| !asked.is_empty());
    match asked {
        Some(asked) if *method == Method::OPTIONS && (is_allowed || cors.answers_others) => {
            Verdict::Answer(preflight(cors, is_allowed.then_some(origin), asked, headers))
        }
        _ if is_allowed => Verdict::Name(origin.clone()),
        _ => Verdict::Pass,
    }
}

/// A matcher that takes `*` takes every origin.
fn allows(cors: &Cors, origin: &HeaderValue) -> bool {
    cors.origins.iter().any(|condition| condition.matches(b"*") || condition.matches(origin.as_bytes()))
}

fn preflight(cors: &Cors, origin: Option<&HeaderValue>, method: &HeaderValue, headers: &HeaderMap) -> HeaderMap {
    let mut answer = HeaderMap::new();
    let mut say = |name: HeaderName, value: Option<HeaderValue>| {
        if let Some(value) = value {
            answer.insert(name, value);
        }
    };
    say(ACCESS_CONTROL_ALLOW_ORIGIN, origin.cloned());
    say(ACCESS_CONTROL_ALLOW_CREDENTIALS, cors.credentials.then_some(TRUE));
    say(ACCESS_CONTROL_ALLOW_METHODS, listed(&cors.methods, Some(method)));
    say(ACCESS_CONTROL_ALLOW_HEADERS, listed(&cors.headers, headers.get(ACCESS_CONTROL_REQUEST_HEADERS)));
    say(ACCESS_CONTROL_MAX_AGE, cors.max_age.map(HeaderValue::from));
    // Said with the name of the origin only, as in every other answer.
    say(ACCESS_CONTROL_EXPOSE_HEADERS, cors.expose.clone().filter(|_| origin.is_some()));
    answer
}

fn listed(listed: &Listed, asked: Option<&HeaderValue>) -> Option<HeaderValue> {
    match listed {
        Listed::Nothing => None,
        Listed::Anything => Some(asked.cloned().unwrap_or(HeaderValue::from_static(""))),
        Listed::These(value) => Some(value.clone()),
    }
}

/// Lets the answer in `headers` be read by `origin`, whatever the endpoint thinks of it.
pub fn name_origin(cors: &Cors, origin: &HeaderValue, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    if cors.credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    }
    if let Some(expose) = &cors.expose {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::string_match::StringMatch;

    const ME: &str = "http://me.test";

    fn policy() -> Cors {
        Cors {
            origins: vec![StringMatch::Exact(ME.to_owned()), StringMatch::Prefix("https://".to_owned())],
            methods: Listed::These(HeaderValue::from_static("GET,POST")),
            headers: Listed::Anything,
            max_age: Some(60),
            ..Cors::default()
        }
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields.iter().copied();
        fields.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn ordinary_requests_are_never_answered() {
        let get = |fields: &[_]| judge(&policy(), &Method::GET, &headers(fields));
        let asked = ("access-control-request-method", "GET");
        assert_eq!(get(&[]), Verdict::Pass);
        assert_eq!(get(&[("origin", "")]), Verdict::Pass);
        assert_eq!(get(&[("origin", "http://you.test"), asked]), Verdict::Pass);
        assert_eq!(get(&[("origin", ME), asked]), Verdict::Name(HeaderValue::from_static(ME)));
        assert_eq!(get(&[("origin", "https://a")]), Verdict::Name(HeaderValue::from_static("https://a")));
    }

    #[test]
    fn preflights_are_answered() {
        let asked = ("access-control-request-method", "PATCH");
        let options = |cors: &Cors, fields: &[_]| judge(cors, &Method::OPTIONS, &headers(fields));
        let said = [
            ("access-control-allow-origin", ME),
            ("access-control-allow-methods", "GET,POST"),
            ("access-control-allow-headers", "x-1,x-2"),
            ("access-control-max-age", "60"),
        ];
        let wanted = ("access-control-request-headers", "x-1,x-2");
        assert_eq!(options(&policy(), &[("origin", ME), asked, wanted]), Verdict::Answer(headers(&said)));
        assert_eq!(options(&policy(), &[("origin", ME)]), Verdict::Name(HeaderValue::from_static(ME)));
        assert_eq!(options(&policy(), &[("origin", "http://you.test"), asked]), Verdict::Pass);
        assert_eq!(options(&policy(), &[asked]), Verdict::Pass);

        let expose = Some(HeaderValue::from_static("x-b"));
        let answering = Cors { answers_others: true, credentials: true, expose, ..policy() };
        let Verdict::Answer(answer) = options(&answering, &[("origin", "http://you.test"), asked]) else { panic!() };
        assert!(!answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "{answer:?}");
        assert!(!answer.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS), "{answer:?}");
        assert!(answer.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS), "{answer:?}");
        assert_eq!(answer.get(ACCESS_CONTROL_ALLOW_HEADERS).map(HeaderValue::as_bytes), Some(&b""[..]));
    }

    #[test]
    fn a_star_is_every_origin() {
        let star = Cors { origins: vec![StringMatch::Exact("*".to_owned())], ..Cors::default() };
        let verdict = judge(&star, &Method::GET, &headers(&[("origin", "null")]));
        assert_eq!(verdict, Verdict::Name(HeaderValue::from_static("null")));
    }

    #[test]
    fn the_policy_overrules_the_endpoint() {
        let cors = Cors { credentials: true, expose: Some(HeaderValue::from_static("x-b")), ..policy() };
        let mut answer = headers(&[("access-control-allow-origin", "*"), ("access-control-max-age", "5")]);
        name_origin(&cors, &HeaderValue::from_static(ME), &mut answer);
        let expected = [
            ("access-control-allow-origin", ME),
            ("access-control-max-age", "5"),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", "x-b"),
        ];
        assert_eq!(answer, headers(&expected));
    }
}
