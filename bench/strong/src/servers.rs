//! Clusters as processes: three nodes in a fresh folder, gone when the value is dropped, and also when this
//! process is killed.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use clap::ValueEnum;

/// How many nodes a cluster has.
pub(crate) const NODES: usize = 3;

/// How long a follower waits for its leader, at least, and how often that is heard: etcd's defaults.
const ELECTION_MS: u32 = 1_000;
const HEARTBEAT_MS: u32 = 100;

/// Whose cluster it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum System {
    /// Ours.
    Kv,
    /// The other.
    Etcd,
}

impl System {
    /// As it is printed.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kv => "kv",
            Self::Etcd => "etcd",
        }
    }
}

/// The nodes of a cluster.
pub(crate) struct Cluster {
    folder: PathBuf,
    /// Where clients reach them, as `HOST:PORT`.
    pub(crate) addresses: Vec<String>,
    children: Vec<Child>,
}

impl Cluster {
    /// Starts one; its folder is made anew.
    pub(crate) fn start(system: System, program: &Path, folder: &Path) -> Result<Self> {
        let folder = folder.join(system.name());
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder)?;
        let addresses = free_addresses(NODES)?;
        let mut cluster = Self { folder, addresses, children: Vec::new() };
        let commands = match system {
            System::Kv => cluster.kv(program),
            System::Etcd => cluster.etcd(program)?,
        };
        for (number, command) in (1..).zip(commands) {
            let log = File::create(cluster.folder.join(format!("{number}.log")))?;
            cluster.children.push(spawn(&command, log)?);
        }
        Ok(cluster)
    }

    fn kv(&self, program: &Path) -> Vec<Command> {
        let entries = (1..).zip(&self.addresses);
        let list: Vec<String> =
            entries.clone().map(|(number, address)| format!("n{number}@{address}")).collect();
        let node = |number: usize| {
            let mut command = Command::new(program);
            command.args(["node", "--log", "warn", "--name", &format!("n{number}")]);
            command.args(["--cluster", &list.join(",")]);
            command.arg("--data").arg(self.folder.join(number.to_string()));
            command
        };
        entries.map(|(number, _)| node(number)).collect()
    }

    fn etcd(&self, program: &Path) -> Result<Vec<Command>> {
        let peers = free_addresses(NODES)?;
        let list: Vec<String> =
            (1..).zip(&peers).map(|(number, peer)| format!("n{number}=http://{peer}")).collect();
        let node = |(number, (client, peer)): (usize, (&String, &String))| {
            let (client, peer) = (format!("http://{client}"), format!("http://{peer}"));
            let mut command = Command::new(program);
            command.args(["--name", &format!("n{number}"), "--logger", "zap"]);
            command.args(["--log-level", "warn", "--log-outputs", "stderr"]);
            command.arg("--data-dir").arg(self.folder.join(number.to_string()));
            command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
            command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
            command.args(["--initial-cluster", &list.join(","), "--initial-cluster-state", "new"]);
            command.args(["--heartbeat-interval", &HEARTBEAT_MS.to_string()]);
            command.args(["--election-timeout", &ELECTION_MS.to_string()]);
            // It keeps every version; it shall not run full.
            command.args(["--quota-backend-bytes", &(8_u64 << 30).to_string()]);
            command
        };
        Ok((1..).zip(self.addresses.iter().zip(&peers)).map(node).collect())
    }

    /// The processes.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }

    /// Whether all of them still run; else the end of the log of one that does not.
    pub(crate) fn check(&mut self) -> Result<()> {
        for (number, child) in (1..).zip(&mut self.children) {
            if let Some(status) = child.try_wait()? {
                let log = fs::read_to_string(self.folder.join(format!("{number}.log")))?;
                let lines: Vec<&str> = log.lines().collect();
                let end = lines[lines.len().saturating_sub(8)..].join("\n");
                anyhow::bail!("node {number} has ended with {status}; its log:\n{end}");
            }
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts a command through `setpriv`, so that it is killed when this process ends in whatever way.
fn spawn(command: &Command, log: File) -> Result<Child> {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| {
            format!("{} cannot be started by setpriv", command.get_program().display())
        })
}

/// Addresses that no one listens on. All are held until all are found, so they differ.
fn free_addresses(count: usize) -> Result<Vec<String>> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    held.iter().map(|held| Ok(held.local_addr()?.to_string())).collect()
}
