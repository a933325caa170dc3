//! The same smaller workload on a disk in memory, natively and as WebAssembly in Node, in turns.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::table::median;

/// Fits a browser's memory many times over.
const ENTRIES: u32 = 200_000;

/// Rates per second by phase.
type Rates = BTreeMap<String, f64>;

/// Runs all rounds and lays the medians out.
pub(crate) fn compare(module: &Path, rounds: u64) -> Result<String> {
    let mut pairs = Vec::new();
    for round in 0..rounds {
        eprintln!("in memory, round {} of {rounds}", round + 1);
        pairs.push((native()?, in_node(module)?));
    }
    let mut text = format!(
        "\nOn a disk in memory, {ENTRIES} entries, jobs in place, per second:\n{:<40}{:>12}{:>12}{:>14}\n",
        "", "native", "WASM", "WASM/native"
    );
    for phase in ["insert", "hit", "miss", "scan"] {
        let of = |which: &dyn Fn(&(Rates, Rates)) -> Option<f64>| {
            median(pairs.iter().filter_map(which).collect()).context("a phase told no rate")
        };
        let native = of(&|pair| pair.0.get(phase).copied())?;
        let wasm = of(&|pair| pair.1.get(phase).copied())?;
        let _ = writeln!(text, "{phase:<40}{native:>12.0}{wasm:>12.0}{:>14.2}", wasm / native);
    }
    Ok(text)
}

fn native() -> Result<Rates> {
    let phases: [(&str, &dyn Fn() -> u32); 4] = [
        ("insert", &|| kv_bench_memory::insert(ENTRIES)),
        ("hit", &|| kv_bench_memory::hit()),
        ("miss", &|| kv_bench_memory::miss()),
        ("scan", &|| kv_bench_memory::scan()),
    ];
    let timed = phases.into_iter().map(|(name, phase)| {
        let start = Instant::now();
        let count = phase();
        ensure!(count > 0, "{name} failed in memory");
        Ok((name.to_owned(), f64::from(count) / start.elapsed().as_secs_f64()))
    });
    timed.collect()
}

fn in_node(module: &Path) -> Result<Rates> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("memory/run.mjs");
    let mut node = Command::new("node");
    node.arg(script).arg(module).arg(ENTRIES.to_string()).stdin(Stdio::null());
    let output = node.stderr(Stdio::inherit()).output().context("node cannot be started")?;
    ensure!(output.status.success(), "the WebAssembly module failed: {}", output.status);
    serde_json::from_slice(&output.stdout).context("node did not tell the rates in JSON")
}
