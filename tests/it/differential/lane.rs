//! A lane: Vestibule, nginx and HAProxy, each before an app of its own, given the same bytes one case after the other.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::{Instant, timeout_at},
};

use super::{
    mutation::Case,
    peers::{Behind, Peers},
};
use crate::support::{Door, Issuer, Record, Recorder, SERIAL};

/// A tenant with a host of its own, and a route for each kind of case.
const CONFIG: &str = r#"
[ledger]
memory = true
[session]
keys = [{ id = "s1", env = "SESSION" }]
[tenants.acme]
dialect = "gateway"
keys = [{ id = "k1", env = "ACME" }]
hosts = ["portal.test"]
[upstreams.app]
servers = ["ADDRESS"]
[[routes]]
path = "/"
upstream = "app"
[[routes]]
path = "/public"
auth = "public"
upstream = "app"
"#;

/// How long a client waits.
#[derive(Clone, Copy)]
pub struct Patience {
    /// For the first answer: whoever waits for more of a body gives none.
    pub first: Duration,
    /// For another, once one came.
    pub next: Duration,
}

impl Patience {
    pub const SHORT: Self = Self { first: Duration::from_millis(400), next: Duration::from_millis(40) };
    /// For what has to be certain.
    pub const LONG: Self = Self { first: Duration::from_secs(3), next: Duration::from_millis(500) };
}

/// What happened to one case at one proxy.
#[derive(Clone, Debug, Default)]
pub struct Passage {
    /// What the app behind it saw.
    pub record: Record,
    /// All the client received.
    pub received: Vec<u8>,
}

/// One case, at all three.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    pub vestibule: Passage,
    pub nginx: Passage,
    pub haproxy: Passage,
}

pub struct Lane {
    number: usize,
    door: Door,
    apps: [Recorder; 3],
}

impl Lane {
    pub async fn start(number: usize) -> Self {
        let apps = [Recorder::start().await, Recorder::start().await, Recorder::start().await];
        let door = Door::start(&CONFIG.replace("ADDRESS", &apps[0].address.to_string())).await;
        Self { number, door, apps }
    }

    pub fn behind(&self) -> Behind {
        Behind { nginx: self.apps[1].address, haproxy: self.apps[2].address }
    }

    /// Sends a case to all three at once, each over a connection of its own.
    pub async fn observe(&self, case: &Case, peers: &Peers, patience: Patience) -> Observation {
        // What came late belongs to no case; a case whose own requests come late is looked at again with more patience.
        for app in &self.apps {
            app.take();
        }
        let bytes = &case.bytes;
        let door = async { send(TcpStream::connect(self.door.address).await.unwrap(), bytes, patience).await };
        let nginx = async { send(UnixStream::connect(peers.nginx(self.number)).await.unwrap(), bytes, patience).await };
        let haproxy =
            async { send(UnixStream::connect(peers.haproxy(self.number)).await.unwrap(), bytes, patience).await };
        let (door, nginx, haproxy) = tokio::join!(door, nginx, haproxy);
        let [vestibule, nginx, haproxy] = [(door, 0), (nginx, 1), (haproxy, 2)]
            .map(|(received, app)| Passage { record: self.apps[app].take(), received });
        Observation { vestibule, nginx, haproxy }
    }

    /// Another user on a fresh connection, right after: the app must see that user.
    pub async fn canary(&self, user: &str) -> Result<(), String> {
        let answer = self.door.get("/canary").bearer(Issuer::ACME.token(user)).send().await;
        let record = self.apps[0].take();
        let stream = record.streams.last().cloned().unwrap_or_default();
        let text = String::from_utf8_lossy(&stream).to_lowercase();
        let is_right = answer.status == 200
            && record.serials.len() == 1
            && text.starts_with("get /canary ")
            && text.matches("x-user-id: ").count() == 1
            && text.contains(&format!("\r\nx-user-id: {user}\r\n"));
        if is_right { Ok(()) } else { Err(format!("canary: {} and {text:?}", answer.status)) }
    }
}

async fn send(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8], patience: Patience) -> Vec<u8> {
    // Whoever closes early is seen by reading.
    let _ = stream.write_all(bytes).await;
    let mut received = Vec::new();
    let mut chunk = [0; 8 * 1024];
    let mut end = Instant::now() + patience.first;
    while let Ok(Ok(length @ 1..)) = timeout_at(end, stream.read(&mut chunk)).await {
        received.extend_from_slice(&chunk[..length]);
        end = Instant::now() + patience.next;
    }
    received
}

impl Passage {
    /// The numbers of the app's answers that the client got.
    pub fn serials(&self) -> Vec<u64> {
        let text = String::from_utf8_lossy(&self.received).to_lowercase();
        let name = format!("\r\n{}: ", SERIAL.to_lowercase());
        let after = text.split(&name).skip(1);
        after.filter_map(|rest| rest.split("\r\n").next()?.parse().ok()).collect()
    }
}
