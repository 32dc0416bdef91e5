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
    row("I 106", "h2spec, strict", "a package of it; built and run by hand"),
    row("K 124", "a day of everything", "make soak"),
    row("L 131 log", "a stopped reader of the log", "several processes"),
    row("L 134", "another service at the upstream's address", "TLS to upstreams"),
];
