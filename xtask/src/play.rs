//! `cargo xtask play`: everything built from the present sources, then `kv play` in our place, so that
//! Ctrl-C and the exit code are its own.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::page::{self, Profile};
use crate::setup::{self, Wasm};
use crate::{shell, workspace};

/// Builds, then becomes `kv play`.
pub(crate) fn run() -> Result<()> {
    setup::check_node()?;
    page::package(&Wasm::ensure()?)?;
    let page = page::page()?;
    let kv = page::kv(Profile::Release)?;
    println!("==> kv play: three nodes and the page, until Ctrl-C");
    let error = shell::command(&kv, workspace::root()).args(["play", "--page"]).arg(page).exec();
    Err(error).with_context(|| format!("{} cannot be started", kv.display()))
}
