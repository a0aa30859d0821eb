//! Which pages of other origins may read the answers.

use super::string_match::StringMatch;
use http::HeaderValue;

/// `corsPolicy` of a rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cors {
    pub origins: Vec<StringMatch>,
    pub methods: Listed,
    pub headers: Listed,
    /// The value of `access-control-expose-headers`.
    pub expose: Option<HeaderValue>,
    /// Seconds.
    pub max_age: Option<u64>,
    pub credentials: bool,
    /// A preflight of another origin is answered without naming it, instead of forwarded.
    pub answers_others: bool,
}

/// What a preflight is told it may use.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Listed {
    /// Nothing is said.
    #[default]
    Nothing,
    /// Whatever it asks for.
    Anything,
    These(HeaderValue),
}
