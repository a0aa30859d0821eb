//! Which way a socket of ours sends.

/// What a socket sends, and to whom. A pair is two sockets that send in opposite directions.
#[derive(Debug)]
pub struct Direction;

impl Direction {
    /// A caller's requests to the gateway.
    pub const CALLER_TO_GATEWAY: u32 = 0;
    /// The gateway's responses to a caller.
    pub const GATEWAY_TO_CALLER: u32 = 1;
    /// The gateway's requests to an endpoint.
    pub const GATEWAY_TO_ENDPOINT: u32 = 2;
    /// An endpoint's responses to the gateway.
    pub const ENDPOINT_TO_GATEWAY: u32 = 3;
    /// How many there are.
    pub const COUNT: u32 = 4;

    /// Whether the gateway reads what is sent this way. It reads until nothing is left, so TCP and the short-circuit may
    /// take turns at any moment; of other readers nobody knows that.
    #[must_use]
    pub const fn is_read_by_gateway(direction: u32) -> bool {
        direction == Self::CALLER_TO_GATEWAY || direction == Self::ENDPOINT_TO_GATEWAY
    }
}
