//! The description of the protocol that the device serves.

/// In the form of OpenAPI 3.1.
pub(crate) const DOCUMENT: &str = include_str!("openapi.json");
