//! Vestibule: a support widget's token in, a portal session out, and the app behind is told who is calling.
//!
//! Read [`gate`] first: it is the decision about a request, on one screen. Then [`proxy`], where Pingora's phases call it;
//! [`token`] and [`session`], the two ways of proving who is calling; [`exchange`], which turns one into the other; and
//! [`stamp`], which writes what the app is told.
//!
//! A module uses modules of its own layer and above, never below:
//!
//! | layer | modules | may touch |
//! | --- | --- | --- |
//! | 0 | [`time`], [`secret`], [`json`], [`client`] | std, randomness |
//! | 1 | [`identity`], [`fields`], [`head`], [`path`], [`framing`], [`query`], [`readings`], [`fetch`] | http |
//! | 2 | [`dialect`], [`keyring`], [`token`], [`session`] | cryptography |
//! | 3 | [`tenant`], [`origin`], [`cookies`], [`credential`], [`route`], [`visitor`] | – |
//! | 4 | [`ledger`], [`limits`], [`cache`], [`denial`], [`repeats`], [`reloads`] | concurrent memory, the ledger's file and Redis |
//! | 5 | [`gate`], [`leftovers`], [`exchange`], [`loops`] | async, no sockets, no Pingora |
//! | 6 | [`pages`], [`config`] | files, environment |
//! | 7 | [`request_id`], [`socket`], [`alarm`], [`connection`], [`underway`], [`tunnel`], [`wire`], [`body`], [`log`], [`dial`], [`upstream`], [`places`], [`stamp`], [`answer`], [`reply`], [`proxy`], [`metrics`], [`admin`] | Pingora |
//! | 8 | [`bind`], [`listener`], [`live`], [`server`], [`signals`], [`systemd`], [`watch`], [`reload`], [`handover`], [`service`], [`demo`], [`cli`] | sockets, processes, clap |
//!
//! Layers 0 to 3 are synchronous and deterministic: no clock, no randomness but for keys and ids.

pub mod admin;
pub mod alarm;
pub mod answer;
pub mod bind;
pub mod body;
pub mod cache;
pub mod cli;
pub mod client;
pub mod config;
pub mod connection;
pub mod cookies;
pub mod credential;
pub mod demo;
pub mod denial;
pub mod dial;
pub mod dialect;
pub mod exchange;
pub mod fetch;
pub mod fields;
pub mod framing;
pub mod gate;
pub mod handover;
pub mod head;
pub mod identity;
pub mod json;
pub mod keyring;
pub mod ledger;
pub mod leftovers;
pub mod limits;
pub mod listener;
pub mod live;
pub mod log;
pub mod loops;
pub mod metrics;
pub mod origin;
pub mod pages;
pub mod path;
pub mod places;
pub mod proxy;
pub mod query;
pub mod readings;
pub mod reload;
pub mod reloads;
pub mod repeats;
pub mod reply;
pub mod request_id;
pub mod route;
pub mod secret;
pub mod server;
pub mod service;
pub mod session;
pub mod signals;
pub mod socket;
pub mod stamp;
pub mod systemd;
pub mod tenant;
pub mod time;
pub mod token;
pub mod tunnel;
pub mod underway;
pub mod upstream;
pub mod visitor;
pub mod watch;
pub mod wire;
