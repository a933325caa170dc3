//! Python with the packages that `tests/python` names, in an environment of its own in the build folder.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{apt, cache};
use crate::{shell, workspace};

const PACKAGES: &str = "tests/python/requirements.txt";

/// The interpreter that sees the packages, which are installed if they are missing.
pub(crate) fn ensure() -> Result<PathBuf> {
    let packages = workspace::root().join(PACKAGES);
    let wanted = fs::read_to_string(&packages)?;
    let entry = cache::ensure_in(&workspace::target_folder()?, &name(&wanted), |folder| {
        let why = "gRPC is tested with a client of another implementation, too";
        shell::step("install grpcio for Python", why, || {
            environment(folder)?;
            let mut pip = Command::new(interpreter(folder));
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
            // None is built here: that would need more than a compiler.
            pip.args(["--only-binary", ":all:", "--requirement"]).arg(&packages);
            shell::run(&mut pip).context(
                "pip has not installed the packages (it says why above); it takes them from PyPI, or from what PIP_INDEX_URL names",
            )
        })
    })?;
    Ok(interpreter(&entry))
}

/// A name for each list of packages.
fn name(wanted: &str) -> String {
    let mut hasher = DefaultHasher::new();
    wanted.hash(&mut hasher);
    format!("python-{:016x}", hasher.finish())
}

fn environment(folder: &Path) -> Result<()> {
    let make = || {
        let mut python = Command::new("python3");
        // Links, and so it works wherever the folder is moved to.
        shell::output(python.args(["-m", "venv", "--symlinks", "--clear"]).arg(folder))
    };
    if make().is_err() {
        apt::install(&["python3", "python3-venv"])?;
        make().context("python3 is there and makes no environment; its module `venv` must work")?;
    }
    Ok(())
}

fn interpreter(environment: &Path) -> PathBuf {
    environment.join("bin/python3")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_packages_have_another_folder() {
        assert_eq!(name("a==1.2"), name("a==1.2"));
        assert_ne!(name("a==1.2"), name("a==1.3"));
    }
}
