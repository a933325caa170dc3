//! Journals: everything that went into one opened node, so that what it did can be had again.
//!
//! A node is deterministic, so its boot values, its inputs with their times, and what its disk answered
//! are a complete recording. The disk's answers are in it too, and not an image of the disk: of a large
//! store a node reads little, and damage, full disks and failed reads need no rule of their own. What jobs
//! did arrives as an input. Beside each input stands a rolling hash over all that the node wrote to its
//! disk and put out until then, so a replay that goes another way names the first input after which it
//! did ([`replay()`]).
//!
//! A journal is a header and frames ([`frame`]). It begins when a node is opened and ends with the
//! process; a restart begins another. Left out: where a shell keeps the bytes.

mod frame;
mod heard;
mod replay;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use serde::{Deserialize, Serialize};

pub use frame::is_journal;
pub use heard::Heard;
pub use replay::{End, JournalError, Replayed, replay};

use crate::BUILD;
use crate::codec;
use crate::disk::DiskError;
use crate::hash::Rolling;
use crate::id::FileId;
use crate::io::{Boot, Input, Output};
use crate::text::of_bytes;
use crate::time::Now;

/// Writes the journal of one node from its opening on.
///
/// For the opening and for each input: say so, give the node a disk that is [`Heard`], say everything
/// that is polled, and then that there was no more.
#[derive(Clone, Debug)]
pub struct Recorder {
    bytes: Vec<u8>,
    limit: u64,
    full: bool,
    hash: Rolling,
    step: Option<Step>,
    notes: RefCell<Notes>,
}

/// The most bytes of a journal that is written to be kept.
pub const BYTES_MAX: u64 = 64 * 1_024 * 1_024;

/// What a journal holds behind the name of the build, frame after frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Frame {
    /// Something went into the node.
    Step {
        step: Step,
        /// What the disk answered meanwhile, in order.
        answers: Vec<Answer>,
        /// The rolling hash behind it.
        hash: u64,
    },
    /// The bound is reached; what followed was not recorded.
    Full,
    /// Nothing followed.
    End,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Open { boot: Boot, now: Now },
    Input { now: Now, input: Input },
}

/// What a disk answered to one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    Done,
    Bytes(Vec<u8>),
    Length(u64),
    Files(Vec<FileId>),
    Failed(DiskError),
}

/// What was heard during one step.
#[derive(Clone, Debug, Default)]
struct Notes {
    answers: Vec<Answer>,
    /// The calls of the disk and the outputs, as bytes to be hashed.
    deeds: Vec<u8>,
}

impl Recorder {
    /// A node is about to be opened. The journal has at most `limit` bytes, a word that it is full among
    /// them; and at least a header.
    #[must_use]
    pub fn new(boot: Boot, now: Now, limit: u64) -> Self {
        let mut recorder = Self {
            bytes: frame::header(),
            limit,
            full: false,
            hash: Rolling::default(),
            step: Some(Step::Open { boot, now }),
            notes: RefCell::default(),
        };
        frame::append(&mut recorder.bytes, &codec::encode(BUILD));
        recorder
    }

    /// The node is about to be given an input.
    pub fn input(&mut self, now: Now, input: &Input) {
        if !self.full {
            self.step = Some(Step::Input { now, input: input.clone() });
        }
    }

    /// The node put something out.
    pub fn output(&mut self, output: &Output) {
        if self.step.is_some() {
            codec::encode_onto(output, &mut self.notes.get_mut().deeds);
        }
    }

    /// The node could not be opened, for this reason.
    pub fn refused(&mut self, words: &str) {
        codec::encode_onto(words, &mut self.notes.get_mut().deeds);
    }

    /// There is nothing more to poll.
    pub fn done(&mut self) {
        let Some(step) = self.step.take() else { return };
        let Notes { answers, deeds } = core::mem::take(self.notes.get_mut());
        self.hash.update(&deeds);
        let frame = Frame::Step { step, answers, hash: self.hash.value() };
        let bytes = codec::encode(&frame);
        let full = codec::encode(&Frame::Full);
        let length = self.bytes.len() + 2 * frame::HEAD + bytes.len() + full.len();
        self.full = self.limit < length as u64;
        match self.full {
            true => frame::append(&mut self.bytes, &full),
            false => frame::append(&mut self.bytes, &bytes),
        }
    }

    /// The journal so far. More is only ever added behind its end.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The journal with a word at its end that there is nothing more, so that it can be told from one that
    /// was cut off.
    #[must_use]
    pub fn ended(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if !self.full {
            frame::append(&mut bytes, &codec::encode(&Frame::End));
        }
        bytes
    }

    /// The rolling hash so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// Whether the bound is reached, so that nothing more is recorded.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }
}

/// What an input is, for people.
fn words(step: &Step) -> String {
    match step {
        Step::Open { boot, .. } => format!("the opening of {}", of_bytes(boot.name.as_bytes())),
        Step::Input { input, .. } => match input {
            Input::Message(envelope) => format!("message {} from {}", envelope.id.0, envelope.from),
            Input::Request { id, .. } => format!("request {}", id.0),
            Input::Cancel { id } => format!("the end of waiting for request {}", id.0),
            Input::Credit { id, .. } => format!("credit for request {}", id.0),
            Input::Link { peer, up } => {
                let how = if *up { "coming up" } else { "going down" };
                format!("the link to {} {how}", of_bytes(peer.name.as_bytes()))
            }
            Input::Synced { .. } => String::from("the end of a sync"),
            Input::JobDone { id, .. } => format!("the end of job {}", id.0),
            Input::Timer => String::from("a deadline"),
        },
    }
}
