//! `cargo xtask torture`: `tests/tests/torture.rs` on release builds and for long, and the report of it.

use std::fs;

use anyhow::{Context, Result};

use crate::page::{self, Profile};
use crate::{shell, sim, workspace};

/// Where the report is kept, in the repository.
const REPORT: &str = "docs/torture-report.md";

/// Options of `cargo xtask torture`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often nodes are killed
    #[arg(long, default_value_t = 100)]
    kills: u64,
    /// Write what was found to docs/torture-report.md
    #[arg(long)]
    report: bool,
}

/// Kills nodes under load, and writes the report if it is wanted.
pub(crate) fn run(options: &Options) -> Result<()> {
    let kv = page::kv(Profile::Release)?;
    let path = workspace::target_folder()?.join("torture.md");
    shell::step("torture", "real nodes under load, killed again and again", || {
        let mut cargo = workspace::cargo();
        cargo.args(["test", "--package", "kv-tests", "--test", "torture"]);
        cargo.args(["kills", "--", "--exact", "--nocapture"]);
        cargo.env("KV_BIN", &kv).env("KILLS", options.kills.to_string());
        shell::run(cargo.env("KV_TORTURE_REPORT", &path))
    })?;
    if options.report {
        let text = format!(
            "# Torture report\n\n\
             Written by `cargo xtask torture --report`; [testing.md](testing.md) says what is judged and how.\n\n\
             - Date: {}\n- Commit: {}\n\n{}",
            sim::today()?.trim(),
            sim::commit()?,
            fs::read_to_string(&path)?,
        );
        fs::write(workspace::root().join(REPORT), text)
            .with_context(|| format!("{REPORT} cannot be written"))?;
        println!("wrote {REPORT}");
    }
    Ok(())
}
