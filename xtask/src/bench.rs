//! `cargo xtask bench`: measurements, on release builds.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::page::{self, Profile};
use crate::setup::{self, Browser, Wasm};
use crate::{shell, test, workspace};

/// What can be measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// First paint, asset sizes after gzip, frames per second with five nodes.
    Page,
    /// The consensus machine beside raft-rs, both in memory.
    Raft,
    /// Simulated events per second, natively and in WebAssembly, and the judge of histories.
    Sim,
    /// The strong keyspace beside etcd, three nodes of each on this machine.
    Strong {
        /// A check in about a minute; the whole takes about ten.
        #[arg(long)]
        quick: bool,
        /// More options of the benchmark; `-- --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// The storage engine beside fjall and RocksDB, as ratios.
    Storage {
        /// Options of the benchmark; `-- --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
}

/// Builds what is measured, then measures it.
pub(crate) fn run(what: Bench) -> Result<()> {
    match what {
        Bench::Page => {
            setup::check_node()?;
            let browser = Browser::ensure()?;
            page::package(&Wasm::ensure()?)?;
            let page = page::page()?;
            let kv = page::kv(Profile::Release)?;
            shell::step("measure the page", "first paint, sizes, frames per second", || {
                shell::run(test::playwright(&browser, &kv, &page)?.args(["run", "bench"]))
            })
        }
        Bench::Raft => raft(),
        Bench::Sim => simulator(),
        Bench::Strong { quick, options } => strong(quick, &options),
        Bench::Storage { options } => storage(&options),
    }
}

fn raft() -> Result<()> {
    shell::step("measure consensus", "the same three replicas of each, round by round", || {
        let mut cargo = workspace::cargo();
        cargo.args(["run", "--release", "--manifest-path", "bench/Cargo.toml"]);
        cargo.args(["--package", "kv-bench-raft"]);
        cargo.env("CARGO_TARGET_DIR", workspace::target_folder()?.join("bench"));
        shell::run(&mut cargo)
    })
}

fn simulator() -> Result<()> {
    setup::check_node()?;
    let module = memory_module(&Wasm::ensure()?)?;
    shell::step("measure the simulator", "the same clusters natively and as WebAssembly", || {
        let mut cargo = workspace::cargo();
        cargo.args(["run", "--release", "--manifest-path", "bench/Cargo.toml"]);
        cargo.args(["--package", "kv-bench-memory", "--bin", "kv-bench-sim", "--"]).arg(module);
        cargo.env("CARGO_TARGET_DIR", workspace::target_folder()?.join("bench"));
        shell::run(&mut cargo)
    })
}

fn strong(quick: bool, options: &[String]) -> Result<()> {
    let kv = page::kv(Profile::Release)?;
    shell::step("measure the strong keyspace", "the same clients of each, in turns", || {
        let target = workspace::target_folder()?.join("bench");
        let mut cargo = workspace::cargo();
        cargo.args(["run", "--release", "--manifest-path", "bench/Cargo.toml"]);
        cargo.args(["--package", "kv-bench-strong", "--", "--kv"]).arg(kv);
        cargo.arg("--folder").arg(target.join("strong"));
        if quick {
            cargo.arg("--quick");
        }
        shell::run(cargo.args(options).env("CARGO_TARGET_DIR", &target))
    })
}

fn storage(options: &[String]) -> Result<()> {
    setup::check_node()?;
    setup::ensure_clang()?;
    let module = memory_module(&Wasm::ensure()?)?;
    let target = workspace::target_folder()?.join("bench");
    let bench = |command: &str| {
        let mut cargo = workspace::cargo();
        cargo.args([command, "--release", "--manifest-path", "bench/Cargo.toml"]);
        cargo.env("CARGO_TARGET_DIR", &target);
        cargo
    };
    let why = "RocksDB is C++ and takes some minutes the first time";
    shell::step("build the benchmark", why, || shell::run(&mut bench("build")))?;
    shell::step("measure the engines", "the same work for each, round by round", || {
        let folder = target.join("storage");
        shell::run(
            bench("run")
                .arg("--")
                .arg("--folder")
                .arg(folder)
                .arg("--wasm")
                .arg(module)
                .args(options),
        )
    })
}

/// Builds the module that runs the same work in WebAssembly, and returns its path.
fn memory_module(wasm: &Wasm) -> Result<PathBuf> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let why = "the core in a page is compared with the native one";
    shell::step("build the benchmark's WebAssembly module", why, || {
        let mut cargo = wasm.command("cargo")?;
        setup::as_in_page(&mut cargo);
        cargo.args(["build", "--release", "--manifest-path", "bench/Cargo.toml", "--lib"]);
        shell::run(cargo.args(["--package", "kv-bench-memory", "--target", TARGET]))
    })?;
    let folder = workspace::wasm_target_folder()?.join(TARGET);
    Ok(folder.join("release/kv_bench_memory.wasm"))
}
