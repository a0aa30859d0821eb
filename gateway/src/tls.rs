//! Certificates and keys: from Secrets and files to configurations that end TLS, or begin it.
//!
//! ```text
//! k8s, files ─► control ─► Keeper ─► ArcSwap<configurations> ─► proxy, at each handshake
//! ```
//!
//! [`Keeper`] belongs to `control`. It knows from each snapshot which servers and which clusters with TLS there are, says which Secrets it wants, and
//! keeps the last configuration that worked when a Secret breaks. Nothing here is ever shown: what is wrong with a Secret
//! is said with the name of a field, never with what it holds. Knows nothing of HTTP and of Kubernetes' API.

mod client_config;
pub mod configurations;
pub mod credential;
mod endpoint_verifier;
mod files;
pub mod keeper;
mod material;
pub mod peer;
mod pem;
mod roots;
mod secret;
mod server_config;
mod verifier;
mod wish;

pub use configurations::{ClientConfiguration, Configuration, Configurations, State};
pub use keeper::{Keeper, SecretsCome};
pub use server_config::ALPN_HTTP_2;
