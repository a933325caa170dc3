//! Measures kv's storage engine beside fjall and RocksDB, with the same work in the same run, and
//! prints ratios. `cargo xtask bench storage` builds and starts it.
//!
//! A run is made of rounds (`rounds.rs`), a round of phases (`phase.rs`), each on every engine
//! (`engine.rs`) with the same entries (`workload.rs`). The end is a table (`table.rs`).
//! To profile one phase, fill a folder with `--only insert --keep` and start
//! `kv-bench phase ENGINE PHASE FOLDER/ENGINE/db` under the profiler.

mod engine;
mod measure;
mod memory;
mod phase;
mod rounds;
mod table;
mod workload;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};

use engine::Kind;
use phase::{Extent, Phase};
use rounds::Plan;

#[derive(Parser)]
#[command(about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    one: Option<One>,
    #[command(flatten)]
    all: All,
}

#[derive(Subcommand)]
enum One {
    /// Run one phase on one engine in this process.
    Phase {
        engine: Kind,
        phase: Phase,
        /// Of the database.
        folder: PathBuf,
        #[command(flatten)]
        extent: ExtentArgs,
    },
}

#[derive(Args)]
struct All {
    /// Only this engine; may be repeated.
    #[arg(long)]
    engine: Vec<Kind>,
    /// Only this phase; may be repeated. Phases that read insert first.
    #[arg(long)]
    only: Vec<Phase>,
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Where the databases are made. The device under it is what is measured.
    #[arg(long, default_value = "target/storage")]
    folder: PathBuf,
    /// Leave the databases there in the end.
    #[arg(long)]
    keep: bool,
    /// The module of `memory/`: it is run in Node as well, beside native code.
    #[arg(long)]
    wasm: Option<PathBuf>,
    #[command(flatten)]
    extent: ExtentArgs,
}

#[derive(Args)]
struct ExtentArgs {
    /// Entries inserted; half as many are read in each phase.
    #[arg(long, default_value_t = 2_000_000)]
    ops: u64,
    /// How long each of the synced phases lasts.
    #[arg(long, default_value_t = 3.0)]
    sync_seconds: f64,
    /// Let fjall and RocksDB keep log records in memory until a sync, as kv does.
    #[arg(long)]
    buffered: bool,
}

impl ExtentArgs {
    fn extent(&self) -> Extent {
        Extent { entries: self.ops, sync_time: Duration::from_secs_f64(self.sync_seconds) }
    }
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Some(One::Phase { engine, phase, folder, extent }) = cli.one {
        let numbers = phase::run(phase, engine, &folder, extent.buffered, extent.extent())?;
        println!("{}", serde_json::to_string(&numbers)?);
        return Ok(());
    }
    let all = cli.all;
    let or_all = |chosen: Vec<Kind>| if chosen.is_empty() { Kind::all() } else { chosen };
    let phases = if all.only.is_empty() { Phase::value_variants().to_vec() } else { all.only };
    let plan = Plan {
        engines: or_all(all.engine),
        phases,
        rounds: all.rounds.max(1),
        buffered: all.extent.buffered,
        extent: all.extent.extent(),
        folder: all.folder,
        keep: all.keep,
    };
    fs::create_dir_all(&plan.folder)
        .with_context(|| format!("{} cannot be made", plan.folder.display()))?;
    let results = rounds::run(&plan)?;
    println!(
        "\n{} entries of 16 + 100 bytes, {} rounds, medians; a ratio above 1 is in kv's favour, `!` marks the others.\n\
         64 MiB cache, 64 MiB memtables, Bloom filters of 10 bits, LZ4 from level 2 on, for all engines.\n\
         Unsynced log records: fjall and RocksDB {}, kv gathers them.\n",
        plan.extent.entries,
        plan.rounds,
        if plan.buffered {
            "gather them in memory too"
        } else {
            "hand each to the operating system"
        },
    );
    print!("{}", table::text(&results));
    if let Some(module) = all.wasm {
        print!("{}", memory::compare(&module, plan.rounds)?);
    }
    Ok(())
}
