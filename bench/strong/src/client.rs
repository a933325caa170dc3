//! Clients of both systems, with nothing in them that the measurement does not need.

mod etcd;
mod http;

use anyhow::Result;
use tonic::transport::{Channel, Endpoint};

use crate::Via;
use crate::servers::{NODES, System};

/// The size of every value.
pub(crate) const VALUE_BYTES: usize = 256;

/// What clients are made of: where the nodes are and what is shared by those of one node.
pub(crate) enum Connector {
    Etcd(Vec<Channel>),
    Http(Vec<String>),
}

/// A client of one node; it has one request open at a time.
enum Client {
    Etcd(etcd::Client),
    Http(http::Client),
}

/// A client of the cluster.
pub(crate) struct Clients {
    nodes: Vec<Client>,
    next: usize,
}

impl Connector {
    /// One for the nodes at these addresses. gRPC has one connection to each, as its own clients have.
    pub(crate) async fn new(system: System, via: Via, addresses: &[String]) -> Result<Self> {
        match (system, via) {
            (System::Kv, Via::Http) => Ok(Self::Http(addresses.to_vec())),
            (System::Etcd, _) => Ok(Self::Etcd(channels(addresses).await?)),
        }
    }

    /// So many clients, spread evenly over the nodes. When there are fewer clients than nodes, each goes
    /// round, so that it does not matter which node leads.
    pub(crate) async fn clients(&self, count: usize) -> Result<Vec<Clients>> {
        let mut all = Vec::with_capacity(count);
        for number in 0..count {
            let nodes = if count < NODES { 0..NODES } else { number % NODES..number % NODES + 1 };
            let mut clients = Vec::new();
            for node in nodes {
                clients.push(self.client(node).await?);
            }
            all.push(Clients { nodes: clients, next: 0 });
        }
        Ok(all)
    }

    async fn client(&self, node: usize) -> Result<Client> {
        Ok(match self {
            Self::Etcd(channels) => Client::Etcd(etcd::Client::new(channels[node].clone())),
            Self::Http(addresses) => Client::Http(http::Client::connect(&addresses[node]).await?),
        })
    }
}

async fn channels(addresses: &[String]) -> Result<Vec<Channel>> {
    let mut channels = Vec::new();
    for address in addresses {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        channels.push(endpoint.connect().await?);
    }
    Ok(channels)
}

impl Clients {
    /// Stores a value under a key.
    pub(crate) async fn put(&mut self, key: &str, value: &[u8]) -> Result<()> {
        match self.turn() {
            Client::Etcd(client) => client.put(key, value).await,
            Client::Http(client) => client.put(key, value).await,
        }
    }

    /// Reads a key that is there.
    pub(crate) async fn read(&mut self, key: &str) -> Result<()> {
        let bytes = match self.turn() {
            Client::Etcd(client) => client.read(key).await,
            Client::Http(client) => client.read(key).await,
        }?;
        anyhow::ensure!(bytes == VALUE_BYTES, "the value of {key} has {bytes} bytes");
        Ok(())
    }

    fn turn(&mut self) -> &mut Client {
        let turn = self.next;
        self.next = (turn + 1) % self.nodes.len();
        &mut self.nodes[turn]
    }
}
