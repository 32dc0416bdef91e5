//! Headers by which other proxies and logins say who is calling, from where and for what: nobody's to send, unless
//! `listen.forwarded_headers` names one, and then a trusted proxy's alone.

use crate::support::{
    Door, Issuer, Upstream, config,
    websocket::{Echo, handshake},
};

const ACME: Issuer = Issuer::ACME;

/// One or more of each convention, in the spelling of its documents.
const CLAIMS: [&str; 44] = [
    "Remote-User",
    "Remote-Groups",
    "Remote-Email",
    "Remote-Name",
    "X-Remote-User",
    "X-Remote-Groups",
    "X-Remote-Email",
    "X-Remote-Name",
    "X-WEBAUTH-USER",
    "X-WEBAUTH-ROLE",
    "X-Auth-Request-User",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-Access-Token",
    "X-Authenticated-Userid",
    "X-authentik-username",
    "X-Authentik-Groups",
    "X-Pomerium-Claim-Email",
    "X-Pomerium-Jwt-Assertion",
    "Tailscale-User-Login",
    "X-MS-CLIENT-PRINCIPAL",
    "X-MS-CLIENT-PRINCIPAL-NAME",
    "X-Goog-Authenticated-User-Email",
    "Cf-Access-Jwt-Assertion",
    "Cf-Access-Authenticated-User-Email",
    "X-SSL-Client-S-DN",
    "X-SSL-Client-Verify",
    "SSL_CLIENT_S_DN",
    "X-Client-Cert-Subject",
    "Client-Cert",
    "Client-Cert-Chain",
    "True-Client-IP",
    "X-Sendfile-Type",
    "X-Accel-Mapping",
    "X-Accel-Redirect",
    "X-Forwarded-User",
    "X-Forwarded-Groups",
    "X-Forwarded-Prefix",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Port",
    "Forwarded",
    "X-Real-IP",
    "X-Client-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
];

fn spellings(name: &str) -> [String; 5] {
    [
        name.to_owned(),
        name.to_lowercase(),
        name.replace('-', "_").to_uppercase(),
        name.replace('-', "."),
        name.replace(['-', '_'], ""),
    ]
}

/// A forged value that stands nowhere else.
const FORGED: &str = "forged-by-the-client";

fn trusting(text: &str, forwarded: &str) -> String {
    format!("[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n{forwarded}\n{text}")
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_other_conventions_reach_no_app_from_anybody_on_any_route() {
    let upstream = Upstream::start().await;
    for text in [config(&upstream), trusting(&config(&upstream), "")] {
        let door = Door::start(&text).await;
        let token = ACME.token("maya");
        for target in ["/", "/public", "/optional", "/handed"] {
            for name in CLAIMS {
                let ask = spellings(name).iter().fold(door.get(target), |ask, name| ask.header(name, FORGED));
                assert_eq!(ask.bearer(&token).send().await.status, 200);
                let seen = upstream.last();
                assert!(!String::from_utf8_lossy(&seen.raw).contains(FORGED), "{name} on {target}: {:?}", seen.headers);
            }
        }
        let long = format!("X-Auth-Request-{}", "a".repeat(400));
        door.post("/")
            .header(&long, FORGED)
            .header("Accept", "text/event-stream")
            .bearer(&token)
            .body("x")
            .send()
            .await;
        assert!(!String::from_utf8_lossy(&upstream.last().raw).contains(FORGED), "a long name");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_reach_no_app_with_a_stream_or_websocket_either() {
    let upstream = Upstream::start().await;
    let door = Door::start(&trusting(&config(&upstream), "")).await;
    let with_all = |ask| CLAIMS.iter().fold(ask, |ask: crate::support::Ask, name| ask.header(name, FORGED));
    let ask = with_all(door.get("/").header("Accept", "text/event-stream")).bearer(ACME.token("maya"));
    assert_eq!(ask.send().await.status, 200);
    assert!(!String::from_utf8_lossy(&upstream.last().raw).contains(FORGED));

    let mut echo = Echo::start().await;
    let door = echo.door("", "trusted_proxies = [\"127.0.0.1\"]").await;
    let answer = with_all(handshake(door.get("/")).bearer(ACME.token("maya"))).send().await;
    assert_eq!(answer.status, 101);
    let head = echo.heads.recv().await.unwrap();
    assert!(!head.headers().values().any(|value| value == FORGED), "{:?}", head.headers());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_named_comes_from_a_trusted_proxy_alone_and_in_that_spelling() {
    let upstream = Upstream::start().await;
    let named = "forwarded_headers = [\"X-Forwarded-Prefix\", \"X-SSL-Client-S-DN\", \"Forwarded\", \"X-Zone\"]";
    let send = |door: &Door| {
        door.get("/")
            .bearer(ACME.token("maya"))
            .header("X-Forwarded-Prefix", "/portal")
            .header("x-ssl-client-s-dn", "CN=maya")
            .header("Forwarded", "for=203.0.113.9")
            .header("X-Zone", "eu")
            .header("X_Forwarded_Prefix", FORGED)
            .header("X--Forwarded-Prefix", FORGED)
            .header("XZone", FORGED)
            .header("X-SSL-Client-Verify", FORGED)
            .send()
    };
    let door = Door::start(&trusting(&config(&upstream), named)).await;
    assert_eq!(send(&door).await.status, 200);
    let seen = upstream.last();
    let told = ["x-forwarded-prefix", "x-ssl-client-s-dn", "forwarded", "x-zone"].map(|name| seen.header(name));
    assert_eq!(told, [Some("/portal"), Some("CN=maya"), Some("for=203.0.113.9"), Some("eu")]);
    assert!(!String::from_utf8_lossy(&seen.raw).contains(FORGED), "{:?}", seen.headers);

    let door = Door::start(&format!("[listen]\n{named}\n{}", config(&upstream))).await;
    assert_eq!(send(&door).await.status, 200);
    let seen = upstream.last();
    for name in ["x-forwarded-prefix", "x-ssl-client-s-dn", "forwarded", "x-zone"] {
        assert!(seen.all(name).is_empty(), "{name} of anybody");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_and_headers_of_apps_pass_from_anybody() {
    let upstream = Upstream::start().await;
    for text in [config(&upstream), trusting(&config(&upstream), "")] {
        let door = Door::start(&text).await;
        let names = ["traceparent", "tracestate", "baggage", "X-CSRF-Token", "X-Auth-Token", "X-Requested-With"];
        let ask = names.iter().fold(door.get("/").bearer(ACME.token("maya")), |ask, name| ask.header(name, "kept"));
        assert_eq!(ask.send().await.status, 200);
        for name in names {
            assert_eq!(upstream.last().header(name), Some("kept"), "{name}");
        }
    }
}
