//! The per-user cache folder. An entry's name holds its version, and an entry is either whole or not
//! there: it is made under another name and renamed when it is ready.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use anyhow::{Context, Result};

/// The entry of that name, made by `make` if it is not there yet.
///
/// `make` gets an empty folder. If it fails, nothing stays behind.
pub(crate) fn ensure(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    ensure_in(&folder()?, name, make)
}

/// Where the entry of that name is, or would be.
pub(crate) fn entry(name: &str) -> Result<PathBuf> {
    Ok(folder()?.join(name))
}

/// The same in a folder of the caller's choice.
pub(crate) fn ensure_in(
    cache: &Path,
    name: &str,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let entry = cache.join(name);
    if entry.is_dir() {
        return Ok(entry);
    }
    let partial = cache.join(format!(".{name}.{}", process::id()));
    fs::create_dir_all(&partial).with_context(|| {
        format!(
            "the cache folder {} cannot be written; set XDG_CACHE_HOME to one that can",
            cache.display()
        )
    })?;
    let made = make(&partial);
    // Two clones may have made the same entry at once; the first to rename wins, and both are equal.
    if made.is_err() || fs::rename(&partial, &entry).is_err() {
        fs::remove_dir_all(&partial)?;
    }
    made?;
    Ok(entry)
}

/// `$XDG_CACHE_HOME/kv`, or `~/.cache/kv`.
fn folder() -> Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .context("no home folder is known; set XDG_CACHE_HOME to a folder for the built tools")?;
    Ok(base.join("kv"))
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("kv-xtask-{name}-{}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn an_entry_is_made_once() {
        let cache = Temporary::new("once");
        let make = |folder: &Path| Ok(fs::write(folder.join("tool"), "1")?);
        let entry = ensure_in(&cache.0, "tool-1.0", make).unwrap();
        assert_eq!(fs::read_to_string(entry.join("tool")).unwrap(), "1");
        ensure_in(&cache.0, "tool-1.0", |_| bail!("made twice")).unwrap();
    }

    #[test]
    fn a_failed_entry_leaves_nothing_behind() {
        let cache = Temporary::new("failed");
        let error = ensure_in(&cache.0, "tool-1.0", |_| bail!("no network")).unwrap_err();
        assert_eq!(error.to_string(), "no network");
        assert_eq!(fs::read_dir(&cache.0).unwrap().count(), 0);
    }
}
