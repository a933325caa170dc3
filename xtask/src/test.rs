//! `cargo xtask test`: every test there is, the native ones first, those through a browser last.

use anyhow::Result;

use crate::page::{self, Profile};
use crate::setup::{self, Browser, Wasm};
use crate::{no_std, shell, workspace};

/// Installs what is missing, then runs everything; the first failure ends it.
pub(crate) fn run() -> Result<()> {
    setup::check_node()?;
    let wasm = Wasm::ensure()?;
    let browser = Browser::ensure()?;
    page::package(&wasm)?;
    shell::step("native tests", "units, scripts, simulations, real clusters", || {
        shell::run(workspace::cargo().args(["test", "--workspace"]))
    })?;
    no_std::check(&wasm)?;
    in_browser(&wasm, &browser)?;
    setup::install_packages("web")?;
    shell::step("page checks", "types, and the page's own unit tests", || {
        shell::run(workspace::npm("web").args(["run", "check"]))?;
        shell::run(workspace::npm("web").arg("test"))
    })?;
    page::page()?;
    playwright(&browser, Profile::Debug, &["test"])
}

/// The WASM package's tests, and with them the parity of browser and native runs.
fn in_browser(wasm: &Wasm, browser: &Browser) -> Result<()> {
    shell::step("WASM tests", "the core behaves in Chromium as it does natively", || {
        let mut command = wasm.command("wasm-pack")?;
        command.args(["test", "--headless", "--chrome", "--chromedriver"]).arg(&browser.driver);
        shell::run(command.args(["--mode", "no-install", "kv-wasm"]))
    })
}

/// Runs a script of `tests/browser` against the built page and a built `kv`.
pub(crate) fn playwright(browser: &Browser, profile: Profile, script: &[&str]) -> Result<()> {
    let kv = page::kv(profile)?;
    setup::install_packages("tests/browser")?;
    shell::step("browser tests", "the built page, used as a person uses it", || {
        let mut npm = workspace::npm("tests/browser");
        npm.args(script)
            .env("KV_CHROMIUM", &browser.chromium)
            .env("KV_BIN", kv)
            .env("KV_PAGE", workspace::root().join("web/dist"));
        shell::run(&mut npm)
    })
}
