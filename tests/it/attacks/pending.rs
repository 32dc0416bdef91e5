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
    row("A 30", "the time a refusal takes tells nothing", "a bench"),
    row("B 36 h2", "logout ends the session over HTTP/2", "HTTP/2"),
    row("B 36 ws", "logout ends an open WebSocket", "WebSocket policies"),
    row("B 36 many", "logout ends the session on another instance", "a ledger that is shared"),
    row("C 48 U3", "nomination through nginx and HAProxy", "nginx and HAProxy behind the door"),
    row("F 78 log", "no token in metrics and traces", "metrics and traces"),
    row("G 86 own", "a preflight of the tenant's own origin", "CORS"),
    row(
        "H 95 beside",
        "the same bytes to nginx and HAProxy: nothing passes that both refuse",
        "nginx and HAProxy beside the door",
    ),
    row("I 106", "h2spec, strict", "HTTP/2"),
    row("I 108", "line ends and colons in HTTP/2 headers and pseudo-headers", "HTTP/2"),
    row("I 109", "connection headers over HTTP/2", "HTTP/2"),
    row("I 110", "a content-length that DATA frames do not keep", "HTTP/2"),
    row("I 112", "floods of resets, CONTINUATION, SETTINGS and PING", "HTTP/2"),
    row("J 114", "a handshake by cookie from another site", "WebSocket policies"),
    row("J 115", "a handshake without a credential; the token is not echoed", "WebSocket policies"),
    row("J 117", "h2c and other upgrades", "WebSocket policies"),
    row("K 119", "2,000 slow heads", "make overload"),
    row("K 121", "20,000 idle connections with 4,096 descriptors", "listen.max_connections"),
    row("K 122", "a flood of bad tokens", "make overload"),
    row("K 124", "a day of everything", "make soak"),
    row("L 127", "Redis down at start, in between, and back", "Redis"),
    row("L 130", "a key that is replaced, and its end to the millisecond", "reload"),
    row("L 131", "a full disk, a stopped reader of the log", "several processes"),
    row("L 133", "kill -9 under load, SIGTERM once and twice", "several processes"),
    row("L 134", "another service at the upstream's address", "TLS to upstreams"),
];
