//! The WASM targets where rustup cannot download: Debian ships a recent compiler with the sources of
//! its standard library (`rustc-web`, made for Firefox and Chromium), and Cargo can build from those.
//!
//! The result is a toolchain folder in the cache: Debian's programs, its libraries for this machine by
//! link, and the libraries built here. Debian's own folders stay as they are.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::target::{self, BARE, PAGE};
use super::{apt, cache};
use crate::shell;

const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";

/// The programs of the toolchain that an earlier run built, if it works.
pub(crate) fn find() -> Result<Option<PathBuf>> {
    let Some(name) = name() else { return Ok(None) };
    let toolchain = cache::entry(&name)?;
    if !toolchain.exists() {
        return Ok(None);
    }
    let rustc = shell::output(Command::new(toolchain.join("bin/rustc")).arg("--version"));
    if rustc.is_ok() && target::complete(&toolchain) {
        return Ok(Some(toolchain.join("bin")));
    }
    println!("    {} is broken and is built again", toolchain.display());
    fs::remove_dir_all(&toolchain)?;
    Ok(None)
}

/// Installs Debian's packages and builds the toolchain.
pub(crate) fn build() -> Result<PathBuf> {
    let why = "a Rust compiler with the sources that the WASM targets are built from";
    shell::step(&format!("install {}", PACKAGES.join(", ")), why, || apt::install(&PACKAGES))?;
    let name = name().with_context(|| format!("{} is not installed", PACKAGES[0]))?;
    let toolchain = cache::ensure(&name, |folder| {
        let why = "rustup could not download them (two minutes, once)";
        shell::step("build the WASM targets", why, || assemble(folder))
    })?;
    if !target::complete(&toolchain) {
        bail!("the build of the WASM targets left no libraries in {}", toolchain.display());
    }
    Ok(toolchain.join("bin"))
}

/// The cache entry, named after the version of Debian's compiler.
fn name() -> Option<String> {
    Some(format!("wasm-toolchain-{}", apt::version(PACKAGES[0])?.replace([':', '~', '+'], "-")))
}

fn assemble(toolchain: &Path) -> Result<()> {
    let host = host()?;
    let rustlib = toolchain.join("lib/rustlib");
    let installed = Path::new("/usr/lib/rustlib");
    fs::create_dir_all(rustlib.join(&host).join("bin"))?;
    symlink(installed.join(&host).join("lib"), rustlib.join(&host).join("lib"))?;
    symlink(linker(&host)?, rustlib.join(&host).join("bin/rust-lld"))?;
    build_libraries(toolchain, PAGE, "std,panic_abort,test")?;
    build_libraries(toolchain, BARE, "core,alloc")?;
    fs::create_dir(toolchain.join("bin"))?;
    symlink(CARGO, toolchain.join("bin/cargo"))?;
    // A compiler looks for its libraries where its own file is, so a link would find Debian's.
    for program in ["rustc", "rustdoc"] {
        let script = format!(
            "#!/bin/sh\nhere=$(dirname \"$(readlink -f \"$0\")\")\n\
             exec /usr/bin/{program} --sysroot \"${{here%/bin}}\" \"$@\"\n"
        );
        let file = toolchain.join("bin").join(program);
        fs::write(&file, script)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Builds an empty crate with the standard library from source, and keeps the library.
fn build_libraries(toolchain: &Path, target: &str, libraries: &str) -> Result<()> {
    let temporary = toolchain.join("temporary");
    fs::create_dir_all(temporary.join("src"))?;
    let manifest =
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(temporary.join("Cargo.toml"), manifest)?;
    fs::write(temporary.join("src/lib.rs"), "#![no_std]\n")?;
    let mut cargo = shell::command(CARGO, &temporary);
    cargo
        .args(["build", "--release", "--quiet", "--target", target])
        .arg(format!("-Zbuild-std={libraries}"))
        .arg("--target-dir")
        .arg(temporary.join("target"))
        .env("RUSTC", RUSTC)
        // The compiler is Debian's stable one; building the standard library is an unstable option.
        .env("RUSTC_BOOTSTRAP", "1");
    shell::run(&mut cargo)?;
    let kept = toolchain.join("lib/rustlib").join(target).join("lib");
    fs::create_dir_all(&kept)?;
    for file in fs::read_dir(temporary.join("target").join(target).join("release/deps"))? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libempty-") {
            fs::copy(&path, kept.join(name))?;
        }
    }
    fs::remove_dir_all(&temporary)?;
    Ok(())
}

/// The linker for WebAssembly, which rustup's toolchains have and Debian's compiler has not.
fn linker(host: &str) -> Result<PathBuf> {
    let bundled = target::sysroot()?.join("lib/rustlib").join(host).join("bin/rust-lld");
    if bundled.is_file() {
        return Ok(bundled);
    }
    if shell::find(&["lld"]).is_none() {
        shell::step("install lld", "links WebAssembly", || apt::install(&["lld"]))?;
    }
    shell::find(&["lld"]).context("there is no linker for WebAssembly: neither rust-lld nor lld")
}

fn host() -> Result<String> {
    let version = shell::output(Command::new(RUSTC).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}
