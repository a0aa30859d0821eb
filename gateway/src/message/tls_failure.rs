//! Why TLS to an endpoint did not come about.

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// A certificate or an authority of our own is missing.
    NoSecret,
    /// The endpoint's certificate is not good.
    Certificate,
    /// The endpoint has refused, with this alert (RFC 8446 §6).
    Alert(u8),
    /// What came was not TLS.
    NotTls,
    /// It broke another rule of TLS, or has no version or suite in common with us.
    Protocol,
    /// The endpoint closed or reset the connection.
    Closed,
}

impl TlsFailure {
    /// Under which it is logged. Callers are not told: Envoy does not pass on what its library says.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoSecret => "no_certificate",
            Self::Certificate => "endpoint_certificate",
            Self::Alert(_) => "refused_by_endpoint",
            Self::NotTls => "plaintext",
            Self::Protocol => "protocol",
            Self::Closed => "gone",
        }
    }
}
