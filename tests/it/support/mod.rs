//! What the tests stand on: a door in front of an upstream that records, a client that sends any bytes, and issuers.

mod between;
mod client;
mod door;
mod issuer;
mod process;
pub mod reader;
mod recorder;
mod redis;
mod served;
mod signers;
mod tls;
mod upstream;
pub mod websocket;

pub use between::{Between, Fault};
pub use client::{Answer, Ask, Client, PATIENCE};
pub use door::{Door, NOW, Secrets, config, one_tenant, two_tenants};
pub use issuer::Issuer;
pub use process::{Process, free_port};
pub use recorder::{Record, Recorder, SERIAL};
pub use redis::{RedisServer, cli_bytes};
pub use served::{Load, Served, token_of_now, with_listen};
pub use signers::{Signer, mint, minted_by};
pub use tls::{Certificate, H2};
pub use upstream::Upstream;

/// Waits until it is so, at most some seconds.
pub async fn eventually(seconds: u64, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(seconds);
    while !is_so().await {
        assert!(tokio::time::Instant::now() < end, "not within {seconds} s: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
