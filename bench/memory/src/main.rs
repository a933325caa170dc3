//! Measures the simulator and the judge of histories; `cargo xtask bench sim` builds and starts it.
//!
//! `kv-bench-sim MODULE` runs each cluster natively and, in Node, as WebAssembly, in turns, and prints
//! medians. The module is this crate's own.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use kv_bench_memory::history;
use kv_bench_memory::simulator::Cluster;
use kv_core::check::linear::{self, Bounds};
use mimalloc::MiMalloc;

/// Nodes, operations a second, simulated milliseconds.
const CLUSTERS: [(&str, u16, u32, u64); 3] = [
    ("5 nodes, 100 operations a second", 5, 100, 300_000),
    ("9 nodes, 1,000 operations a second", 9, 1_000, 30_000),
    ("100 nodes, gossip alone", 100, 0, 60_000),
];

/// As in the binary of the nodes.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const ROUNDS: usize = 5;

/// What one run came to.
#[derive(Clone, Copy)]
struct Rate {
    events: f64,
    /// Simulated seconds.
    simulated: f64,
    /// Seconds that took.
    took: f64,
}

fn main() -> ExitCode {
    let Some(module) = std::env::args().nth(1) else {
        eprintln!("kv-bench-sim MODULE: name the WebAssembly module; cargo xtask bench sim does");
        return ExitCode::from(2);
    };
    match measure(Path::new(&module)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("kv-bench-sim: {words}");
            ExitCode::FAILURE
        }
    }
}

fn measure(module: &Path) -> Result<(), String> {
    println!("{:<40}{:>14}{:>14}{:>12}", "simulated", "native", "WASM", "WASM/native");
    for (name, nodes, per_second, millis) in CLUSTERS {
        let (mut native, mut wasm) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            native.push(natively(nodes, per_second, millis)?);
            wasm.push(in_node(module, nodes, per_second, millis)?);
        }
        let (native, wasm) = (median(native), median(wasm));
        let events = |rate: Rate| rate.events / rate.took;
        let times = |rate: Rate| rate.simulated / rate.took;
        let (fast, slow) = (events(native), events(wasm));
        println!("{name}");
        println!("{:<40}{fast:>14.0}{slow:>14.0}{:>12.2}", "  events per second", slow / fast);
        println!("{:<40}{:>13.0}x{:>13.0}x", "  times real time", times(native), times(wasm));
    }
    judge()
}

fn natively(nodes: u16, per_second: u32, millis: u64) -> Result<Rate, String> {
    let mut cluster = Cluster::new(nodes, per_second).ok_or("the cluster cannot be")?;
    let start = Instant::now();
    let events = cluster.run(millis) as f64;
    Ok(Rate { events, simulated: millis as f64 / 1_000.0, took: start.elapsed().as_secs_f64() })
}

fn in_node(module: &Path, nodes: u16, per_second: u32, millis: u64) -> Result<Rate, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("simulate.mjs");
    let mut node = Command::new("node");
    node.arg(script).arg(module).args([
        nodes.to_string(),
        per_second.to_string(),
        millis.to_string(),
    ]);
    let output = node.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("node cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse::<f64>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(events), Some(took)) if output.status.success() => {
            Ok(Rate { events, simulated: millis as f64 / 1_000.0, took })
        }
        _ => Err(format!("the WebAssembly module failed: {text}")),
    }
}

fn judge() -> Result<(), String> {
    let history = history::of_registers(10_000, 100, 16);
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let verdict = linear::check(&history, Bounds::default());
        took.push(start.elapsed().as_secs_f64() * 1_000.0);
        if verdict.objection().is_some() {
            return Err(format!("a history that is linearizable was called wrong: {verdict:?}"));
        }
    }
    took.sort_by(f64::total_cmp);
    println!("linearizable? 10,000 operations, 100 keys, 16 clients: {:.1} ms", took[ROUNDS / 2]);
    Ok(())
}

fn median(mut rates: Vec<Rate>) -> Rate {
    rates.sort_by(|one, two| (one.events / one.took).total_cmp(&(two.events / two.took)));
    rates[rates.len() / 2]
}
