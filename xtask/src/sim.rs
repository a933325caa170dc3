//! `cargo xtask sim`: thousands of simulated clusters under attack, and the report of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::page::{self, Profile};
use crate::{shell, workspace};

/// Where the report is kept, in the repository.
const REPORT: &str = "docs/test-report.md";

/// Options of `cargo xtask sim`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many seeds; half as many again are run while partitions move
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Write what was found to docs/test-report.md
    #[arg(long)]
    report: bool,
}

/// Searches, and writes the report if it is wanted.
pub(crate) fn run(options: &Options) -> Result<()> {
    let bugs = planted_bugs(true)?;
    let kv = page::kv(Profile::Release)?;
    let folder = workspace::target_folder()?.join("sim");
    fs::create_dir_all(&folder)?;
    let raft = raft(options.seeds / 5, &folder)?;
    let still = search(&kv, &folder, "still.md", options.seeds, &[])?;
    let moving = search(&kv, &folder, "moving.md", options.seeds / 2, &["--moves"])?;
    if options.report {
        let text = format!(
            "# Test report\n\n\
             Written by `cargo xtask sim --report`; [testing.md](testing.md) says what is judged and how.\n\n\
             - Date: {}\n- Commit: {}\n\n\
             ## Clusters whose partitions stay\n\n{still}\n\
             ## Clusters whose partitions move\n\n{moving}\n\
             ## Raft by itself\n\n{raft}\n\
             ## Planted bugs\n\n\
             Each is found by the same search, and its run then made small.\n\n{bugs}",
            today()?,
            commit()?,
        );
        let path = workspace::root().join(REPORT);
        fs::write(&path, text).with_context(|| format!("{REPORT} cannot be written"))?;
        println!("wrote {REPORT}");
    }
    Ok(())
}

/// Plants each known bug and has it found; with `report` returns what was found as Markdown.
pub(crate) fn planted_bugs(report: bool) -> Result<String> {
    let path = workspace::target_folder()?.join("planted-bugs.md");
    let why = "a judge that never objects proves nothing";
    shell::step("planted bugs", why, || {
        let mut cargo = workspace::cargo();
        cargo.args(["test", "--package", "kv-core", "--features", "bugs"]);
        cargo
            .args(["--test", "bugs", "--test", "raft_bugs", "--test", "sim_faults"])
            .env("SEEDS", SEEDS_IN_CI);
        if report {
            cargo.env("KV_REPORT", &path);
        }
        shell::run(&mut cargo)
    })?;
    if report { Ok(fs::read_to_string(&path)?) } else { Ok(String::new()) }
}

/// How many seeds every change is tried with.
const SEEDS_IN_CI: &str = "500";

/// Attacks replicas of Raft groups, and returns what happened as Markdown.
fn raft(seeds: u64, folder: &Path) -> Result<String> {
    let path = folder.join("raft.md");
    shell::step("Raft", "replicas under attack, on all cores", || {
        let mut cargo = workspace::cargo();
        cargo.args(["test", "--package", "kv-core", "--test", "raft", "attacks"]);
        shell::run(cargo.env("SEEDS", seeds.to_string()).env("KV_RAFT_REPORT", &path))
    })?;
    Ok(fs::read_to_string(&path)?)
}

fn search(kv: &Path, folder: &Path, name: &str, seeds: u64, more: &[&str]) -> Result<String> {
    let report = folder.join(name);
    shell::step("search", "clusters under attack, on all cores", || {
        let mut command = shell::command(kv, workspace::root());
        command.args(["sim", "--seeds", &format!("1..{seeds}")]).args(more);
        shell::run(command.arg("--report").arg(&report))
    })?;
    Ok(fs::read_to_string(&report)?)
}

/// The date, in UTC.
pub(crate) fn today() -> Result<String> {
    shell::output(Command::new("date").args(["-u", "+%Y-%m-%d"]))
}

/// The commit that was tried, and whether files differ from it.
pub(crate) fn commit() -> Result<String> {
    let git = |arguments: &[&str]| {
        shell::output(shell::command("git", workspace::root()).args(arguments))
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.trim().is_empty();
    Ok(format!("{}{}", commit.trim(), if changed { ", with changes" } else { "" }))
}
