//! What the benches share: one configuration, one token, one time.

#![allow(dead_code, clippy::panic, reason = "each bench uses its part, and fails by panicking")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use http::{HeaderMap, HeaderValue, Method, header};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use vestibule::{config::Config, gate::Gate, head::Head, ledger::Ledger, server, time::UnixTime, visitor::Visitor};

/// 2026-11-20T00:00:00Z.
pub const NOW: UnixTime = UnixTime(1_795_132_800);

pub const SECRET: &str = "acme-secret-0123456789abcdef0123456789";

/// A widget token of seven claims, `number` making it unlike any other.
pub fn token(number: u64) -> String {
    let claims = json!({
        "userId": format!("u-{number}"), "tenantId": "t0", "userEmail": "maya@acme.example", "userRoles": ["agent", "vip"],
        "plan": "pro", "iat": NOW.0, "exp": NOW.0 + 3_600,
    });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("signs")
}

/// So many tenants and so many routes, before one upstream. The first tenant has no host: it is anyone's.
pub fn config(tenants: usize, routes: usize, upstream: SocketAddr) -> Config {
    let mut text = "[session]\nkeys = [{ id = \"s\", env = \"SESSION\" }]\n[ledger]\nmemory = true\n".to_owned();
    text += "[listen]\naddress = \"127.0.0.1:0\"\n";
    for tenant in 0..tenants {
        let hosts = if tenant == 0 { String::new() } else { format!("hosts = [\"h{tenant}.test\"]\n") };
        text += &format!(
            "[tenants.t{tenant}]\ndialect = \"gateway\"\n{hosts}keys = [{{ id = \"k\", env = \"T{tenant}\" }}]\n"
        );
    }
    text += &format!("[upstreams.app]\nservers = [\"{upstream}\"]\n[[routes]]\npath = \"/\"\nupstream = \"app\"\n");
    for route in 1..routes {
        text += &format!("[[routes]]\npath = \"/part-{route}/of/the/app\"\nupstream = \"app\"\n");
    }
    let secret = |name: &str| match name {
        "T0" => Some(SECRET.to_owned()),
        name => Some(format!("{name}-0123456789abcdef0123456789abcdef0123")),
    };
    Config::parse(Path::new("bench.toml"), &text, &secret).unwrap_or_else(|problems| panic!("{}", problems[0]))
}

/// The gate of [`config`].
pub fn gate(tenants: usize, routes: usize) -> Gate {
    let config = config(tenants, routes, SocketAddr::from(([127, 0, 0, 1], 9)));
    server::gate(&config, Arc::new(Ledger::in_memory(1_000)))
}

/// The headers a browser's script sends, with one more.
pub fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
    let pairs = [
        (header::HOST, "portal.test"),
        (
            header::USER_AGENT,
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
        ),
        (header::ACCEPT, "application/json"),
        (header::ACCEPT_ENCODING, "gzip, deflate, br"),
        (header::ACCEPT_LANGUAGE, "en-GB,en;q=0.9"),
        (header::REFERER, "https://portal.test/tickets"),
    ];
    let mut headers: HeaderMap =
        pairs.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
    headers.insert(name, HeaderValue::from_str(value).expect("ASCII"));
    headers
}

/// The head of a request for a deep path.
pub fn head(headers: &HeaderMap) -> Head<'_> {
    Head::parse(&Method::GET, b"/part-7/of/the/app/tickets/4711?page=2", None, headers).expect("a plain head")
}

/// Who sends it.
pub fn visitor() -> Visitor {
    let headers = headers(header::ACCEPT, "*/*");
    Visitor::read(&head(&headers), Ipv4Addr::LOCALHOST.into(), "http", &[]).expect("a client without a proxy")
}
