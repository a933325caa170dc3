//! Where things are: the workspace's folders, Cargo's build folder, versions from the lock file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell;

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// Cargo, in the workspace's root.
pub(crate) fn cargo() -> Command {
    shell::command("cargo", root())
}

/// npm, in a folder of the workspace.
pub(crate) fn npm(folder: &str) -> Command {
    shell::command("npm", &root().join(folder))
}

/// What `cargo metadata` says about the workspace's own packages.
pub(crate) fn metadata() -> Result<Value> {
    let text =
        shell::output(cargo().args(["metadata", "--no-deps", "--format-version", "1", "--quiet"]))?;
    serde_json::from_str(&text).context("`cargo metadata` did not answer in JSON")
}

/// Cargo's build folder.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let metadata = metadata()?;
    let folder =
        metadata["target_directory"].as_str().context("`cargo metadata` names no build folder")?;
    Ok(PathBuf::from(folder))
}

/// WebAssembly is built in a folder of its own: another toolchain may build it, and neither build
/// shall throw the other's files away.
pub(crate) fn wasm_target_folder() -> Result<PathBuf> {
    Ok(target_folder()?.join("wasm"))
}

/// The version of a package in `Cargo.lock`.
pub(crate) fn locked_version(package: &str) -> Result<String> {
    if !root().join("Cargo.lock").exists() {
        shell::run(cargo().args(["generate-lockfile", "--quiet"]))?;
    }
    let lock = fs::read_to_string(root().join("Cargo.lock"))?;
    version_in(&lock, package).with_context(|| format!("Cargo.lock has no package `{package}`"))
}

fn version_in(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    let version = lines.next()?.strip_prefix("version = \"")?;
    Some(version.strip_suffix('"')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_locked_package_is_found() {
        let lock = "[[package]]\nname = \"ab\"\nversion = \"1.2.3\"\n\n\
                    [[package]]\nname = \"a\"\nversion = \"0.4.0\"\nsource = \"registry\"\n";
        assert_eq!(version_in(lock, "a").as_deref(), Some("0.4.0"));
        assert_eq!(version_in(lock, "ab").as_deref(), Some("1.2.3"));
        assert_eq!(version_in(lock, "b"), None);
    }
}
