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
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..))]
    seeds: u64,
    /// Write what was found to docs/test-report.md
    #[arg(long)]
    report: bool,
}

/// Searches, and writes the report if it is wanted.
pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = workspace::target_folder()?.join("sim");
    fs::create_dir_all(&folder)?;
    planted_bugs(Some(&folder))?;
    let bugs = fs::read_to_string(folder.join("planted-bugs.md"))?;
    let raft_bugs = fs::read_to_string(folder.join("planted-raft-bugs.md"))?;
    let kv = page::kv(Profile::Release)?;
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
             Each is found by the same search, and its run then made small. One takes two writes that wait on\n\
             a leader that is cut off, too seldom by chance: a script by hand shows it.\n\n{bugs}\n\
             ## Planted bugs of Raft\n\n\
             Each is noticed by scripts, and found by attacks on replicas; for the rare ones in a temper that\n\
             likes what they take.\n\n{raft_bugs}",
            today()?,
            commit()?,
        );
        let path = workspace::root().join(REPORT);
        fs::write(&path, text).with_context(|| format!("{REPORT} cannot be written"))?;
        println!("wrote {REPORT}");
    }
    Ok(())
}

/// Plants each known bug and has it found; what was found is written to this folder, as Markdown. And
/// has attacks find nothing where none is planted.
pub(crate) fn planted_bugs(report: Option<&Path>) -> Result<()> {
    let why = "a judge that never objects proves nothing";
    shell::step("planted bugs", why, || {
        let mut cargo = workspace::cargo();
        cargo.args(["test", "--package", "kv-core", "--features", "bugs"]);
        cargo
            .args(["--test", "bugs", "--test", "raft_bugs", "--test", "sim_faults"])
            .args(["--", "--show-output"])
            .env("SEEDS", SEEDS_IN_CI);
        if let Some(folder) = report {
            cargo.env("KV_REPORT", folder);
        }
        shell::run(&mut cargo)
    })
}

/// How many seeds every change is tried with, as far as the time box of the test goes; and an eighth of
/// them with each kind of fault alone.
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
