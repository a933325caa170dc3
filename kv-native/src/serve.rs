//! `kv node`: a node with its data folder, its links and its surfaces, from start to stop.

use std::future::Future;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use kv_core::io::Boot;
use kv_core::node::Node;
use kv_core::storage::StoreOptions;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info};

use crate::api::{self, App};
use crate::cli::End;
use crate::clock::Clock;
use crate::config::{self, Address, NodeArgs, NodeConfig};
use crate::disk::FileDisk;
use crate::driver::{self, Control, Ending, Handle};
use crate::log;
use crate::transport::{Transport, keep_dialling};

/// How many partitions a new cluster has: enough for a dozen nodes to share evenly, few enough that
/// one look shows them all.
const PARTITIONS: u16 = 64;
/// How long open connections may take to end at a stop.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// Runs a node until it is told to stop.
pub(crate) fn run(args: &NodeArgs) -> Result<(), End> {
    let config = NodeConfig::of(args, |name| std::env::var(name).ok())
        .map_err(|misuse| End::misuse(misuse.to_string()))?;
    log::init(&config.log).map_err(End::misuse)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(serving_threads())
        .enable_all()
        .build()
        .map_err(|error| End::failed(format!("the process cannot start its threads: {error}")))?;
    let result = runtime.block_on(serve(config, args.with_parent));
    // What is still open then are connections of clients and nodes, which bear being cut.
    runtime.shutdown_background();
    result
}

/// How many threads serve sockets and the node: one processor is left to the disk and to the system. More
/// of them than processors only wake each other.
fn serving_threads() -> usize {
    thread::available_parallelism().map_or(1, |processors| processors.get().max(2) - 1)
}

/// Tables and connections each hold a file open, and the usual limit is meant for programs with few.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where it is not allowed, the limit stays; a table too many then tells so in its error.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

async fn serve(config: NodeConfig, with_parent: bool) -> Result<(), End> {
    // First of all, so that a signal during the start is not missed.
    let mut stop = Box::pin(stop_wanted(with_parent)?);
    allow_many_files();
    let listeners = listen(&config.listen).await?;
    let place = Place::of(&config, &listeners)?;
    let mut disk = FileDisk::open(&place.data).map_err(|error| End::failed(error.to_string()))?;
    let clock = Clock::new();
    let boot = Boot {
        name: place.name.clone(),
        address: place.advertise.to_string(),
        entropy: entropy()?,
        partitions: PARTITIONS,
        shards: config.shards,
        founding: config.founding.clone(),
        storage: StoreOptions::SERVER,
    };
    let node = Node::open(boot, clock.now(), &mut disk).map_err(|error| {
        // Segments are files named by their number.
        End::failed(format!("the data folder {} cannot be used: {error}", place.data.display()))
    })?;
    let threads = |error| End::failed(format!("the process cannot start its threads: {error}"));
    let (handle, mut ended) = driver::start(node, disk, clock).map_err(threads)?;

    let transport = Transport::new(handle.clone());
    tokio::spawn(keep_dialling(transport.clone(), config.seeds));
    let own_addresses = Arc::new(place.own_addresses);
    let (closing, close) = watch::channel(false);
    let stopping = close.clone();
    let router = api::router(App { handle: handle.clone(), transport, own_addresses, stopping });
    let servers = Servers::start(listeners, &router, &close);
    info!(
        node = place.name,
        "listening on {}; data in {}",
        place.listening.join(", "),
        place.data.display()
    );

    tokio::select! {
        ending = &mut ended => finish(ending),
        () = &mut stop => {
            info!(node = place.name, "stopping");
            closing.send_replace(true);
            servers.wait().await;
            stop_driver(&handle);
            finish(ended.await)
        }
    }
}

fn stop_driver(handle: &Handle) {
    handle.control(Control::Stop);
}

fn finish(ending: Result<Ending, tokio::sync::oneshot::error::RecvError>) -> Result<(), End> {
    match ending {
        Ok(Ending::Stopped) => {
            info!("stopped; everything acknowledged is on disk");
            Ok(())
        }
        Ok(Ending::Halted(reason)) => {
            error!("halted: {reason}");
            Err(End::failed(format!(
                "the node has halted: {reason}; check the disk, then start it again"
            )))
        }
        Err(_) => Err(End::failed(
            "internal fault: the node has panicked (see above); start the node again, acknowledged writes are on disk",
        )),
    }
}

/// Where a node lives, once it is known on which ports it listens.
struct Place {
    name: String,
    advertise: Address,
    data: PathBuf,
    listening: Vec<String>,
    own_addresses: Vec<String>,
}

impl Place {
    fn of(config: &NodeConfig, listeners: &[TcpListener]) -> Result<Self, End> {
        let bound: io::Result<Vec<SocketAddr>> =
            listeners.iter().map(TcpListener::local_addr).collect();
        let bound = bound.map_err(|error| End::failed(format!("listening failed: {error}")))?;
        let port = bound.first().map_or(0, SocketAddr::port);
        let name = config.name.clone().unwrap_or_else(|| config::default_name(port));
        let listens = |(address, bound): (&Address, &SocketAddr)| Address {
            host: address.host.clone(),
            port: bound.port(),
        };
        let listening: Vec<Address> = config.listen.iter().zip(&bound).map(listens).collect();
        let advertise = match (&config.advertise, listening.first()) {
            (Some(address), _) => address.clone(),
            (None, Some(first)) => first.reachable(),
            (None, None) => return Err(End::misuse("give at least one --listen HOST:PORT")),
        };
        if config.advertise.is_none() && listening.iter().any(Address::is_any) {
            info!(
                "other nodes are told to dial {advertise}; if any is on another machine, give --advertise HOST:PORT"
            );
        }
        let data = config.data.clone().unwrap_or_else(|| PathBuf::from("kv-data").join(&name));
        let own = listening.iter().chain([&advertise]).map(Address::to_string);
        Ok(Self {
            own_addresses: own.collect(),
            listening: listening.iter().map(Address::to_string).collect(),
            name,
            advertise,
            data,
        })
    }
}

async fn listen(addresses: &[Address]) -> Result<Vec<TcpListener>, End> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address.to_string()).await.map_err(|error| {
            let way_out = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "another program uses it; stop that one, or choose another with --listen HOST:PORT"
                }
                io::ErrorKind::AddrNotAvailable => {
                    "it is not an address of this machine; choose one with --listen HOST:PORT (and tell the others with --advertise)"
                }
                _ => "choose another with --listen HOST:PORT",
            };
            End::failed(format!("cannot listen on {address}: {error}; {way_out}"))
        })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn entropy() -> Result<u64, End> {
    getrandom::u64()
        .map_err(|error| End::failed(format!("the system gives no random numbers: {error}")))
}

/// The servers of all addresses, with one router.
struct Servers(Vec<tokio::task::JoinHandle<()>>);

impl Servers {
    fn start(listeners: Vec<TcpListener>, router: &Router, close: &watch::Receiver<bool>) -> Self {
        let start = |listener: TcpListener| {
            let listener = listener.tap_io(|stream| {
                // Answers are small and awaited: they must not wait for more to send.
                let _ = stream.set_nodelay(true);
            });
            let service = router.clone().into_make_service_with_connect_info::<SocketAddr>();
            let mut close = close.clone();
            tokio::spawn(async move {
                let closing = async move {
                    // An error means that the sender is gone, and so is the process.
                    let _ = close.wait_for(|closing| *closing).await;
                };
                if let Err(error) =
                    axum::serve(listener, service).with_graceful_shutdown(closing).await
                {
                    error!("a server has ended: {error}");
                }
            })
        };
        Self(listeners.into_iter().map(start).collect())
    }

    /// Waits until open requests are answered, but not for idle connections and links.
    async fn wait(self) {
        let all = async {
            for server in self.0 {
                // A server that panicked has ended as well.
                let _ = server.await;
            }
        };
        let _ = tokio::time::timeout(CLOSE_WAIT, all).await;
    }
}

/// Ends when the node is to stop: at SIGINT or SIGTERM, or when the parent has gone.
fn stop_wanted(with_parent: bool) -> Result<impl Future<Output = ()>, End> {
    let no_signals = |error| End::failed(format!("signals cannot be handled: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let (gone, mut parent) = watch::channel(false);
    if with_parent {
        thread::spawn(move || {
            let mut rest = Vec::new();
            // Whatever ends the reading, no one is at the other end any more.
            let _ = io::stdin().read_to_end(&mut rest);
            gone.send_replace(true);
        });
    }
    Ok(async move {
        let parent_gone = async move {
            if !with_parent || parent.wait_for(|gone| *gone).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = parent_gone => {}
        }
    })
}
