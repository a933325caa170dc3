//! Measures kv's strong keyspace beside etcd; `cargo xtask bench strong` builds both sides and starts it.
//!
//! Three nodes of each run on this machine with their data on one filesystem, every write synced, and with
//! the same election timeouts. The same clients ask both, in turns, so that what else the machine does
//! falls on both: what counts are ratios of medians over the rounds. A round is a pair; the rate at which
//! the device syncs is taken before each half, and a pair between whose halves it has changed more than
//! twofold does not count.
//!
//! | file | what |
//! | --- | --- |
//! | `servers.rs` | the processes, which end with this one whatever happens |
//! | `client.rs` and below | etcd over gRPC, kv over HTTP |
//! | `load.rs` | clients that each ask again when they are answered |
//! | `rounds.rs` | the order of things |
//! | `table.rs` | medians, ratios, goals |
//!
//! Clients and servers share the processors. The clients are one thread for both systems; what they use is
//! told, and counts for neither.

mod client;
mod load;
mod measure;
mod rounds;
mod servers;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use load::Operation;
use servers::System;

/// How kv is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Via {
    /// A kept connection for each client.
    Http,
}

#[derive(Parser)]
#[command(about = "kv's strong keyspace beside etcd")]
struct Options {
    /// The program kv
    #[arg(long)]
    kv: PathBuf,
    /// The program etcd
    #[arg(long, default_value = "/usr/bin/etcd")]
    etcd: PathBuf,
    /// Where the nodes keep their data
    #[arg(long)]
    folder: PathBuf,
    /// A check in about a minute
    #[arg(long)]
    quick: bool,
    /// How kv is asked
    #[arg(long, value_enum, default_value = "http")]
    via: Via,
    /// Only this one, for a profiler
    #[arg(long, value_enum)]
    only: Option<System>,
    /// Only this
    #[arg(long, value_enum)]
    operation: Option<Operation>,
    /// So many clients
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    clients: Vec<usize>,
    /// So many rounds [default: 3 if quick, else 7]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of each half of a round [default: 1 if quick, else 4]
    #[arg(long)]
    seconds: Option<f64>,
}

/// What is measured.
struct Plan {
    systems: Vec<System>,
    operations: Vec<Operation>,
    clients: Vec<usize>,
    rounds: usize,
    time: Duration,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let wanted = |system| options.only.is_none_or(|only| only == system);
    let mut systems = Vec::from([System::Kv, System::Etcd]);
    systems.retain(|system| wanted(*system));
    if systems.contains(&System::Etcd) && !options.etcd.is_file() {
        println!("skipped: there is no etcd here; `apt-get install etcd-server` brings it");
        return Ok(());
    }
    let mut operations = Vec::from([Operation::Put, Operation::Read]);
    operations.retain(|operation| options.operation.is_none_or(|only| only == *operation));
    let (rounds, seconds) = if options.quick { (3, 1.0) } else { (7, 4.0) };
    let plan = Plan {
        systems,
        operations,
        clients: options.clients.clone(),
        rounds: options.rounds.unwrap_or(rounds),
        time: Duration::from_secs_f64(options.seconds.unwrap_or(seconds)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the clients' runtime cannot be started")?;
    // On an interrupt the future is dropped, and the servers with it.
    let results = runtime.block_on(async {
        tokio::select! {
            results = rounds::run(&plan, options) => results,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        }
    })?;
    print!("{}", table::text(&plan, &results));
    Ok(())
}
