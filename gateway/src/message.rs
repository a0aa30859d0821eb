//! HTTP messages as values: what is done to heads on their way through. Functions over `http` types; no I/O.

pub mod client_hello;
pub mod content_length;
pub mod cors;
pub mod forwarded;
pub mod framing;
pub mod header_operations;
pub mod hop_by_hop;
pub mod http_version;
pub mod packed_fields;
pub mod path;
pub mod proxy_header;
pub mod redirect;
pub mod retry_fields;
pub mod retry_policy;
pub mod rewrite;
pub mod time_limits;
pub mod tls_failure;
