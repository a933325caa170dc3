//! wasm-pack, wasm-bindgen and wasm-opt, each in a cache folder named after its version.
//!
//! wasm-bindgen's program must be of the very version of the crate, so the lock file decides it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::cache;
use crate::{shell, workspace};

const WASM_PACK: &str = "0.15.1";
const BINARYEN: &str = "132.0.0";

/// The folders of these programs.
pub(crate) fn ensure() -> Result<Vec<PathBuf>> {
    let bindgen = workspace::locked_version("wasm-bindgen")?;
    Ok(vec![
        from_crates("wasm-pack", WASM_PACK, "builds and tests the WASM package")?,
        from_crates("wasm-bindgen-cli", &bindgen, "makes the JavaScript around the WASM")?,
        wasm_opt()?,
    ])
}

fn from_crates(package: &str, version: &str, why: &str) -> Result<PathBuf> {
    let entry = cache::ensure(&format!("{package}-{version}"), |folder| {
        let what = format!("compile {package} {version}");
        shell::step(&what, &format!("{why} (two to four minutes, once)"), || {
            shell::run(cargo_install(folder).args([package, "--version", version]))
        })
    })?;
    Ok(entry.join("bin"))
}

/// Without `--locked`: a mirror may not have a version that the package's own lock file names.
fn cargo_install(folder: &Path) -> Command {
    let mut command = Command::new("cargo");
    command
        .args(["install", "--quiet", "--no-track", "--root"])
        .arg(folder)
        // Its own temporary build folder, and none of this workspace's build flags.
        .env_remove("CARGO_TARGET_DIR")
        .current_dir(folder);
    command
}

fn wasm_opt() -> Result<PathBuf> {
    let entry = cache::ensure(&format!("binaryen-{BINARYEN}"), |folder| {
        let what = format!("install binaryen {BINARYEN}");
        shell::step(&what, "its wasm-opt makes the WASM package small", || {
            let mut command = Command::new("npm");
            command.args(["install", "--no-save", "--no-audit", "--no-fund", "--prefix"]);
            shell::run(command.arg(folder).arg(format!("binaryen@{BINARYEN}")).current_dir(folder))
        })
    })?;
    Ok(entry.join("node_modules/.bin"))
}
