//! Playing a journal again, with a fresh node and no disk but the answers that were recorded.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

use super::frame::{self, Found};
use super::heard::{APPEND, CREATE, Call, LEN, LIST, READ, REMOVE, TRUNCATE, WRITE};
use super::{Answer, Frame, Notes, Step, words};
use crate::disk::{Disk, DiskError};
use crate::hash::Rolling;
use crate::id::FileId;
use crate::node::Node;
use crate::text::of_bytes;
use crate::{BUILD, codec};

/// What became of a journal that was played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The name of the node, as it was recorded.
    pub name: String,
    /// How many inputs there were, the opening not among them.
    pub inputs: u64,
    /// The rolling hash behind the last one, which the recording agrees with.
    pub hash: u64,
    /// How the journal ends.
    pub end: End,
}

/// How a journal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It says that nothing followed.
    Whole,
    /// Behind an input. It may have been cut off there, or still be written.
    Open,
    /// In the middle of a frame that begins at this byte: whoever wrote it was cut off.
    Torn(u64),
    /// It had reached its bound.
    Full,
}

/// Why a journal cannot be played, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// It does not begin like one.
    NoJournal,
    /// It ends before the node was opened.
    Empty,
    /// It has another format.
    Format(u8),
    /// Another build recorded it, and this one cannot read it.
    Build(String),
    /// The frame that begins at this byte is damaged.
    Damaged(u64),
    /// The node did something else than it did when it was recorded.
    Differs {
        /// The input after which it did, counted from 1; 0 is the opening.
        input: u64,
        /// What that input is.
        words: String,
        /// The build that recorded it.
        build: String,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJournal => f.write_str("this is not a journal of a node"),
            Self::Empty => {
                f.write_str("the journal ends before the node was opened; there is nothing to play")
            }
            Self::Format(format) => write!(
                f,
                "the journal has format {format}, and this release reads format {}; play it with the release that recorded it",
                frame::FORMAT
            ),
            Self::Build(build) => write!(
                f,
                "the journal was recorded by build {} and cannot be read by this one ({BUILD}); play it with the release that recorded it",
                of_bytes(build.as_bytes())
            ),
            Self::Damaged(place) => {
                write!(f, "the journal is damaged at byte {place}; copy it again")
            }
            Self::Differs { input, words, build } => {
                write!(f, "after input {input}, {words}, the node does not do what was recorded")?;
                match build == BUILD {
                    true => f.write_str(
                        "; the core is the same, so this is a bug in kv, please report it with the journal",
                    ),
                    false => write!(
                        f,
                        "; build {} recorded it and this is {BUILD}, play it with the release that recorded it",
                        of_bytes(build.as_bytes())
                    ),
                }
            }
        }
    }
}

impl core::error::Error for JournalError {}

/// Gives a fresh node everything that a journal holds, and compares what it does after every input.
pub fn replay(bytes: &[u8]) -> Result<Replayed, JournalError> {
    let (version, first) = frame::version(bytes).ok_or(JournalError::NoJournal)?;
    if version != frame::FORMAT {
        return Err(JournalError::Format(version));
    }
    let (build, mut place) = match frame::at(bytes, first) {
        Found::Whole(content, next) => {
            let build = codec::decode::<String>(content);
            (build.map_err(|_| JournalError::Damaged(first as u64))?, next)
        }
        Found::Torn | Found::End => return Err(JournalError::Empty),
        Found::Damaged => return Err(JournalError::Damaged(first as u64)),
    };
    let mut player = Player::default();
    let end = loop {
        match frame::at(bytes, place) {
            Found::End => break End::Open,
            Found::Torn => break End::Torn(place as u64),
            Found::Damaged => return Err(JournalError::Damaged(place as u64)),
            Found::Whole(content, next) => {
                let damaged = || match build == BUILD {
                    true => JournalError::Damaged(place as u64),
                    false => JournalError::Build(build.clone()),
                };
                match codec::decode(content).map_err(|_| damaged())? {
                    Frame::Full => break End::Full,
                    Frame::End => break End::Whole,
                    Frame::Step { step, answers, hash } => {
                        let told = words(&step);
                        if player.play(step, answers) != Some(hash) {
                            let input = player.steps - 1;
                            return Err(JournalError::Differs { input, words: told, build });
                        }
                    }
                }
                place = next;
            }
        }
    };
    let inputs = player.steps.checked_sub(1).ok_or(JournalError::Empty)?;
    Ok(Replayed { name: player.name, inputs, hash: player.hash.value(), end })
}

#[derive(Default)]
struct Player {
    name: String,
    node: Option<Node>,
    steps: u64,
    hash: Rolling,
}

impl Player {
    /// The hash behind a step; none if the node asked its disk for something else.
    fn play(&mut self, step: Step, answers: Vec<Answer>) -> Option<u64> {
        self.steps += 1;
        let mut disk = Told { answers: RefCell::new(answers.into()), notes: RefCell::default() };
        let mut refused = None;
        match step {
            Step::Open { boot, now } => {
                self.name.clone_from(&boot.name);
                match Node::open(boot, now, &mut disk) {
                    Ok(node) => self.node = Some(node),
                    Err(error) => refused = Some(error.to_string()),
                }
            }
            Step::Input { now, input } => self.node.as_mut()?.handle(now, input, &mut disk),
        }
        let Told { answers, notes } = disk;
        let mut deeds = notes.into_inner().deeds;
        if let Some(words) = refused {
            codec::encode_onto(&words, &mut deeds);
        }
        while let Some(output) = self.node.as_mut().and_then(Node::poll) {
            codec::encode_onto(&output, &mut deeds);
        }
        self.hash.update(&deeds);
        answers.into_inner().is_empty().then_some(self.hash.value())
    }
}

/// A disk that answers what was recorded, whatever it is asked.
struct Told {
    answers: RefCell<VecDeque<Answer>>,
    notes: RefCell<Notes>,
}

impl Told {
    /// The next answer, if it is one to such a call.
    fn next<T>(
        &self,
        call: Call<'_>,
        fits: impl FnOnce(Answer) -> Option<T>,
    ) -> Result<T, DiskError> {
        call.note(&mut self.notes.borrow_mut().deeds);
        match self.answers.borrow_mut().pop_front() {
            Some(Answer::Failed(error)) => Err(error),
            answer => answer
                .and_then(fits)
                .ok_or_else(|| DiskError::Io("the recording has no such answer".into())),
        }
    }

    fn done(&self, call: Call<'_>) -> Result<(), DiskError> {
        self.next(call, |answer| matches!(answer, Answer::Done).then_some(()))
    }
}

impl Disk for Told {
    fn create(&mut self, file: FileId, room: u64) -> Result<(), DiskError> {
        self.done(Call::of(CREATE, file, 0, room))
    }

    fn append(&mut self, file: FileId, bytes: &[u8]) -> Result<(), DiskError> {
        self.done(Call { bytes, ..Call::of(APPEND, file, 0, bytes.len() as u64) })
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.done(Call { bytes, ..Call::of(WRITE, file, offset, bytes.len() as u64) })
    }

    fn read_at(&self, file: FileId, offset: u64, length: u64) -> Result<Vec<u8>, DiskError> {
        self.next(Call::of(READ, file, offset, length), |answer| match answer {
            Answer::Bytes(bytes) if bytes.len() as u64 == length => Some(bytes),
            _ => None,
        })
    }

    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        self.next(Call::of(LEN, file, 0, 0), |answer| match answer {
            Answer::Length(length) => Some(length),
            _ => None,
        })
    }

    fn truncate(&mut self, file: FileId, length: u64) -> Result<(), DiskError> {
        self.done(Call::of(TRUNCATE, file, 0, length))
    }

    fn remove(&mut self, file: FileId) -> Result<(), DiskError> {
        self.done(Call::of(REMOVE, file, 0, 0))
    }

    fn list(&self) -> Result<Vec<FileId>, DiskError> {
        self.next(Call::of(LIST, FileId(0), 0, 0), |answer| match answer {
            Answer::Files(files) => Some(files),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::sim::{SimConfig, World};
    use crate::time::Mono;

    /// Whoever sends a journal can make its checksums right.
    #[test]
    fn whatever_a_journal_holds_is_refused_or_played() {
        let config = SimConfig { nodes: 3, partitions: 8, ..SimConfig::default() };
        let mut world = World::recorded(config).unwrap();
        world.run_until(Mono(1_500_000), u64::MAX);
        let journal = world.journals(1)[0].bytes();
        let (_, mut place) = frame::version(journal).unwrap();
        let mut frames = Vec::new();
        while let Found::Whole(content, next) = frame::at(journal, place) {
            frames.push(content.to_vec());
            place = next;
        }
        let mut refused = 0;
        for seed in 0..3_000 {
            let (mut rng, mut forged) = (Rng::new(seed), frames.clone());
            // The build, the opening, or an input.
            let among = if rng.below(2) == 0 { 2 } else { frames.len() as u64 };
            let which = rng.below(among);
            let frame = &mut forged[which as usize];
            for _ in 0..=rng.below(3) {
                let at = rng.below(frame.len() as u64) as usize;
                frame[at] = rng.any() as u8;
            }
            let mut bytes = frame::header();
            forged.iter().for_each(|frame| frame::append(&mut bytes, frame));
            refused += u32::from(replay(&bytes).is_err());
        }
        assert!(refused > 1_500, "{refused} are refused");
    }
}
