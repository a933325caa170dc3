//! libclang and a C++ compiler: RocksDB's Rust bindings are made from its C header by libclang, and
//! RocksDB itself is C++. Only the benchmark beside it needs them.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::apt;
use crate::shell;

/// Finds or installs both.
pub(crate) fn ensure() -> Result<()> {
    let compiler = shell::find(&["c++", "g++", "clang++"]).is_some();
    if compiler && has_libclang() {
        return Ok(());
    }
    let why = "RocksDB, beside which the storage engine is measured, is built from its C++ sources";
    shell::step("install g++ and libclang-dev", why, || apt::install(&["g++", "libclang-dev"]))
}

/// Whether the bindings' generator will find the library: where it was told to look, or among the
/// libraries of the system.
fn has_libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let known = shell::output(Command::new("/sbin/ldconfig").arg("-p")).unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    known.contains("libclang.so")
        || known.contains("libclang-")
        || versions
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm-"))
            .any(|entry| has_library(&entry.path().join("lib")))
}

fn has_library(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.into_iter().any(|file| {
        let name = file.file_name().to_string_lossy().into_owned();
        name.starts_with("libclang.so") || name.starts_with("libclang-")
    })
}
