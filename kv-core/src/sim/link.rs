//! A run as a short text, to be put into an address and sent to somebody.
//!
//! The text is base64url of: the version of this format, the build of the core that made it, the [`Run`],
//! and a CRC-32 of all that, so that a changed character is not taken for another run. Times are written
//! as steps from one action to the next, in milliseconds where they are whole, so an action costs a few
//! bytes. A link is foreign input: it is bounded, and whatever is wrong with it is an error that says what
//! to do.
//!
//! Left out: compression; the actions are too different from each other to gain much.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::act::ACTIONS_MAX;
use super::action::{Action, TimedAction};
use super::config::{ActionRefused, Run, SimConfig, refuse};
use crate::time::Mono;
use crate::{BUILD, codec};

/// What a link holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The build of the core that made it ([`BUILD`]). Another one may go another way.
    pub build: String,
    /// The run, not yet played.
    pub run: Run,
}

/// The link of a run of this build.
#[must_use]
pub fn encode(run: &Run) -> String {
    let mut bytes = alloc::vec![FORMAT];
    bytes.extend_from_slice(&codec::encode(&(BUILD, Packed::of(run))));
    sealed(bytes)
}

/// The same, if such a link is opened again: a run may have become too long for one.
pub fn share(run: &Run) -> Result<String, ActionRefused> {
    let text = encode(run);
    match decode(&text) {
        Ok(_) => Ok(text),
        Err(_) => refuse(format!(
            "the run has become too long for a link, which holds at most a day, {STEPS_MAX} events, {ACTIONS_MAX} actions and {TEXT_MAX} characters; share an earlier moment of it"
        )),
    }
}

/// The text of what a link holds.
fn sealed(mut bytes: Vec<u8>) -> String {
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a link holds. A run of it has a valid configuration, at most [`ACTIONS_MAX`] actions in order,
/// and ends in bounded time; whether its actions make sense shows when it is played.
pub fn decode(text: &str) -> Result<Link, LinkError> {
    if text.len() > TEXT_MAX {
        return Err(LinkError::TooLong);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| LinkError::Damaged)?;
    let (whole, sum) = bytes.split_last_chunk().ok_or(LinkError::Damaged)?;
    let [format, rest @ ..] = whole else { return Err(LinkError::Damaged) };
    let is_whole = u32::from_le_bytes(*sum) == crc32fast::hash(whole);
    match *format {
        FORMAT if is_whole => {}
        FORMAT => return Err(LinkError::Damaged),
        format if is_whole || UNSEALED.contains(&format) => return Err(LinkError::Format(format)),
        _ => return Err(LinkError::Damaged),
    }
    // The build comes first, so that a run which only that build can read is refused by its name.
    let (build, rest) =
        postcard::take_from_bytes::<String>(rest).map_err(|_| LinkError::Damaged)?;
    if build.len() > 64 || !build.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(LinkError::Damaged);
    }
    let Ok(packed) = codec::decode::<Packed>(rest) else {
        return Err(if build == BUILD { LinkError::Damaged } else { LinkError::Build(build) });
    };
    let run = packed.run()?;
    Ok(Link { build, run })
}

/// The version of the format of links.
pub const FORMAT: u8 = 3;

/// The formats that had no checksum.
const UNSEALED: [u8; 2] = [1, 2];

/// The longest text that is looked at, in bytes.
const TEXT_MAX: usize = 256 * 1_024;
/// How far a run of a link may go: a day of simulated time.
const UNTIL_MAX: Mono = Mono(24 * 3_600 * 1_000_000);
/// How many simulator events a run of a link may have, so that it is played in bounded time.
const STEPS_MAX: u64 = 50_000_000;

/// Why a text is not a link that can be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// It is longer than any link.
    TooLong,
    /// It is not a link, or not a whole one.
    Damaged,
    /// It has another format.
    Format(u8),
    /// Only the build that made it can read it.
    Build(String),
    /// It holds something that cannot be, in these words.
    Impossible(String),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the link is too long to be one; copy it again"),
            Self::Damaged => {
                f.write_str("the link is damaged or not complete; copy it again, to its very end")
            }
            Self::Format(format) => write!(
                f,
                "the link has format {format}, and this release reads format {FORMAT}; open it with the release that made it"
            ),
            Self::Build(build) => write!(
                f,
                "the link was made by build {build} and cannot be read by this one ({BUILD}); open it with the release that made it"
            ),
            Self::Impossible(words) => write!(f, "the link holds an impossible run: {words}"),
        }
    }
}

impl core::error::Error for LinkError {}

/// A run as it travels.
#[derive(Serialize, Deserialize)]
struct Packed {
    config: SimConfig,
    /// Each with the time since the one before.
    actions: Vec<(Pause, Action)>,
    /// From the last action to the end.
    rest: Pause,
    steps: u64,
    hash: u64,
}

/// A span of time: doubled milliseconds, or doubled microseconds plus one.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Pause(u64);

impl Pause {
    fn between(earlier: Mono, later: Mono) -> Self {
        let span = later - earlier;
        if span.0.is_multiple_of(1_000) {
            Self(span.as_millis() << 1)
        } else {
            Self(span.0 << 1 | 1)
        }
    }

    fn after(self, earlier: Mono) -> Mono {
        let span = self.0 >> 1;
        let micros = if self.0 & 1 == 1 { span } else { span.saturating_mul(1_000) };
        Mono(earlier.0.saturating_add(micros))
    }
}

impl Packed {
    fn of(run: &Run) -> Self {
        let mut last = Mono::default();
        let mut actions = Vec::new();
        for TimedAction { at, action } in &run.actions {
            actions.push((Pause::between(last, *at), action.clone()));
            last = *at;
        }
        let rest = Pause::between(last, run.until);
        let Run { config, steps, hash, .. } = run.clone();
        Self { config, actions, rest, steps, hash }
    }

    fn run(self) -> Result<Run, LinkError> {
        let Self { config, actions, rest, steps, hash } = self;
        config.check().map_err(|refused| LinkError::Impossible(refused.0))?;
        if actions.len() as u64 > ACTIONS_MAX {
            return Err(LinkError::Impossible(format!("it has more than {ACTIONS_MAX} actions")));
        }
        let mut at = Mono::default();
        let mut timed = Vec::new();
        for (pause, action) in actions {
            at = pause.after(at);
            timed.push(TimedAction { at, action });
        }
        let until = rest.after(at);
        if until > UNTIL_MAX {
            return Err(LinkError::Impossible(String::from("it is longer than a day")));
        }
        if steps > STEPS_MAX {
            return Err(LinkError::Impossible(format!("it has more than {STEPS_MAX} events")));
        }
        Ok(Run { config, actions: timed, until, steps, hash })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::id::FileId;
    use crate::rng::{Ratio, Rng};
    use crate::settings::Setting;
    use crate::sim::{ClientOperation, NetworkConfig};
    use crate::time::Micros;

    /// What somebody does with a mouse: a bit of everything, a few seconds apart.
    fn clicked(rng: &mut Rng) -> Action {
        let node = rng.below(5) as u16;
        let to = (node + 1) % 5;
        let key = Bytes::from(format!("k{}", rng.below(8)));
        match rng.below(15) {
            11 => Action::Fill { node, free: rng.below(9_000) },
            12 => Action::Free { node },
            13 => Action::Slow { node, wait: Micros::from_millis(rng.below(300)) },
            14 => Action::Flip { node, file: FileId::table(7), offset: rng.below(90_000), bit: 3 },
            0 | 1 => Action::Crash { node },
            2 | 3 => Action::Restart { node },
            4 => Action::Cut { from: node, to },
            5 => Action::Mend { from: node, to },
            6 => Action::Partition { groups: alloc::vec![0, 0, 1, 1, 1] },
            7 => Action::Heal,
            8 => Action::Set { node, changes: alloc::vec![(Setting::ReadQuorum, 1)] },
            9 => Action::Client { client: None, node, operation: ClientOperation::Get { key } },
            10 => {
                let value = Bytes::from(format!("v{}", rng.below(90)));
                Action::Client {
                    client: None,
                    node,
                    operation: ClientOperation::Put { key, value },
                }
            }
            _ => Action::Network(NetworkConfig {
                loss: Ratio::per_mille(rng.below(200) as u32),
                ..NetworkConfig::default()
            }),
        }
    }

    fn run(actions: u64) -> Run {
        let mut rng = Rng::new(3);
        let mut at = Mono::default();
        let mut action = || {
            at = at + Micros::from_millis(rng.between(50, 5_000));
            TimedAction { at, action: clicked(&mut rng) }
        };
        let actions = (0..actions).map(|_| action()).collect();
        let until = Mono(600_000_001);
        Run { config: SimConfig::default(), actions, until, steps: 123_456, hash: u64::MAX }
    }

    #[test]
    fn a_link_gives_the_run_back_and_two_hundred_actions_fit_an_address() {
        for actions in [0, 1, 200] {
            let run = run(actions);
            let text = encode(&run);
            assert_eq!(decode(&text), Ok(Link { build: BUILD.into(), run }));
            assert!(text.len() < 2_000, "{actions} actions are {} characters", text.len());
        }
    }

    #[test]
    fn a_run_that_no_link_can_hold_is_not_shared() {
        let short = run(200);
        assert_eq!(share(&short), Ok(encode(&short)));
        let (mut long, mut busy) = (run(0), run(0));
        long.until = Mono(UNTIL_MAX.0 + 1);
        busy.steps = STEPS_MAX + 1;
        let key = Bytes::from(alloc::vec![b'k'; TEXT_MAX]);
        let mut wide = run(0);
        let operation = ClientOperation::Get { key };
        let action = Action::Client { client: None, node: 0, operation };
        wide.actions.push(TimedAction { at: Mono(1), action });
        for run in [long, busy, wide] {
            let refused = share(&run).unwrap_err();
            assert!(refused.0.ends_with("share an earlier moment of it"), "{refused}");
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let text = encode(&run(20));
        for end in 0..text.len() {
            assert!(decode(&text[..end]).is_err(), "{end} of {} characters", text.len());
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let bytes = URL_SAFE_NO_PAD.decode(encode(&run(3))).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let expected = match changed[0] {
                format @ (1 | 2) => LinkError::Format(format),
                _ => LinkError::Damaged,
            };
            assert_eq!(decode(&URL_SAFE_NO_PAD.encode(changed)), Err(expected), "bit {bit}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(decode(""), Err(LinkError::Damaged));
        assert_eq!(decode("no link, surely"), Err(LinkError::Damaged));
        assert_eq!(decode(&text(&[9, 1, 2, 3, 4, 5])), Err(LinkError::Damaged));
        assert_eq!(decode("abc"), Err(LinkError::Damaged), "the name of a file, it may be");
        assert_eq!(decode(&sealed(alloc::vec![9, 1, 2])), Err(LinkError::Format(9)));
        let old = decode(&text(&[1, 1, 2, 3, 4, 5])).unwrap_err();
        assert_eq!(
            format!("{old}"),
            "the link has format 1, and this release reads format 3; open it with the release that made it"
        );
        assert_eq!(decode(&"A".repeat(TEXT_MAX + 1)), Err(LinkError::TooLong));
        let mut other = alloc::vec![FORMAT];
        other.extend_from_slice(&codec::encode(&("0123", 77_u64)));
        assert_eq!(decode(&sealed(other)), Err(LinkError::Build("0123".into())));
        let mut none = run(0);
        none.config.nodes = 0;
        assert!(matches!(decode(&encode(&none)), Err(LinkError::Impossible(_))));
        let impossible = |words: &str| Err(LinkError::Impossible(words.into()));
        let mut endless = run(0);
        endless.until = Mono(u64::MAX);
        assert_eq!(decode(&encode(&endless)), impossible("it is longer than a day"));
        let mut busy = run(0);
        busy.steps = STEPS_MAX + 1;
        assert_eq!(decode(&encode(&busy)), impossible("it has more than 50000000 events"));
    }
}
