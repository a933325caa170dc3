//! Scenario scripts: what replicas say to each other, step by step, as transcripts that can be read.
//!
//! Each file below `scenarios/` is one scenario: commands, then what came of them. Nothing happens
//! by itself: a command says which message arrives, whose disk gets done, whose timer runs out. What the
//! harness watches holds after each. `UPDATE=1` writes the transcripts anew; every line that changes wants
//! an explanation.
//!
//! | command | what |
//! | --- | --- |
//! | `cluster nodes=3 [founders= append_bytes= in_flight= chunks= seed=]` | machines that run, with nobody leading |
//! | `setup n1 1-1-4 [term=5]` | a disk with a log of entries of these terms |
//! | `campaign n1`, `timeout n1`, `tick n1` | n1 stands at once; waits in vain for a leader; its first timer runs out |
//! | `deliver [FILTER]`, `drop [FILTER]`, `flying [FILTER]` | messages that are under way now arrive, are lost, are shown |
//! | `keep NAME [FILTER]`, `again NAME`, `again NAME [backwards]` | copies of them, which arrive later, as often as one likes; told is only what they change |
//! | `send n1 n2 term=2 KIND …` | a message that n1 never sent, see `forge.rs` |
//! | `sync [n1 …]` | the sync under way ends; on all machines if none is named |
//! | `stabilize [FILTER] [keep=NAME]` | messages arrive and syncs end, in a fixed order, until there are none; what the filter picks is left under way; copies of all are kept |
//! | `run 2s` | time passes, with all timers, syncs and messages |
//! | `propose n1 [count=] [bytes=]`, `read n1` | a client writes, and reads |
//! | `change n1 voters=n1-n2 [learners=n3]`, `transfer n1 n2` | n1 is asked for that |
//! | `crash n1 …`, `restart n1 …`, `wipe n1 …` | power is lost, is back; is lost with the disk |
//! | `damage n1` | a bit turns over in n1's log, in front of what says that this was durable |
//! | `cut n1 n2`, `cut from=n1 to=n2`, `partition n1-n2 n3`, `heal` | links, and what is on them |
//! | `compact n1` | n1 lets go of all entries that its state machine has on disk |
//! | `lose n1` | n1's state machine cannot read its state any more |
//! | `log [n1 …]`, `state [n1 …]`, `dropped n1` | what they have; what n1 has dropped, counted by reason |
//!
//! A `FILTER` is any of `from=n1-n2`, `to=n3`, `kind=append-heartbeat`, `count=2`. A line of a message has
//! what it changed at the receiver behind `|`: nothing, if it changed nothing.

mod filter;
mod forge;
mod stage;
mod steps;
mod words;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use self::stage::Stage;

/// Plays all scripts, and returns what is not as it is written; or writes it.
pub(crate) fn play_all(writes: bool) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/raft/scripts/scenarios");
    let entries = fs::read_dir(&folder).expect("there are scenarios");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no scripts", folder.display());
    paths.iter().filter_map(|path| play(path, writes).err()).collect()
}

/// Plays a script, and compares what comes of it with what is written, or writes it.
fn play(path: &Path, writes: bool) -> Result<(), String> {
    let script = fs::read_to_string(path).expect("a script can be read");
    let played = catch_unwind(|| goldenscript::generate(&mut Stage::default(), &script));
    let played = played
        .map_err(|_| format!("{}: panicked", path.display()))?
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if writes {
        fs::write(path, played).expect("a script can be written");
        return Ok(());
    }
    let mut lines = played.lines().zip(script.lines()).zip(1..);
    match lines.find(|((now, record), _)| now != record) {
        Some(((now, record), number)) => {
            Err(format!("{}:{number}: now\n  {now}\nand not\n  {record}", path.display()))
        }
        None if played.len() != script.len() => Err(format!("{} ends elsewhere", path.display())),
        None => Ok(()),
    }
}
