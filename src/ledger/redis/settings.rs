//! `[ledger] redis`, as it is needed, and the names of the keys.

use std::fmt;

use crate::{ledger::TokenId, secret::Secret};

/// `[ledger] redis`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    pub servers: Servers,
    pub transport: Transport,
    pub login: Option<Login>,
    /// What all our keys begin with.
    pub prefix: String,
}

/// As in the summary of a configuration.
impl fmt::Display for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |addresses: &[Address]| {
            addresses.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>().join(", ")
        };
        match &self.servers {
            Servers::One { address, .. } => write!(f, "in Redis at {}", list(std::slice::from_ref(address))),
            Servers::Sentinels { sentinels, master, .. } => {
                write!(f, "in Redis, the master {master} of the Sentinels at {}", list(sentinels))
            }
            Servers::Cluster(nodes) => write!(f, "in a cluster of Redis at {}", list(nodes)),
        }
    }
}

/// A host and a port.
pub type Address = (String, u16);

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers {
    One {
        address: Address,
        database: i64,
    },
    /// Whichever server they say is the master.
    Sentinels {
        sentinels: Vec<Address>,
        master: String,
        database: i64,
    },
    /// Some of its nodes; they tell of the others.
    Cluster(Vec<Address>),
}

/// How it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    Plain,
    /// TLS, the certificate verified with the system's roots.
    Tls,
    /// TLS, the certificate verified with these alone (PEM).
    TlsWithRoots(Vec<u8>),
}

/// Who we are there.
#[derive(Clone, Debug)]
pub struct Login {
    /// `None` is the user `default`.
    pub user: Option<String>,
    pub password: Secret,
}

/// Whether a configuration says the same as another; both are the operator's.
impl PartialEq for Login {
    fn eq(&self, other: &Self) -> bool {
        self.user == other.user && self.password.expose() == other.password.expose()
    }
}

impl Eq for Login {}

/// The names of our keys.
///
/// In a cluster the spent tokens spread over [`Keys::BUCKETS`] slots, each with a copy of the epoch beside them: a node that
/// loses its data is noticed by whoever spends a token there.
pub(super) struct Keys {
    prefix: String,
    is_cluster: bool,
}

impl Keys {
    const BUCKETS: u8 = 64;

    pub fn new(settings: &RedisSettings) -> Self {
        Self { prefix: settings.prefix.clone(), is_cluster: matches!(settings.servers, Servers::Cluster(_)) }
    }

    /// What is shared by all: `epoch`, `revocations` (a stream), and others. In braces, so that it is one slot.
    pub fn shared(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.prefix)
    }

    pub fn epoch(&self) -> String {
        self.shared("epoch")
    }

    pub fn revocations(&self) -> String {
        self.shared("revocations")
    }

    /// Of a spent token: its 32 bytes as they are.
    pub fn spent(&self, id: &TokenId) -> Vec<u8> {
        let mut key = match self.is_cluster {
            true => format!("{{{}:{}}}:spent:", self.prefix, id.0[0] % Self::BUCKETS),
            false => format!("{}:spent:", self.prefix),
        }
        .into_bytes();
        key.extend_from_slice(&id.0);
        key
    }

    /// The epoch that is in the same slot as a spent token.
    pub fn epoch_beside(&self, id: &TokenId) -> String {
        if self.is_cluster { self.copy(id.0[0] % Self::BUCKETS) } else { self.epoch() }
    }

    /// All copies of the epoch.
    pub fn copies(&self) -> impl Iterator<Item = String> {
        let buckets = if self.is_cluster { Self::BUCKETS } else { 0 };
        (0..buckets).map(|bucket| self.copy(bucket))
    }

    fn copy(&self, bucket: u8) -> String {
        format!("{{{}:{bucket}}}:epoch", self.prefix)
    }
}
