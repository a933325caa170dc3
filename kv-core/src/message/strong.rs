//! What nodes say to each other about the strong keyspace: one asks for its client, another answers.
//!
//! ```text
//! any member ── Ask ──▶ a member that has the shard ── Answer ─▶ any member
//! ```
//!
//! A question is asked once and never passed on. What is said to one node in one turn travels as one
//! message.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use super::Token;
use crate::error::RequestError;
use crate::id::NodeId;
use crate::request::strong::{StrongReply, StrongRequest};
use crate::time::Micros;

/// A question or an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StrongMessage {
    /// Do this for my client.
    Ask {
        /// Returned in the answer.
        token: Token,
        /// What.
        request: Box<StrongRequest>,
        /// How long the client still waits.
        timeout: Micros,
    },
    /// This came of it.
    Answer {
        /// Of the question.
        token: Token,
        /// The outcome.
        result: Result<Box<StrongReply>, StrongRefusal>,
    },
}

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StrongRefusal {
    /// The sender cannot do it, and nothing changed: ask that one, if one is named.
    NotHere(Option<NodeId>),
    /// As the client shall hear it.
    Error(RequestError),
}
