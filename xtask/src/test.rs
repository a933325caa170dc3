//! `cargo xtask test`: every test there is, the native ones first, those through a browser last.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::page::{self, Profile};
use crate::setup::{self, Browser, Wasm};
use crate::{no_std, shell, sim, workspace};

/// Installs what is missing, then runs everything; the first failure ends it.
pub(crate) fn run() -> Result<()> {
    setup::check_node()?;
    let wasm = Wasm::ensure()?;
    let browser = Browser::ensure()?;
    let python = setup::ensure_python()?;
    let kv = page::kv(Profile::Debug)?;
    shell::step("native tests", "units, scripts, simulations, real clusters", || {
        let mut cargo = workspace::cargo();
        shell::run(cargo.args(["test", "--workspace"]).env("KV_BIN", &kv).env("KV_PYTHON", &python))
    })?;
    sim::planted_bugs(None)?;
    no_std::check(&wasm)?;
    page::package(&wasm)?;
    in_chromium(&wasm, &browser)?;
    setup::install_packages("web")?;
    shell::step("page checks", "types, and the page's own unit tests", || {
        shell::run(workspace::npm("web").args(["run", "check"]))?;
        shell::run(workspace::npm("web").arg("test"))
    })?;
    let page = page::page()?;
    shell::step("browser tests", "the built page, used as a person uses it", || {
        shell::run(playwright(&browser, &kv, &page)?.arg("test"))
    })
}

/// The WASM package's tests, and with them the parity of browser and native runs.
fn in_chromium(wasm: &Wasm, browser: &Browser) -> Result<()> {
    shell::step("WASM tests", "the core behaves in Chromium as it does natively", || {
        let mut command = wasm.command("wasm-pack")?;
        command.args(["test", "--headless", "--chrome", "--chromedriver"]).arg(&browser.driver);
        shell::run(command.args(["--mode", "no-install", "kv-wasm"]))
    })
}

/// npm in `tests/browser`, told where browser, nodes and page are.
pub(crate) fn playwright(browser: &Browser, kv: &Path, page: &Path) -> Result<Command> {
    setup::install_packages("tests/browser")?;
    let mut npm = workspace::npm("tests/browser");
    npm.env("KV_CHROMIUM", &browser.chromium).env("KV_BIN", kv).env("KV_PAGE", page);
    Ok(npm)
}
