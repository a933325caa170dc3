//! Why a request was not done, sorted by what the caller does next.
//!
//! Each kind says whether anything changed. The words are for people and name the way out.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

/// The answer to a request that was not carried out, or not for certain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestError {
    /// The request itself is wrong: correct it. Nothing changed.
    Invalid(String),
    /// The request contradicts what is there: look first, then decide. Nothing changed.
    Conflict(String),
    /// Too few nodes answer: try again later or elsewhere. Nothing changed.
    Unavailable(String),
    /// The node has as much to do as it accepts: back off, then try again. Nothing changed.
    Busy,
    /// The disk is full: make room, then try again. Nothing changed; reads go on.
    Full,
    /// It may or may not have taken effect, now or later: read before trying again.
    Unknown(String),
}

impl RequestError {
    /// Whether the same request may succeed later without the caller changing it, and cannot have
    /// taken effect yet.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Busy | Self::Full => true,
            Self::Invalid(_) | Self::Conflict(_) | Self::Unknown(_) => false,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(words) | Self::Conflict(words) | Self::Unavailable(words) => {
                f.write_str(words)
            }
            Self::Busy => f.write_str("the node is busy; nothing was changed, try again shortly"),
            Self::Full => f.write_str(
                "the disk of a needed node is full; nothing was acknowledged, free some space and try again",
            ),
            Self::Unknown(words) => {
                write!(f, "{words}; it may still have taken effect, read the key before retrying")
            }
        }
    }
}

impl core::error::Error for RequestError {}
