//! How an exchange ended, in the words of Envoy's access log.

/// Envoy's `%RESPONSE_FLAGS%` and `%RESPONSE_CODE_DETAILS%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// `-` when there is nothing to flag.
    pub(crate) flags: &'static str,
    pub(crate) details: &'static str,
}

impl Outcome {
    pub(crate) const VIA_UPSTREAM: Self = Self { flags: "-", details: "via_upstream" };
    pub(crate) const DIRECT_RESPONSE: Self = Self { flags: "-", details: "direct_response" };
    pub(crate) const NO_ROUTE: Self = Self { flags: "NR", details: "route_not_found" };
    pub(crate) const NO_CLUSTER: Self = Self { flags: "NC", details: "cluster_not_found" };
    pub(crate) const NO_ENDPOINT: Self = Self { flags: "UH", details: "no_healthy_upstream" };
    pub(crate) const BAD_REQUEST: Self = Self { flags: "DPE", details: "http1.codec_error" };
    pub(crate) const MISSING_HOST: Self = Self { flags: "-", details: "missing_host_header" };
    pub(crate) const BAD_PATH: Self = Self { flags: "-", details: "path_normalization_failed" };
    pub(crate) const TARGET_TOO_LONG: Self = Self { flags: "DPE", details: "http1.uri_too_long" };
    pub(crate) const UNKNOWN_TRANSFER_ENCODING: Self =
        Self { flags: "DPE", details: "http1.invalid_transfer_encoding" };
    pub(crate) const TWO_FRAMINGS: Self =
        Self { flags: "DPE", details: "http1.content_length_and_chunked_not_allowed" };
    pub(crate) const UPGRADE_REFUSED: Self = Self { flags: "-", details: "upgrade_failed" };
    pub(crate) const REQUEST_BODY_TIMEOUT: Self = Self { flags: "SI", details: "stream_idle_timeout" };
    pub(crate) const CLIENT_GONE: Self = Self { flags: "DC", details: "downstream_remote_disconnect" };
    pub(crate) const CONNECT_FAILED: Self =
        Self { flags: "UF", details: "upstream_reset_before_response_started{remote_connection_failure}" };
    pub(crate) const CONNECT_TIMED_OUT: Self =
        Self { flags: "UF", details: "upstream_reset_before_response_started{connection_timeout}" };
    pub(crate) const OVERFLOW: Self = Self { flags: "UO", details: "upstream_reset_before_response_started{overflow}" };
    /// Envoy's overload manager.
    pub(crate) const NO_MEMORY: Self = Self { flags: "OM", details: "overload" };
    pub(crate) const NO_TLS: Self = Self {
        flags: "UF",
        details: "upstream_reset_before_response_started{remote_connection_failure,tls_not_served}",
    };
    pub(crate) const NO_HANDSHAKE: Self =
        Self { flags: "UF", details: "upstream_reset_before_response_started{remote_connection_failure|TLS_error}" };
    pub(crate) const TERMINATED: Self =
        Self { flags: "UC", details: "upstream_reset_before_response_started{connection_termination}" };
    pub(crate) const REMOTE_RESET: Self =
        Self { flags: "UR", details: "upstream_reset_before_response_started{remote_reset}" };
    pub(crate) const REFUSED: Self =
        Self { flags: "UR", details: "upstream_reset_before_response_started{remote_refused_stream_reset}" };
    pub(crate) const PROTOCOL_ERROR: Self =
        Self { flags: "UPE", details: "upstream_reset_before_response_started{protocol_error}" };
    pub(crate) const TIMED_OUT: Self = Self { flags: "UT", details: "response_timeout" };
    pub(crate) const FAULT: Self = Self { flags: "FI", details: "fault_filter_abort" };
    pub(crate) const CORS: Self = Self { flags: "-", details: "cors_response" };
    pub(crate) const TRY_TIMED_OUT: Self = Self { flags: "UT", details: "upstream_per_try_timeout" };
    pub(crate) const CUT_SHORT: Self =
        Self { flags: "UC", details: "upstream_reset_after_response_started{connection_termination}" };
}

/// What happened to a request before its outcome was known; Envoy shows the flags in the order in which they came up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past {
    /// `DI`: it was delayed by a fault.
    pub(crate) delayed: bool,
    /// `URX`: it would have been sent again, but had been so as often as it may.
    pub(crate) exhausted: bool,
}

/// Flags of outcomes, each alone and behind what a [`Past`] puts before it.
const COMBINATIONS: [[&str; 4]; 14] = {
    macro_rules! combinations {
        ($($flags:literal)*) => {
            [
                ["-", "URX", "DI", "DI,URX"],
                $([$flags, concat!("URX,", $flags), concat!("DI,", $flags), concat!("DI,URX,", $flags)],)*
            ]
        };
    }
    combinations!("NR" "NC" "UH" "DPE" "SI" "DC" "UF" "UC" "UR" "UPE" "UT" "UO" "FI")
};

impl Past {
    /// The flags of `outcome` after this.
    pub(crate) fn flags(self, outcome: Outcome) -> &'static str {
        if self == Self::default() {
            return outcome.flags;
        }
        let row = COMBINATIONS.iter().find(|row| row[0] == outcome.flags);
        row.map_or(outcome.flags, |row| row[usize::from(self.exhausted) + 2 * usize::from(self.delayed)])
    }
}
