//! `cargo xtask`: every command a developer of kv needs, on a machine that has only Rust, Node and
//! a C compiler.
//!
//! Each command first installs what it lacks (`setup`), says what and why, and does nothing the
//! second time. Nothing here is part of the product: the nodes and the page are started by `kv play`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to the person who started it"
)]

mod bench;
mod ci;
mod no_std;
mod page;
mod play;
mod setup;
mod shell;
mod sim;
mod test;
mod tidy;
mod torture;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about, disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything, then start three nodes and the page at http://127.0.0.1:7700.
    Play,
    /// Run every test: native, no_std, WebAssembly in Chromium, the page's own, and the browser's.
    Test,
    /// What continuous integration runs: formatting, lints, tidy, docs, then `test`.
    Ci,
    /// Check the rules of the code base that no compiler knows.
    Tidy,
    /// Measure, and print the numbers.
    Bench {
        #[command(subcommand)]
        what: bench::Bench,
    },
    /// Attack thousands of simulated clusters, and have every planted bug found.
    Sim(sim::Options),
    /// Kill nodes of the strong keyspace a hundred times under load, and judge what clients saw.
    Torture(torture::Options),
    /// Install the tools only, and print the line that puts them on a shell's PATH.
    Setup,
    /// Install Python's packages for tests, and print the interpreter that sees them.
    #[command(hide = true)]
    Python,
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Play => play::run(),
        Command::Test => test::run(),
        Command::Ci => ci::run(),
        Command::Tidy => tidy::run(),
        Command::Bench { what } => bench::run(what),
        Command::Sim(options) => sim::run(&options),
        Command::Torture(options) => torture::run(&options),
        Command::Setup => setup::run(),
        Command::Python => setup::ensure_python().map(|python| println!("{}", python.display())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
