//! What a trusted proxy says of the client: its address, scheme and host, in the spellings that proxies use.

use crate::support::{Door, Issuer, Upstream, config};

const ACME: Issuer = Issuer::ACME;

async fn trusting(upstream: &Upstream, more: &str) -> Door {
    let listen = "[listen]\ntrusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\", \"fd00::/8\"]\n";
    Door::start(&format!("{listen}{more}{}", config(upstream))).await
}

/// Two forged tokens are one too many, so the status of the second tells which address counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_address_counts_in_every_spelling_that_proxies_use() {
    let upstream = Upstream::start().await;
    let forged = Issuer { secret: Issuer::GLOBEX.secret, ..ACME }.token("maya");
    for (spellings, other) in [
        (["203.0.113.9", "203.0.113.9:51234"], "203.0.113.8"),
        (["203.0.113.9:1, 10.1.2.3:2", "::ffff:203.0.113.9"], "203.0.113.8:51234"),
        (["[2001:db8::7]:443", "2001:db8::7"], "[2001:db8:0:1::7]:443"),
        (["[2001:db8::7], [fd00::1]", "2001:db8::7, ,"], "2001:db8:0:1::7"),
    ] {
        let door = trusting(&upstream, "[limits]\nfailures = { count = 1, per = \"1m\" }\n").await;
        let ask = |address: &str| door.get("/").bearer(&forged).header("X-Forwarded-For", address).send();
        assert_eq!(ask(spellings[0]).await.status, 401, "{spellings:?}");
        assert_eq!(ask(spellings[1]).await.status, 429, "{spellings:?}");
        assert_eq!(ask(other).await.status, 401, "{other}");
        assert_eq!(door.get("/").bearer(&forged).send().await.status, 401, "the proxy's own address is another");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_of_a_trusted_proxy_is_refused() {
    let upstream = Upstream::start().await;
    let door = trusting(&upstream, "").await;
    for (name, values) in [
        (
            "X-Forwarded-For",
            &[
                "",
                ", ,",
                "unknown",
                "203.0.113.9, unknown",
                "_gazonk",
                "203.0.113",
                "203.0.113.9:x, 10.0.0.1",
                "caf\u{e9}",
            ][..],
        ),
        ("X-Forwarded-Proto", &["ftp", "https; q=1", "http, gopher"]),
        ("X-Forwarded-Host", &["a b", "user@portal.test", "portal.test, a:99999"]),
    ] {
        for value in values {
            let count = upstream.seen().len();
            let answer = door.get("/").bearer(ACME.token("maya")).header(name, value).send().await;
            assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("bad_request")), "{name}: {value}");
            assert_eq!(upstream.seen().len(), count, "{name}: {value}");
        }
    }
    // What the client itself wrote stands left of its address, and is not looked at.
    let ask = door.get("/").bearer(ACME.token("maya")).header("X-Forwarded-For", "unknown, 203.0.113.9");
    assert_eq!(ask.send().await.status, 200);
    // Nobody else is read at all.
    let stranger = Door::start(&config(&upstream)).await;
    assert_eq!(
        stranger.get("/").bearer(ACME.token("maya")).header("X-Forwarded-For", "unknown").send().await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scheme_is_the_last_one_named_in_any_case() {
    let upstream = Upstream::start().await;
    let door = trusting(&upstream, "").await;
    for (proto, wanted) in [
        ("HTTPS", "https"),
        ("Http", "http"),
        ("http, HTTPS", "https"),
        ("https,http", "http"),
        ("https, ", "https"),
        ("wss", "https"),
        ("ws", "http"),
        ("", "http"),
    ] {
        let ask = door.get("/").bearer(ACME.token("maya")).header("X-Forwarded-Proto", proto);
        assert_eq!(ask.send().await.status, 200, "{proto}");
        assert_eq!(upstream.last().header("x-forwarded-proto"), Some(wanted), "{proto}");
    }
}
