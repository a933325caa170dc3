//! The built program as processes: nodes that are started, killed, stopped and looked into.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::http::{Answer, call};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// The program: `KV_BIN` if it is set, else built once with the profile of the tests.
///
/// # Panics
///
/// If it cannot be built.
pub fn kv() -> &'static Path {
    static KV: OnceLock<PathBuf> = OnceLock::new();
    KV.get_or_init(|| match std::env::var_os("KV_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command.args([
        "build",
        "--package",
        "kv-native",
        "--bin",
        "kv",
        "--message-format",
        "json-render-diagnostics",
    ]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(output.status.success(), "kv does not build");
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    path.expect("cargo names the program it has built")
}

/// A Python with the packages of `tests/python`: `KV_PYTHON` if it is set, else installed once.
///
/// # Panics
///
/// If it cannot be installed.
pub fn python() -> PathBuf {
    if let Some(path) = std::env::var_os("KV_PYTHON") {
        return path.into();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command.args(["run", "--quiet", "--package", "xtask", "--", "python"]);
    let output = command.stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(output.status.success(), "Python's packages are not installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.lines().last().expect("it names the program").into()
}

/// Tries until it works out, and says what went wrong last if it never does.
///
/// # Panics
///
/// If it does not work out in time.
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(words) if Instant::now() > deadline => {
                panic!("{what}: not within {PATIENCE:?}: {words}")
            }
            Err(_) => sleep(LOOK),
        }
    }
}

/// A port that no one listens on.
pub fn free_port() -> u16 {
    free_ports(1)
}

/// The first of so many ports in a row that no one listens on. They come from below the range that the
/// system gives to outgoing connections, so that none is taken while its node is down.
pub fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run side by side begin at different places.
    let begin = u16::try_from(std::process::id() * 61 % 10_000).unwrap_or_default();
    loop {
        let port = 20_000 + (begin + NEXT.fetch_add(count, Ordering::Relaxed)) % 10_000;
        if (port..port + count).all(|port| TcpListener::bind(("0.0.0.0", port)).is_ok()) {
            return port;
        }
    }
}

/// A node as a process. Dropping it kills it.
pub struct NodeProcess {
    /// Its name.
    pub name: String,
    /// Where it is reached, as `HOST:PORT`.
    pub address: String,
    /// Its data folder.
    pub data: PathBuf,
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
}

impl NodeProcess {
    /// A node that is not started yet. Its data folder and log lie in `folder`.
    pub fn new(folder: &Path, name: &str, arguments: &[&str]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let mut node = Self::at(folder, name, &address, arguments);
        node.arguments.extend(["--listen".into(), address]);
        node
    }

    /// The same at an address that the arguments or variables tell it.
    pub fn at(folder: &Path, name: &str, address: &str, arguments: &[&str]) -> Self {
        let data = folder.join(name);
        let mut all = vec!["node".to_owned(), "--name".into(), name.into(), "--data".into()];
        all.push(data.display().to_string());
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        Self {
            name: name.into(),
            address: address.into(),
            data,
            program: kv().into(),
            arguments: all,
            variables: Vec::new(),
            log: folder.join(format!("{name}.log")),
            child: None,
        }
    }

    /// A node that is told everything by variables, run by a program that stands for `kv`.
    pub fn called(program: &Path, folder: &Path, name: &str, address: &str) -> Self {
        let mut node = Self::at(folder, name, address, &[]);
        node.program = program.into();
        node.arguments.clear();
        node
    }

    /// Sets an environment variable for it.
    pub fn set(&mut self, variable: &str, value: &str) {
        self.variables.push((variable.into(), value.into()));
    }

    /// Starts it, or starts it again.
    ///
    /// # Panics
    ///
    /// If it runs already.
    pub fn start(&mut self) -> &mut Self {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(&self.log).expect("a log");
        let child = command_of(&self.program, &self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("kv starts"));
        self
    }

    /// Starts it in vain, and returns the exit code and what it said.
    pub fn fails(&mut self) -> (Option<i32>, String) {
        let output = command_of(&self.program, &self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .expect("kv starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Waits until it is a member of a cluster.
    pub fn healthy(&self) -> &Self {
        eventually(&format!("{} is healthy\n{}", self.name, self.log_end()), || {
            match self.get("/health").status {
                200 => Ok(()),
                status => Err(format!("status {status}; its log: {}", self.log_end())),
            }
        });
        self
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Stops it in its tracks; its connections stay.
    pub fn pause(&self) {
        send_signal(self.child.as_ref().expect("it runs").id(), "STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        send_signal(self.child.as_ref().expect("it runs").id(), "CONT");
    }

    /// Stops it with a signal and returns how it ended.
    ///
    /// # Panics
    ///
    /// If it does not run or does not end.
    pub fn stop(&mut self, signal: &str) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        send_signal(child.id(), signal);
        eventually(&format!("{} stops", self.name), || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}; its log: {}", self.log_end())),
        })
    }

    /// Whether its process still runs.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// How many bytes of memory it has, and how many files and sockets it has open.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn weight(&self) -> (u64, usize) {
        let id = self.child.as_ref().expect("it runs").id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let files = fs::read_dir(format!("/proc/{id}/fd")).expect("it runs").count();
        (kib.expect("the system tells") << 10, files)
    }

    /// The end of what it logged.
    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// All it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        call("GET", &self.url(path), &[], None)
    }

    /// PUT with a body.
    pub fn put(&self, path: &str, body: &[u8]) -> Answer {
        call("PUT", &self.url(path), &[], Some(body))
    }

    /// POST with a body.
    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        call("POST", &self.url(path), &[], Some(body))
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Answer {
        call("DELETE", &self.url(path), &[], None)
    }
}

impl Drop for NodeProcess {
    #[expect(clippy::print_stderr, reason = "the test has failed, and this tells why")]
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.name, self.log_end());
        }
    }
}

/// The program with arguments, and nothing of the environment that it would understand.
pub fn command<S: AsRef<str>>(arguments: &[S]) -> Command {
    command_of(kv(), arguments)
}

fn command_of<S: AsRef<str>>(program: &Path, arguments: &[S]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars() {
        if name.starts_with("KV_") || name.starts_with("DKV_") || name == "PORT" {
            command.env_remove(name);
        }
    }
    command.args(arguments.iter().map(AsRef::as_ref));
    command
}

/// Sends a signal, as `TERM`, to a process.
///
/// # Panics
///
/// If there is no such process.
pub fn send_signal(process: u32, signal: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{signal} {process}")).status();
    assert!(sent.expect("a shell").success(), "signal {signal} to {process}");
}
