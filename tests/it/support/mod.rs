//! What the tests stand on: a door in front of an upstream that records, a client that sends any bytes, and issuers.

mod client;
mod door;
mod issuer;
mod process;
pub mod reader;
mod recorder;
mod served;
mod signers;
mod tls;
mod upstream;

pub use client::{Answer, Ask, Client, PATIENCE};
pub use door::{Door, NOW, Secrets, config, one_tenant, two_tenants};
pub use issuer::Issuer;
pub use process::Process;
pub use recorder::{Record, Recorder, SERIAL};
pub use served::{Load, Served, free_port, token_of_now, until, with_listen};
pub use signers::{Signer, mint, minted_by};
pub use tls::{Certificate, H2};
pub use upstream::Upstream;
