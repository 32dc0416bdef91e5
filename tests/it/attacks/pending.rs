//! Cases that wait for something: what it is stands beside each.

/// A case that no row tries yet.
pub struct Pending {
    pub id: &'static str,
    pub name: &'static str,
    pub waits_for: &'static str,
}

const fn row(id: &'static str, name: &'static str, waits_for: &'static str) -> Pending {
    Pending { id, name, waits_for }
}

pub const PENDING: &[Pending] = &[
    row("F 78 log", "no token in metrics and traces", "metrics and traces"),
    row("G 86 own", "a preflight of the tenant's own origin", "CORS"),
    row("I 106", "h2spec, strict", "a package of it; built and run by hand"),
    row("J 114", "a handshake by cookie from another site", "WebSocket policies"),
    row("J 115", "a handshake without a credential; the token is not echoed", "WebSocket policies"),
    row("K 124", "a day of everything", "make soak"),
    row("L 131 log", "a stopped reader of the log", "several processes"),
    row("L 134", "another service at the upstream's address", "TLS to upstreams"),
];
