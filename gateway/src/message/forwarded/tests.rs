//! What a request's head says after [`receive`].

use super::*;

fn received(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    trusting(0, fields).0
}

fn trusting(trusted_proxies: usize, fields: &[(&'static str, &'static str)]) -> (HeaderMap, Sender) {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    let arrival = Arrival {
        certificate: None,
        peer: &HeaderValue::from_static("10.0.0.9"),
        scheme: "http",
        request_id: &HeaderValue::from_static("fresh"),
        trusted_proxies,
    };
    let sender = receive(&mut headers, &arrival);
    (headers, sender)
}

#[test]
fn the_client_is_appended_to_every_earlier_hop() {
    assert_eq!(received(&[])[X_FORWARDED_FOR], "10.0.0.9");
    let headers = received(&[("x-forwarded-for", "1.1.1.1, 2.2.2.2"), ("x-forwarded-for", "3.3.3.3")]);
    assert_eq!(headers.get_all(X_FORWARDED_FOR).iter().count(), 1);
    assert_eq!(headers[X_FORWARDED_FOR], "1.1.1.1, 2.2.2.2,3.3.3.3,10.0.0.9");
}

#[test]
fn a_client_cannot_choose_scheme_request_id_or_address() {
    let headers = received(&[
        ("x-forwarded-proto", "https"),
        ("x-request-id", "mine"),
        ("x-envoy-external-address", "8.8.8.8"),
        ("x-forwarded-client-cert", "Hash=0"),
    ]);
    assert_eq!(headers[X_FORWARDED_PROTO], "http");
    assert_eq!(headers[X_REQUEST_ID], "fresh");
    assert_eq!(headers[X_ENVOY_EXTERNAL_ADDRESS], "10.0.0.9");
    assert!(!headers.contains_key("x-forwarded-client-cert"));
}

#[test]
fn control_fields_go_and_unknown_ones_pass() {
    for name in REMOVED {
        if name != X_ENVOY_EXTERNAL_ADDRESS {
            assert!(!received(&[(name, "1")]).contains_key(name), "{name} passed");
        }
    }
    assert_eq!(received(&[("x-envoy-foo", "1")])["x-envoy-foo"], "1");
    assert!(!received(&[("expect", "100-continue")]).contains_key(EXPECT));
}

#[test]
fn the_time_of_the_upstream_is_a_number_of_milliseconds() {
    for (value, text) in [(0, "0"), (15, "15"), (16, "16"), (12_345, "12345")] {
        let mut headers = HeaderMap::new();
        note_upstream_time(&mut headers, value);
        assert_eq!(headers[X_ENVOY_UPSTREAM_SERVICE_TIME], text);
    }
}

#[test]
fn trusted_proxies_say_who_the_client_is() {
    let list = [("x-forwarded-for", "1.1.1.1, 2.2.2.2"), ("x-forwarded-for", "3.3.3.3")];
    for (trusted, client) in [(0, None), (1, Some("3.3.3.3")), (2, Some("2.2.2.2")), (3, Some("1.1.1.1")), (4, None)] {
        let (headers, sender) = trusting(trusted, &list);
        assert_eq!(sender.address, client.map(|client| client.parse().unwrap()), "{trusted}");
        assert_eq!(headers[X_ENVOY_EXTERNAL_ADDRESS], client.unwrap_or("10.0.0.9"));
        assert_eq!(headers[X_FORWARDED_FOR], "1.1.1.1, 2.2.2.2,3.3.3.3,10.0.0.9", "the peer is appended in any case");
    }
    let (headers, sender) = trusting(1, &[("x-forwarded-for", "unknown")]);
    assert_eq!((sender.address, &headers[X_ENVOY_EXTERNAL_ADDRESS]), (None, &HeaderValue::from_static("10.0.0.9")));
}

#[test]
fn trusted_proxies_say_how_the_client_came() {
    for (trusted, said, scheme) in
        [(0, "https", "http"), (1, "https", "https"), (1, "HTTPS", "https"), (1, "gopher", "http"), (1, "http", "http")]
    {
        let (headers, sender) = trusting(trusted, &[("x-forwarded-proto", said)]);
        assert_eq!(sender.scheme, scheme, "{trusted} {said}");
        assert_eq!(headers[X_FORWARDED_PROTO], if trusted == 0 { "http" } else { said });
    }
    assert_eq!(trusting(1, &[]).0[X_FORWARDED_PROTO], "http");
}
