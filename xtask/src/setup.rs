//! Set-up: everything beyond Rust, Node and a C compiler, installed when it is missing.
//!
//! | what | why | from |
//! | --- | --- | --- |
//! | WASM targets | the page runs the core as WebAssembly | rustup, else built from Debian's sources |
//! | wasm-pack, wasm-bindgen | build and test the WASM package | crates.io |
//! | wasm-opt | makes the package small | npm (`binaryen`) |
//! | Chromium and its driver | run the tests that need a browser | Debian |
//! | grpcio for Python | is another implementation's client of gRPC, for tests | PyPI |
//! | libclang, a C++ compiler | build RocksDB, for the benchmark beside it only | Debian |
//!
//! What is built here goes into a per-user cache folder under a name that holds its version, so that
//! a second clone finds it. Nothing is put on anybody's PATH: `Wasm::command` does that per command.

mod apt;
mod browser;
mod cache;
mod clang;
mod debian_rust;
mod node;
mod python;
mod target;
mod tools;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

pub(crate) use browser::Browser;
pub(crate) use clang::ensure as ensure_clang;
pub(crate) use node::{check as check_node, install as install_packages};
pub(crate) use python::ensure as ensure_python;

use crate::{shell, workspace};

/// What builds and tests WebAssembly.
pub(crate) struct Wasm {
    /// Folders of programs that go before the PATH.
    folders: Vec<PathBuf>,
}

impl Wasm {
    /// Finds or installs the targets and the tools.
    pub(crate) fn ensure() -> Result<Self> {
        let mut folders = Vec::new();
        folders.extend(target::ensure()?);
        folders.extend(tools::ensure()?);
        Ok(Self { folders })
    }

    /// A command in the workspace's root that sees these tools, and builds in WebAssembly's folder.
    pub(crate) fn command(&self, program: &str) -> Result<Command> {
        let mut command = shell::command(program, workspace::root());
        command
            .env("PATH", shell::path_with(&self.folders)?)
            .env("CARGO_TARGET_DIR", workspace::wasm_target_folder()?);
        Ok(command)
    }
}

/// Has a release build made as the page's is: as one unit, which is smaller and faster. A node's binary
/// builds faster without this.
pub(crate) fn as_in_page(command: &mut Command) -> &mut Command {
    command
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
}

/// `cargo xtask setup`: installs everything and prints how to use it by hand.
pub(crate) fn run() -> Result<()> {
    check_node()?;
    let wasm = Wasm::ensure()?;
    let browser = Browser::ensure()?;
    ensure_python()?;
    let folders: Vec<_> = wasm.folders.iter().map(|folder| folder.display().to_string()).collect();
    println!("\nEverything is there. To use the tools by hand in this shell:\n");
    println!("    export PATH=\"{}:$PATH\"", folders.join(":"));
    println!("    wasm-pack build --target web --mode no-install kv-wasm");
    println!(
        "    wasm-pack test --headless --chrome --chromedriver {} --mode no-install kv-wasm",
        browser.driver.display()
    );
    Ok(())
}
