//! The three things that are built: the WASM package, the page around it, and the binary `kv`.

use std::path::PathBuf;

use anyhow::Result;

use crate::setup::{self, Wasm};
use crate::{shell, workspace};

/// Which of Cargo's profiles `kv` is built with.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    /// Quick to build: the tests'.
    Debug,
    /// Quick to run.
    Release,
}

/// Builds the WASM package into `kv-wasm/pkg`.
pub(crate) fn package(wasm: &Wasm) -> Result<()> {
    shell::step("build the WASM package", "the simulator in the page is the core itself", || {
        let arguments = ["build", "--target", "web", "--mode", "no-install", "kv-wasm"];
        let mut command = wasm.command("wasm-pack")?;
        shell::run(setup::as_in_page(&mut command).args(arguments))
    })
}

/// Builds the page into `web/dist` and returns that folder. The WASM package must be there.
pub(crate) fn page() -> Result<PathBuf> {
    setup::install_packages("web")?;
    shell::step("build the page", "static files that any server can serve", || {
        shell::run(workspace::npm("web").args(["run", "build"]))
    })?;
    Ok(workspace::root().join("web/dist"))
}

/// Builds `kv` and returns its path.
pub(crate) fn kv(profile: Profile) -> Result<PathBuf> {
    let (arguments, folder): (&[&str], _) = match profile {
        Profile::Debug => (&[], "debug"),
        Profile::Release => (&["--release"], "release"),
    };
    shell::step("build kv", "the nodes", || {
        let mut cargo = workspace::cargo();
        shell::run(cargo.args(["build", "--package", "kv-native", "--bin", "kv"]).args(arguments))
    })?;
    Ok(workspace::target_folder()?.join(folder).join("kv"))
}
