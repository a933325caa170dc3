//! `cargo xtask bench`: measurements, on release builds.

use anyhow::Result;
use clap::ValueEnum;

use crate::page::{self, Profile};
use crate::setup::{self, Browser, Wasm};
use crate::{shell, test};

/// What can be measured.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Bench {
    /// First paint, asset sizes after gzip, frames per second with five nodes.
    Page,
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
    }
}
