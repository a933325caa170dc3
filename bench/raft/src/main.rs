//! Measures kv's consensus machine beside raft-rs; `cargo xtask bench raft` builds and starts it.
//!
//! One driver (`cluster.rs`) for both machines (`ours.rs`, `theirs.rs`): three replicas in one process,
//! messages handed over as values, disks that are in memory and sync at once. Rounds alternate between
//! the two; what counts is the processor time of the one thread, median over the rounds.

mod cluster;
mod idle;
mod ours;
mod theirs;

use rustix::time::{ClockId, clock_gettime};

use cluster::{Cluster, Node, Options};
use idle::Idle;
use ours::Ours;
use theirs::Theirs;

const ROUNDS: usize = 7;

const COMMAND_BYTES: usize = 256;

/// How many commands travel together.
const TOGETHER: u64 = 64;

/// Commands in a round of the closed loop, one at a time and together.
const COMMANDS: [u64; 2] = [100_000, 640_000];

const GROUPS: usize = 1_000;

/// How long the idle groups are watched, in seconds of their own time.
const IDLE_SECONDS: u64 = 10;

/// How commands are proposed.
#[derive(Clone, Copy)]
enum Load {
    /// The next one when the one before is applied.
    Single,
    /// So many proposals, then all are waited for.
    Many,
    /// So many in one proposal, if the machine knows such a thing.
    Together,
}

fn main() {
    let chosen = std::env::args().nth(1).unwrap_or_default();
    let lines = [
        ("one at a time", Load::Single, false),
        ("64 proposals, then a turn", Load::Many, false),
        ("64 proposals, batch_append", Load::Many, true),
        ("64 in one proposal", Load::Together, false),
    ];
    println!("3 replicas, {COMMAND_BYTES} bytes each, {ROUNDS} rounds, medians of processor time");
    println!("{:<40}{:>14}{:>14}{:>12}", "commands per second", "kv", "raft-rs", "kv/raft-rs");
    for (name, load, gathers) in lines {
        let options = Options { gathers };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            if chosen != Theirs::NAME {
                ours.push(commands_per_second::<Ours>(load, options));
            }
            if chosen != Ours::NAME {
                theirs.push(commands_per_second::<Theirs>(load, options));
            }
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!("  {name:<38}{ours:>14.0}{theirs:>14.0}{:>12.2}", ours / theirs);
    }
    if chosen.is_empty() {
        idle();
    }
}

fn idle() {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(cost_of_idling::<Ours>());
        theirs.push(cost_of_idling::<Theirs>());
    }
    let name = format!("{GROUPS} idle groups on 3 nodes");
    println!("{name:<40}{:>14}{:>14}{:>12}", "kv", "raft-rs", "raft-rs/kv");
    let (millis, theirs_millis) = (median(part(&ours, 0)), median(part(&theirs, 0)));
    let name = "  processor ms per second, one node";
    println!("{name:<40}{millis:>14.2}{theirs_millis:>14.2}{:>12.2}", theirs_millis / millis);
    let (count, theirs_count) = (median(part(&ours, 1)), median(part(&theirs, 1)));
    println!("{:<40}{count:>14.0}{theirs_count:>14.0}", "  messages per second, all nodes");
}

fn commands_per_second<N: Node>(load: Load, options: Options) -> f64 {
    let mut cluster = Cluster::<N>::new(options);
    let command = || vec![7_u8; COMMAND_BYTES];
    let (count, step) = match load {
        Load::Single => (COMMANDS[0], 1),
        Load::Many | Load::Together => (COMMANDS[1], TOGETHER),
    };
    let start = processor_seconds();
    for done in (0..count).step_by(step as usize) {
        match load {
            Load::Single | Load::Many => {
                (0..step).for_each(|_| cluster.leader().propose(command()));
            }
            Load::Together => {
                cluster.leader().propose_together((0..step).map(|_| command()).collect());
            }
        }
        cluster.drain(done + step);
    }
    let took = processor_seconds() - start;
    assert!(cluster.finish().iter().all(|applied| *applied == count), "everybody has everything");
    count as f64 / took
}

/// Milliseconds of processor time per second and node, and messages per second of all nodes.
fn cost_of_idling<N: Node>() -> [f64; 2] {
    let mut idle = Idle::<N>::new(GROUPS);
    let begin = 1_000_000;
    idle.run_until(begin);
    let before = idle.messages;
    let start = processor_seconds();
    idle.run_until(begin + IDLE_SECONDS * 1_000_000);
    let took = processor_seconds() - start;
    assert!(idle.led() == GROUPS, "nobody loses touch");
    let seconds = IDLE_SECONDS as f64;
    [took * 1_000.0 / seconds / cluster::REPLICAS as f64, (idle.messages - before) as f64 / seconds]
}

fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn part(all: &[[f64; 2]], which: usize) -> Vec<f64> {
    all.iter().map(|numbers| numbers[which]).collect()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
