//! A closed loop: each client asks again as soon as it is answered. Operations that end while the
//! coordinator measures count; those at the beginning and the end do not.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use hdrhistogram::Histogram;
use tokio::task::LocalSet;

use crate::client::{Clients, Connector, VALUE_BYTES};
use crate::measure::processor_micros;

/// How many keys there are.
const KEYS: u64 = 100_000;
/// How long the clients run before what they do counts.
const BEGIN: Duration = Duration::from_millis(300);
/// How many clients write all keys at first.
const FILLERS: usize = 256;
/// In microseconds; what takes longer counts as this.
const LONGEST: u64 = 60_000_000;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Operation {
    /// Stores a value.
    Put,
    /// Reads one, linearizably.
    Read,
}

/// What came of half a round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) per_second: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Microseconds of processor time for each operation: of all servers, and of the clients.
    pub(crate) server_processor: f64,
    pub(crate) client_processor: f64,
    /// Share of operations that were not answered with success.
    pub(crate) failed: f64,
}

/// What the clients of a run share; they are all on one thread.
struct Shared {
    counts: Cell<bool>,
    over: Cell<bool>,
    latencies: RefCell<Histogram<u64>>,
    failed: Cell<u64>,
    last_failure: RefCell<Option<anyhow::Error>>,
}

/// Lets so many clients loose for a time.
pub(crate) async fn run(
    connector: &Connector,
    servers: &[u32],
    operation: Operation,
    count: usize,
    time: Duration,
    seed: u64,
) -> Result<Numbers> {
    let shared = Rc::new(Shared {
        counts: Cell::new(false),
        over: Cell::new(false),
        latencies: RefCell::new(Histogram::new_with_bounds(1, LONGEST, 3)?),
        failed: Cell::new(0),
        last_failure: RefCell::new(None),
    });
    let tasks = LocalSet::new();
    for (number, client) in (1..).zip(connector.clients(count).await?) {
        let keys = Random(seed.wrapping_mul(1_000_003).wrapping_add(number));
        tasks.spawn_local(one_client(client, operation, keys, Rc::clone(&shared)));
    }
    let own = [std::process::id()];
    let measure = async {
        tokio::time::sleep(BEGIN).await;
        let before = (processor_micros(servers)?, processor_micros(&own)?, Instant::now());
        shared.counts.set(true);
        tokio::time::sleep(time).await;
        shared.counts.set(false);
        let took = before.2.elapsed().as_secs_f64();
        let servers = processor_micros(servers)? - before.0;
        let clients = processor_micros(&own)? - before.1;
        shared.over.set(true);
        Ok::<_, anyhow::Error>((servers, clients, took))
    };
    let (servers, clients, took) = tasks.run_until(measure).await?;
    tasks.await;
    let latencies = shared.latencies.borrow();
    let (done, failed) = (latencies.len() as f64, shared.failed.get() as f64);
    if let Some(error) = shared.last_failure.take() {
        eprintln!("    {failed} of {} failed, the last one: {error:#}", done + failed);
    }
    anyhow::ensure!(done > 0.0, "no operation was answered in {took:.1} s");
    Ok(Numbers {
        per_second: done / took,
        p50: latencies.value_at_quantile(0.5) as f64 / 1e3,
        p99: latencies.value_at_quantile(0.99) as f64 / 1e3,
        server_processor: servers / done,
        client_processor: clients / done,
        failed: failed / (done + failed),
    })
}

async fn one_client(
    mut client: Clients,
    operation: Operation,
    mut random: Random,
    shared: Rc<Shared>,
) {
    let mut value = [0; VALUE_BYTES];
    while !shared.over.get() {
        let key = key(random.next() % KEYS);
        let start = Instant::now();
        let done = match operation {
            Operation::Put => {
                random.fill(&mut value);
                client.put(&key, &value).await
            }
            Operation::Read => client.read(&key).await,
        };
        let took = u64::try_from(start.elapsed().as_micros()).unwrap_or(LONGEST);
        match done {
            Ok(()) if shared.counts.get() => shared.latencies.borrow_mut().saturating_record(took),
            Ok(()) => {}
            Err(error) => {
                shared.failed.update(|count| count + 1);
                shared.last_failure.replace(Some(error));
                // A node that refuses at once would be asked without end.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

/// Writes every key once, which also warms the servers up.
pub(crate) async fn fill(connector: &Connector) -> Result<()> {
    let tasks = LocalSet::new();
    let next = Rc::new(Cell::new(0));
    let mut all = Vec::new();
    for mut client in connector.clients(FILLERS).await? {
        let next = Rc::clone(&next);
        all.push(tasks.spawn_local(async move {
            let mut random = Random(next.get() + 1);
            let mut value = [0; VALUE_BYTES];
            loop {
                let number = next.replace(next.get() + 1);
                if number >= KEYS {
                    return Ok::<_, anyhow::Error>(());
                }
                random.fill(&mut value);
                put_in_the_end(&mut client, &key(number), &value).await?;
            }
        }));
    }
    tasks.await;
    for task in all {
        task.await?.context("the keys cannot be written")?;
    }
    Ok(())
}

/// A node that has just started may refuse for a while.
async fn put_in_the_end(client: &mut Clients, key: &str, value: &[u8]) -> Result<()> {
    let mut tries = 0;
    loop {
        match client.put(key, value).await {
            Err(_) if tries < 50 => tries += 1,
            done => return done,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn key(number: u64) -> String {
    format!("key{number:08}")
}

/// A generator that costs next to nothing (Steele, Lea and Flood's SplitMix).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}
