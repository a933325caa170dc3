//! `kv play`: three nodes as processes of their own, and the playground page.
//!
//! The nodes are plain `kv node`s, so that each can be killed and brought back by hand. They stop when
//! this process ends, however it ends: each holds the other end of a pipe. Their data and logs stay in
//! one folder, and the next start goes on from there.

use std::fs::File;
use std::net::TcpListener as Probe;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tower_http::services::ServeDir;

use crate::cli::{End, PlayArgs, say};

const NODES: u16 = 3;
/// How long the nodes may take until they answer as one cluster.
const START_WAIT: Duration = Duration::from_secs(15);
/// How long they may take to stop before they are killed.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// How much of a node's log is shown when it ends.
const LOG_LINES: usize = 3;

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(args: &PlayArgs) -> Result<(), End> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| End::failed(format!("the process cannot start its threads: {error}")))?;
    runtime.block_on(play(args))
}

async fn play(args: &PlayArgs) -> Result<(), End> {
    let page = page_folder(args)?;
    let page_port = page.as_ref().map(|_| args.port);
    check_ports(page_port.into_iter().chain((0..NODES).map(|index| args.nodes + index)))?;
    let no_signals = |error| End::failed(format!("signals cannot be handled: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;

    let (tell, mut ended) = mpsc::unbounded_channel();
    let mut nodes = Vec::new();
    for index in 1..=NODES {
        nodes.push(PlayNode::start(args, index, &tell)?);
    }
    if let Some(page) = &page {
        serve_page(page, args.port).await?;
    }
    // A signal that comes while the nodes still start ends the start, and then everything.
    let started = tokio::select! {
        result = all_healthy(args, &mut ended) => result.map(|()| true),
        _ = interrupt.recv() => Ok(false),
        _ = terminate.recv() => Ok(false),
    };
    let mut playing = match started {
        Ok(started) => started,
        Err(end) => {
            stop(nodes).await;
            return Err(end);
        }
    };
    if playing {
        say(&welcome(args, page.is_some()));
    }
    while playing {
        tokio::select! {
            Some(node) = ended.recv() => {
                say(&format!("\n{}", node.words()));
                nodes.retain(|other| other.name != node.name);
            }
            _ = interrupt.recv() => playing = false,
            _ = terminate.recv() => playing = false,
        }
    }
    say("\nstopping the nodes");
    stop(nodes).await;
    Ok(())
}

/// The folder of the page; none if there is none and none was asked for.
fn page_folder(args: &PlayArgs) -> Result<Option<PathBuf>, End> {
    let folder = args.page.clone().unwrap_or_else(|| PathBuf::from("web/dist"));
    if folder.join("index.html").is_file() {
        return Ok(Some(folder));
    }
    if args.page.is_none() {
        say("kv: no page is served, for there is no web/dist; cargo xtask play builds it");
        return Ok(None);
    }
    Err(End::failed(format!(
        "there is no page in {}; build it with cargo xtask play, or name its folder with --page DIR",
        folder.display()
    )))
}

/// That all ports are free, so that no node starts in vain.
fn check_ports(ports: impl Iterator<Item = u16>) -> Result<(), End> {
    for port in ports {
        Probe::bind(("127.0.0.1", port)).map_err(|error| {
            End::failed(format!(
                "port {port} of 127.0.0.1 cannot be used: {error}; stop the program that uses it (is kv play running already?), or choose other ports with --port and --nodes"
            ))
        })?;
    }
    Ok(())
}

fn address(args: &PlayArgs, index: u16) -> String {
    format!("127.0.0.1:{}", args.nodes + index - 1)
}

/// One of the nodes.
struct PlayNode {
    name: String,
    /// Closed to stop it.
    alive: Option<ChildStdin>,
    kill: mpsc::Sender<()>,
}

/// One that has ended.
struct Ended {
    name: String,
    status: Option<ExitStatus>,
    log: PathBuf,
    restart: String,
}

impl PlayNode {
    fn start(
        args: &PlayArgs,
        index: u16,
        tell: &mpsc::UnboundedSender<Ended>,
    ) -> Result<Self, End> {
        let name = format!("n{index}");
        let cannot = |what: &str, error: std::io::Error| {
            End::failed(format!("{what}: {error}; choose another folder with --data DIR"))
        };
        std::fs::create_dir_all(&args.data)
            .map_err(|error| cannot(&format!("{} cannot be made", args.data.display()), error))?;
        let log = args.data.join(format!("{name}.log"));
        let log_file = File::create(&log)
            .map_err(|error| cannot(&format!("{} cannot be written", log.display()), error))?;
        let program = std::env::current_exe()
            .map_err(|error| End::failed(format!("the program does not find itself: {error}")))?;
        let cluster: Vec<String> =
            (1..=NODES).map(|other| format!("n{other}@{}", address(args, other))).collect();
        let data = args.data.join(&name);
        let mut command = Command::new(&program);
        command.args(["node", "--name", &name, "--cluster", &cluster.join(",")]);
        command.arg("--data").arg(&data);
        // What this shell has set for a node of its own must not reach these.
        for variable in ["KV_LISTEN", "KV_ADVERTISE", "KV_JOIN", "PORT"] {
            command.env_remove(variable);
        }
        let restart = format!(
            "{} node --name {name} --data {} --cluster {}",
            program.display(),
            data.display(),
            cluster.join(",")
        );
        // Ctrl-C reaches this process alone, which then lets the nodes stop.
        command.process_group(0);
        command.arg("--with-parent").stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command
            .stderr(log_file)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| End::failed(format!("{name} cannot be started: {error}")))?;
        let alive = child.stdin.take();
        let (kill, killed) = mpsc::channel(1);
        let ended = Ended { name: name.clone(), status: None, log, restart };
        tokio::spawn(watch(child, killed, ended, tell.clone()));
        Ok(Self { name, alive, kill })
    }
}

/// Tells when a node has ended; kills it when asked.
async fn watch(
    mut child: Child,
    mut killed: mpsc::Receiver<()>,
    mut ended: Ended,
    tell: mpsc::UnboundedSender<Ended>,
) {
    let status = tokio::select! {
        status = child.wait() => status,
        Some(()) = killed.recv() => match child.kill().await {
            Ok(()) => child.wait().await,
            Err(error) => Err(error),
        },
    };
    ended.status = status.ok();
    // No one listens any more when the whole program ends.
    let _ = tell.send(ended);
}

impl Ended {
    fn words(&self) -> String {
        let how = match self.status {
            Some(status) => status.to_string(),
            None => "for an unknown reason".into(),
        };
        format!(
            "{} has ended ({how}); the others go on.{}\nBring it back with:\n\n  {}\n",
            self.name,
            self.last_lines(),
            self.restart
        )
    }

    fn last_lines(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
        let lines: String = last.iter().map(|line| format!("\n  | {line}")).collect();
        if lines.is_empty() { lines } else { format!(" The end of its log:{lines}") }
    }
}

/// Waits until every node is a member.
async fn all_healthy(
    args: &PlayArgs,
    ended: &mut mpsc::UnboundedReceiver<Ended>,
) -> Result<(), End> {
    let urls: Vec<String> =
        (1..=NODES).map(|index| format!("http://{}/health", address(args, index))).collect();
    let healthy = async {
        for url in urls {
            while !is_healthy(url.clone()).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    tokio::select! {
        done = tokio::time::timeout(START_WAIT, healthy) => done.map_err(|_| {
            End::failed(format!(
                "the nodes have not become one cluster within {START_WAIT:?}; their logs are in {}",
                args.data.display()
            ))
        }),
        Some(node) = ended.recv() => {
            Err(End::failed(format!("{} did not start.{}", node.name, node.last_lines())))
        }
    }
}

async fn is_healthy(url: String) -> bool {
    let asked = tokio::task::spawn_blocking(move || ureq::get(url).call().is_ok());
    asked.await.unwrap_or(false)
}

/// Lets the nodes stop; kills those that do not.
async fn stop(mut nodes: Vec<PlayNode>) {
    nodes.iter_mut().for_each(|node| node.alive = None);
    let deadline = tokio::time::Instant::now() + STOP_WAIT;
    for node in nodes {
        // The other end is dropped when the node has ended.
        if tokio::time::timeout_at(deadline, node.kill.closed()).await.is_err() {
            say(&format!("{} does not stop and is killed", node.name));
            // It may have ended at this very moment.
            let _ = node.kill.send(()).await;
            node.kill.closed().await;
        }
    }
}

async fn serve_page(folder: &Path, port: u16) -> Result<(), End> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| {
        End::failed(format!("port {port} cannot be used: {error}; choose another with --port"))
    })?;
    let router =
        Router::new().fallback_service(ServeDir::new(folder)).layer(middleware::from_fn(caching));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            say(&format!("kv: the page is no longer served: {error}"));
        }
    });
    Ok(())
}

/// Built assets carry a hash of their content in their names and never change; all else is asked for
/// again, so that a new build shows at once.
async fn caching(request: Request, next: Next) -> Response {
    let immutable = request.uri().path().starts_with("/assets/");
    let mut response = next.run(request).await;
    let value = match response.status().is_success() && immutable {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
    response
}

fn welcome(args: &PlayArgs, page: bool) -> String {
    let mut words = String::from("\n  kv is running.\n\n");
    if page {
        words.push_str(&format!("  The page    http://127.0.0.1:{}\n", args.port));
    }
    for index in 1..=NODES {
        let label = if index == 1 { "The nodes" } else { "" };
        words.push_str(&format!("  {label:<10}  http://{}  (n{index})\n", address(args, index)));
    }
    let (first, second) = (address(args, 1), address(args, 2));
    words.push_str(&format!(
        "\n  Store a value on one node and read it on another:\n\n    curl -X PUT http://{first}/items/foo -H 'Content-Type: application/json' -d '{{\"value\":\"bar\"}}'\n    curl http://{second}/items/foo\n\n  What there is   http://{first}/docs\n  Data and logs   {}\n\n  Ctrl-C stops everything.\n",
        args.data.display()
    ));
    words
}
