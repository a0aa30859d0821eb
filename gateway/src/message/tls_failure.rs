//! Why TLS to an endpoint did not come about, in the words of Envoy and its library.

use std::borrow::Cow;

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
    /// What Envoy appends to the reset reason (`SslSocket::drainErrorQueue` in envoy's source/common/tls/ssl_socket.cc; the
    /// numbers are those of BoringSSL's err_data). Empty for a connection that just ended.
    pub fn text(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoSecret => "TLS error: Secret is not supplied by SDS",
            Self::Certificate => {
                "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end"
            }
            Self::Alert(alert) => return Cow::Owned(alert_text(alert)),
            Self::NotTls => "TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end",
            Self::Protocol => "TLS_error:|268435696:SSL routines:OPENSSL_internal:UNSUPPORTED_PROTOCOL:TLS_error_end",
            Self::Closed => "",
        })
    }

    /// Under which it is counted and logged.
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

/// BoringSSL numbers its reasons for alerts from 1000 on, in the library with the number 16.
fn alert_text(alert: u8) -> String {
    let name = match alert {
        40 => "SSLV3_ALERT_HANDSHAKE_FAILURE",
        42 => "SSLV3_ALERT_BAD_CERTIFICATE",
        43 => "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        44 => "SSLV3_ALERT_CERTIFICATE_REVOKED",
        45 => "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        46 => "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        47 => "SSLV3_ALERT_ILLEGAL_PARAMETER",
        48 => "TLSV1_ALERT_UNKNOWN_CA",
        49 => "TLSV1_ALERT_ACCESS_DENIED",
        50 => "TLSV1_ALERT_DECODE_ERROR",
        51 => "TLSV1_ALERT_DECRYPT_ERROR",
        70 => "TLSV1_ALERT_PROTOCOL_VERSION",
        71 => "TLSV1_ALERT_INSUFFICIENT_SECURITY",
        80 => "TLSV1_ALERT_INTERNAL_ERROR",
        112 => "TLSV1_ALERT_UNRECOGNIZED_NAME",
        116 => "TLSV1_ALERT_CERTIFICATE_REQUIRED",
        120 => "TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
        _ => "TLSV1_ALERT",
    };
    format!("TLS_error:|{}:SSL routines:OPENSSL_internal:{name}:TLS_error_end", 0x1000_0000 + 1000 + u32::from(alert))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_numbers_of_the_library() {
        let text = TlsFailure::Alert(40).text();
        assert!(text.contains("|268436496:") && text.contains("SSLV3_ALERT_HANDSHAKE_FAILURE"), "{text}");
        assert!(TlsFailure::Alert(116).text().contains("|268436572:"));
    }
}
