//! `origins` with an open label, and those of apps with a scheme of their own: the same list for writing, reading, signing in and
//! framing.

use crate::support::{Door, Issuer, Upstream, config};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "__Host-vestibule";
const LISTED: [&str; 2] = ["https://team-1.acme.example", "capacitor://localhost"];
const FOREIGN: [&str; 6] = [
    "https://acme.example",
    "https://a.team-1.acme.example",
    "https://*.acme.example",
    "https://team-1.acme.example.evil.test",
    "http://team-1.acme.example",
    "ionic://localhost",
];

async fn door(upstream: &Upstream) -> Door {
    let list = r#"origins = ["https://*.acme.example", "capacitor://localhost"]"#;
    let text = config(upstream).replace(r#"origins = ["https://app.acme.example"]"#, list);
    assert!(text.contains(list));
    Door::start(&text).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_page_may_write_read_open_websockets_and_sign_in() {
    let upstream = Upstream::start().await;
    let door = door(&upstream).await;
    let session = door.session(&ACME.token("maya")).await;
    let write = |origin| door.post("/tickets").cookie(COOKIE, &session).header("Origin", origin).send();
    let handshake = |origin| {
        door.get("/chat")
            .cookie(COOKIE, &session)
            .header("Origin", origin)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .send()
    };
    let preflight = |origin| {
        door.ask("OPTIONS", "/tickets").header("Origin", origin).header("Access-Control-Request-Method", "PUT").send()
    };
    let sign_in =
        |origin, user: &str| door.post("/_auth/exchange").bearer(ACME.token(user)).header("Origin", origin).send();
    for (at, origin) in LISTED.into_iter().enumerate() {
        let written = write(origin).await;
        assert_eq!((written.status, written.header("access-control-allow-origin")), (200, Some(origin)));
        assert_eq!(handshake(origin).await.status, 200, "{origin}: the app may answer");
        let asked = preflight(origin).await;
        assert_eq!((asked.status, asked.header("access-control-allow-origin")), (204, Some(origin)));
        assert_eq!(sign_in(origin, &format!("listed-{at}")).await.status, 200, "{origin}");
    }
    let before = upstream.seen().len();
    for origin in FOREIGN {
        assert_eq!(write(origin).await.code(), "origin_not_allowed", "{origin}");
        assert_eq!(handshake(origin).await.code(), "origin_not_allowed", "{origin}");
        let asked = preflight(origin).await;
        assert_eq!((asked.code().as_str(), asked.header("access-control-allow-origin")), ("origin_not_allowed", None));
        assert_eq!(sign_in(origin, "foreign").await.code(), "origin_not_allowed", "{origin}");
    }
    assert_eq!(upstream.seen().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_page_may_show_a_frame() {
    let upstream = Upstream::start().await;
    let door = door(&upstream).await;
    let wanted = "frame-ancestors 'self' capacitor://localhost https://*.acme.example";
    let page = door.get("/tickets").bearer(ACME.token("maya")).send().await;
    assert_eq!(page.header("content-security-policy"), Some(wanted));
    let denied = door.get("/tickets").navigating().send().await;
    assert!(denied.header("content-security-policy").unwrap().ends_with(wanted));
}
