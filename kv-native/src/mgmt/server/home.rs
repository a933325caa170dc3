//! The folder that belongs to `kv mgmt`: the registry with its lock, and the data and logs of all nodes.
//!
//! ```text
//! KV_HOME/registry.json   which nodes there are
//! KV_HOME/lock            held while that changes
//! KV_HOME/data/NAME/      the data folder of a node
//! KV_HOME/logs/NAME.log   what it has logged, over all its starts
//! ```

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::End;

/// How long others may hold the lock. They start processes under it and wait for nothing.
const LOCK_WAIT: Duration = Duration::from_secs(20);

/// The folder.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
}

/// Held while the registry changes. It ends with the process, whatever becomes of that.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Home {
    /// The folder that is given, or that of the user; it is made if need be.
    pub(super) fn open(given: Option<&Path>) -> Result<Self, End> {
        let path = given.map(Path::to_owned).or_else(default_path).ok_or_else(|| {
            End::failed("there is no home folder to keep the registry in; name a folder with KV_HOME or --home DIR")
        })?;
        // The path stands in the command lines of nodes, so it must be the same every time.
        let made = ["data", "logs"].iter().try_for_each(|part| fs::create_dir_all(path.join(part)));
        let path = made.and_then(|()| fs::canonicalize(&path)).map_err(|error| {
            End::failed(format!(
                "the folder {} cannot be used: {error}; name another with KV_HOME or --home DIR",
                path.display()
            ))
        })?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn registry(&self) -> PathBuf {
        self.path.join("registry.json")
    }

    /// The data folder of a node.
    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.path.join("data").join(name)
    }

    /// The log of a node.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.path.join("logs").join(format!("{name}.log"))
    }

    /// Waits for the lock.
    pub(super) fn lock(&self) -> Result<Lock, End> {
        let path = self.path.join("lock");
        let failed = |error: std::io::Error| {
            End::failed(format!(
                "{} cannot be locked: {error}; nothing was changed",
                path.display()
            ))
        };
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(failed)?;
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(End::failed(format!(
                        "another kv mgmt has held {} for {LOCK_WAIT:?}; nothing was changed, see what it is doing",
                        path.display()
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }
}

/// Where the XDG base directories have the state of programs.
fn default_path() -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).and_then(absolute);
    let state = state.or_else(|| Some(std::env::home_dir()?.join(".local/state")));
    state.map(|state| state.join("kv"))
}
