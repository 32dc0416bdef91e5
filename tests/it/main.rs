//! Vestibule as its users meet it: through sockets, the binary, real signers and a real helpdesk.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

mod answers;
mod attacks;
mod browser;
mod cache;
mod clocks;
mod cluster;
mod command_line;
mod configuration;
mod conformance;
mod connections;
mod conventions;
mod decision;
mod denials;
mod dialects;
mod differential;
mod django_helpdesk;
mod exchange;
mod failures;
mod forwarded;
mod goodbyes;
mod handover;
mod headers;
mod http2;
mod http2_frames;
mod leaks;
mod ledger_on_disk;
mod ledger_on_redis;
mod ledgers;
mod leftovers;
mod open_origins;
mod origins;
mod pages;
mod places;
mod planted;
mod readme;
mod redis_in_trouble;
mod redis_servers;
mod reload;
mod remedies;
mod revocation;
mod shared_keys;
mod shares;
mod slashes;
mod standing;
mod streams;
mod structure;
mod token_params;
mod tokens;
mod underway;
mod uploads;
mod upstreams;
mod waits;
mod warnings;
mod websockets;
