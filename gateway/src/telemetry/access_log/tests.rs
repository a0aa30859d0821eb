//! The line, and the way to the file.

use super::*;
use crate::telemetry::requests::RequestProtocol;

fn measured() -> Measured {
    Measured {
        status: 200,
        flags: "-",
        protocol: RequestProtocol::Http,
        duration: Duration::from_millis(12),
        request_bytes: 3,
        response_bytes: 4096,
    }
}

fn facts() -> RequestFacts {
    let address = |text: &str| text.parse().expect("an address");
    RequestFacts {
        began: UNIX_EPOCH + Duration::from_millis(1_456_704_000_042),
        forwarded_for: Some("10.0.0.9".to_owned()),
        request_id: Some("id".to_owned()),
        upstream_host: Some(address("10.0.0.2:9080")),
        upstream_service_time: Some(11),
        route_name: Arc::from("canary"),
        ..RequestFacts::new(
            Method::GET,
            "/reviews/0?a=b".to_owned(),
            Version::HTTP_11,
            Some("reviews".to_owned()),
            None,
            address("10.0.0.1:80"),
            address("10.0.0.9:40000"),
        )
    }
}

#[test]
fn a_line_has_istios_fields_in_istios_order() {
    assert_eq!(
        facts().line(&measured(), "via_upstream", Some("outbound|9080|v1|reviews.default.svc.cluster.local")),
        "[2016-02-29T00:00:00.042Z] \"GET /reviews/0?a=b HTTP/1.1\" 200 - via_upstream - \"-\" 3 4096 12 11 \
         \"10.0.0.9\" \"-\" \"id\" \"reviews\" \"10.0.0.2:9080\" \
         outbound|9080|v1|reviews.default.svc.cluster.local - 10.0.0.1:80 10.0.0.9:40000 - canary\n"
    );
}

#[test]
fn dates_agree_with_the_calendar() {
    for (days, date) in [(0, (1970, 1, 1)), (11_016, (2000, 2, 29)), (11_017, (2000, 3, 1)), (20_819, (2027, 1, 1))] {
        assert_eq!(civil(days), date, "day {days}");
    }
}

#[test]
fn every_line_is_in_the_file_when_the_log_is_closed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("access.log");
    let log = AccessLog::open(&AccessLogTarget::File(path.clone())).expect("opened").expect("on");
    for _ in 0..1000 {
        log.write(facts().line(&measured(), "via_upstream", None));
    }
    drop(log);
    let text = std::fs::read_to_string(path).expect("written");
    assert_eq!(text.lines().count(), 1000);
    assert!(text.lines().all(|line| line.ends_with("10.0.0.9:40000 - canary")));
}
