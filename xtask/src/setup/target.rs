//! The two WASM targets: `wasm32-unknown-unknown` (the page) and `wasm32v1-none`, which has nothing
//! but `core` and `alloc` and so proves that kv-core needs nothing else.
//!
//! In order of cost: what the active toolchain has; what an earlier run built; what rustup can
//! download; what can be built from Debian's sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::debian_rust;
use crate::shell;

/// The target of the page.
pub(crate) const PAGE: &str = "wasm32-unknown-unknown";
/// The target without a standard library.
pub(crate) const BARE: &str = "wasm32v1-none";

/// Where the machine can download at all, this is enough.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(60);

/// Makes both targets available; the folder, if any, holds a `cargo` and `rustc` that have them.
pub(crate) fn ensure() -> Result<Option<PathBuf>> {
    if complete(&sysroot()?) {
        return Ok(None);
    }
    if let Some(folder) = debian_rust::find()? {
        return Ok(Some(folder));
    }
    if shell::find(&["rustup"]).is_some() {
        let what = format!("rustup target add {PAGE} {BARE}");
        let done = shell::step(&what, "the page runs the core as WebAssembly", || {
            let mut command = Command::new("rustup");
            // A failed download is no fault of rustup's that a trace would explain.
            command.args(["target", "add", PAGE, BARE]).env("RUST_BACKTRACE", "0");
            shell::run_within(DOWNLOAD_LIMIT, &mut command)
        });
        match done {
            Ok(()) if complete(&sysroot()?) => return Ok(None),
            Ok(()) => {
                println!("    rustup added the targets to a toolchain that is not in use here")
            }
            Err(error) => println!("    {error:#}"),
        }
    }
    debian_rust::build()
        .context(
            "the WASM targets can neither be downloaded nor built; with a network, run \
             `rustup target add wasm32-unknown-unknown wasm32v1-none` and start again",
        )
        .map(Some)
}

/// The folder of the active toolchain.
pub(crate) fn sysroot() -> Result<PathBuf> {
    Ok(PathBuf::from(shell::output(Command::new("rustc").args(["--print", "sysroot"]))?))
}

/// Whether a toolchain's folder has the libraries of both targets.
pub(crate) fn complete(sysroot: &Path) -> bool {
    has(sysroot, PAGE, "libstd-")
        && has(sysroot, PAGE, "libtest-")
        && has(sysroot, BARE, "liballoc-")
}

fn has(sysroot: &Path, target: &str, library: &str) -> bool {
    let folder = sysroot.join("lib/rustlib").join(target).join("lib");
    let Ok(files) = fs::read_dir(folder) else {
        return false;
    };
    files.flatten().any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with(library) && name.ends_with(".rlib")
    })
}
