//! Versions of HTTP as Envoy writes them.

use http::Version;

/// `HTTP/1.1`, `HTTP/2`: what `%PROTOCOL%` stands for (`Utility::getProtocolString` in Envoy's
/// source/common/http/utility.cc).
pub fn name(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}
