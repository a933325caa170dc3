//! Chromium and its driver: what is on the PATH (or named by `KV_CHROMIUM`, `KV_CHROMEDRIVER`), else
//! Debian's packages, whose versions always fit each other.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::apt;
use crate::shell;

/// A browser for tests.
pub(crate) struct Browser {
    /// Chromium itself, for Playwright.
    pub(crate) chromium: PathBuf,
    /// Its WebDriver server, for wasm-pack.
    pub(crate) driver: PathBuf,
}

impl Browser {
    /// Finds or installs it.
    pub(crate) fn ensure() -> Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        let why = "the core's WebAssembly and the page are tested in a real browser";
        shell::step("install chromium and chromium-driver", why, || {
            apt::install(&["chromium", "chromium-driver"])
        })?;
        Self::find().context(
            "chromium or chromedriver is still not on the PATH; set KV_CHROMIUM and KV_CHROMEDRIVER to them",
        )
    }

    fn find() -> Option<Self> {
        let named = |variable| env::var_os(variable).map(PathBuf::from);
        let chromium = named("KV_CHROMIUM")
            .or_else(|| shell::find(&["chromium", "chromium-browser", "google-chrome"]))?;
        let driver = named("KV_CHROMEDRIVER").or_else(|| shell::find(&["chromedriver"]))?;
        Some(Self { chromium, driver })
    }
}
