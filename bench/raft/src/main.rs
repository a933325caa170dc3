//! Measures kv's consensus machine beside raft-rs; `cargo xtask bench raft` builds and starts it.
//!
//! One driver (`cluster.rs`) for both machines (`ours.rs`, `theirs.rs`): three replicas in one process,
//! messages handed over as values, disks that are in memory and sync at once. Rounds alternate between
//! the two; what counts is the processor time of the one thread, median over the rounds.
//!
//! For a profiler: `kv-bench-raft kv one` measures only that machine, and only the lines that begin so.

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

/// A line of the table: its name, the load, and whether raft-rs gathers entries.
const LINES: [(&str, Load, bool); 4] = [
    ("one at a time", Load::Single, false),
    ("64 proposals, then a turn", Load::Many, false),
    ("64 proposals, batch_append", Load::Many, true),
    ("64 in one proposal", Load::Together, false),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let only = Only { machine: arguments.next(), line: arguments.next() };
    println!("3 replicas, {COMMAND_BYTES} bytes each, {ROUNDS} rounds, medians of processor time");
    println!("{:<40}{:>14}{:>14}{:>12}", "commands per second", "kv", "raft-rs", "kv/raft-rs");
    for (name, load, gathers) in LINES {
        if only.has_line(name) {
            let options = Options { gathers };
            let ours = || commands_per_second::<Ours>(load, options);
            let theirs = || commands_per_second::<Theirs>(load, options);
            let (ours, theirs) = rounds(&only, ours, theirs);
            let (ours, theirs) = (median(ours), median(theirs));
            println!("  {name:<38}{ours:>14.0}{theirs:>14.0}{:>12.2}", ours / theirs);
        }
    }
    if only.has_line("idle") {
        idle(&only);
    }
}

/// What is measured, if not everything.
struct Only {
    machine: Option<String>,
    line: Option<String>,
}

impl Only {
    fn has_machine(&self, name: &str) -> bool {
        self.machine.as_ref().is_none_or(|machine| machine == name)
    }

    fn has_line(&self, name: &str) -> bool {
        self.line.as_ref().is_none_or(|line| name.starts_with(line))
    }
}

fn idle(only: &Only) {
    let (ours, theirs) = rounds(only, cost_of_idling::<Ours>, cost_of_idling::<Theirs>);
    let name = format!("{GROUPS} idle groups on 3 nodes");
    println!("{name:<40}{:>14}{:>14}{:>12}", "kv", "raft-rs", "raft-rs/kv");
    let (millis, theirs_millis) = (median(part(&ours, 0)), median(part(&theirs, 0)));
    let name = "  processor ms per second, one node";
    println!("{name:<40}{millis:>14.2}{theirs_millis:>14.2}{:>12.2}", theirs_millis / millis);
    let (count, theirs_count) = (median(part(&ours, 1)), median(part(&theirs, 1)));
    println!("{:<40}{count:>14.0}{theirs_count:>14.0}", "  messages per second, all nodes");
}

/// What both came to, in turns.
fn rounds<T>(only: &Only, ours: impl Fn() -> T, theirs: impl Fn() -> T) -> (Vec<T>, Vec<T>) {
    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_ours.extend(only.has_machine(Ours::NAME).then(&ours));
        of_theirs.extend(only.has_machine(Theirs::NAME).then(&theirs));
    }
    (of_ours, of_theirs)
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
