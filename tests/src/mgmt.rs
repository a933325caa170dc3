//! `kv mgmt` with a folder of its own; its nodes end with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::process::{command, eventually, kv};

/// The folder.
pub struct Mgmt {
    home: TempDir,
}

/// A line of `list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The node's name.
    pub name: String,
    /// What is said of its health.
    pub health: String,
    /// And of its role.
    pub role: String,
}

impl Default for Mgmt {
    fn default() -> Self {
        let home = tempfile::Builder::new().prefix("kv-mgmt-").tempdir();
        Self { home: home.expect("a temporary folder") }
    }
}

impl Mgmt {
    /// The folder of the registry, the data and the logs.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The file of the registry.
    pub fn registry(&self) -> PathBuf {
        self.home().join("registry.json")
    }

    /// Runs `kv mgmt` with arguments, separated by blanks.
    pub fn run(&self, arguments: &str) -> Output {
        let words: Vec<&str> = ["mgmt"].into_iter().chain(arguments.split_whitespace()).collect();
        command(&words).env("KV_HOME", self.home()).output().expect("kv starts")
    }

    /// Runs a script that stands on `kv mgmt`.
    pub fn script(&self, path: &str, arguments: &str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        let mut command = Command::new(script);
        command.args(arguments.split_whitespace()).env("KV", kv()).env("KV_HOME", self.home());
        command.output().expect("the script starts")
    }

    /// The same as [`Self::run`], which must work out; what was printed.
    pub fn ok(&self, arguments: &str) -> String {
        done(arguments, &self.run(arguments))
    }

    /// The same, which must fail with exit code 1 and without a result; why.
    ///
    /// # Panics
    ///
    /// If it ends otherwise.
    pub fn fails(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments}: {words}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments}");
        words
    }

    /// A command of a server that must work out.
    pub fn server(&self, arguments: &str) -> String {
        self.ok(&format!("-r server -c {arguments}"))
    }

    /// All nodes by their addresses.
    ///
    /// # Panics
    ///
    /// If they are not listed.
    pub fn list(&self) -> BTreeMap<String, Listed> {
        let table = self.server("list");
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(lines.next().as_deref(), Some(&["NAME", "ADDRESS", "HEALTH", "ROLE"][..]));
        let row = |row: Vec<&str>| match row.as_slice() {
            &[name, address, health, role] => {
                let [name, health, role] = [name, health, role].map(str::to_owned);
                (address.to_owned(), Listed { name, health, role })
            }
            other => panic!("not a row: {other:?}"),
        };
        lines.map(row).collect()
    }

    /// The address of the only leader, as soon as there is one and so many nodes are healthy.
    pub fn leader(&self, healthy: usize) -> String {
        eventually(&format!("one of {healthy} nodes leads"), || {
            let list = self.list();
            let count = list.values().filter(|node| node.health == "healthy").count();
            let mut leaders = list.iter().filter(|(_, node)| node.role == "leader");
            match (count == healthy, leaders.next(), leaders.next()) {
                (true, Some((address, _)), None) => Ok(address.clone()),
                _ => Err(format!("{list:?}")),
            }
        })
    }

    /// The processes of all nodes in this folder, whatever the registry says.
    pub fn processes(&self) -> Vec<u32> {
        let home = self.home().as_os_str().as_encoded_bytes();
        let all = fs::read_dir("/proc").expect("the processes are listed").flatten();
        let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        ids.filter(|id| {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            line.windows(home.len()).any(|part| part == home)
        })
        .collect()
    }

    /// Kills them all.
    pub fn kill_all(&self) {
        eventually("all nodes are gone", || {
            let processes = self.processes();
            for process in &processes {
                // It may have ended already.
                let kill = format!("kill -9 {process} 2>/dev/null");
                let _ = Command::new("sh").arg("-c").arg(kill).status();
            }
            if processes.is_empty() { Ok(()) } else { Err(format!("{processes:?}")) }
        });
    }
}

/// What a command has printed, which must have worked out.
///
/// # Panics
///
/// If it has not.
pub fn done(what: &str, output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{what}: {words}");
    String::from_utf8(output.stdout.clone()).expect("it prints text")
}

impl Drop for Mgmt {
    #[expect(clippy::print_stderr, reason = "the test has failed, and this tells why")]
    fn drop(&mut self) {
        self.kill_all();
        if !std::thread::panicking() {
            return;
        }
        for log in fs::read_dir(self.home().join("logs")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(log.path()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(15)..].join("\n");
            eprintln!("--- log {}\n{end}", log.path().display());
        }
    }
}
