//! Tokens: what passes, and a table of what does not.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::support::{Door, Issuer, NOW, Signer, Upstream, config, mint};

const ACME: Issuer = Issuer::ACME;
const GOOD: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn good_claims() -> String {
    ACME.claims("maya").to_string()
}

/// Cuts the signature's bytes to a length, or adds to them.
fn with_signature(change: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
    let token = ACME.token("maya");
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = change(URL_SAFE_NO_PAD.decode(signature).unwrap());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Name, token, code.
fn refused() -> Vec<(String, String, &'static str)> {
    let mut table: Vec<(String, String, &'static str)> = Vec::new();
    let mut add = |name: &str, token: String, code| table.push((name.to_owned(), token, code));

    for alg in [
        "\"none\"",
        "\"None\"",
        "\"NONE\"",
        "\"nOnE\"",
        "\"none \"",
        "\"\\u006eone\"",
        "\"\"",
        "null",
        "0",
        "[]",
        "\"hs256\"",
        "\"Hs256\"",
        "\"HS256 \"",
        "\"HS384\"",
        "\"HS512\"",
        "\"RS256\"",
        "\"ES256\"",
        "\"EdDSA\"",
        "[\"HS256\"]",
    ] {
        let signed = ACME.raw(&format!("{{\"alg\":{alg}}}"), &good_claims());
        let (message, _) = signed.rsplit_once('.').unwrap();
        add(&format!("alg {alg} without signature"), format!("{message}."), "token_invalid");
        add(&format!("alg {alg} without dot"), message.to_owned(), "token_invalid");
        add(&format!("alg {alg} signed"), signed, "token_invalid");
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let name = format!("{algorithm:?}");
        let header = format!("{{\"alg\":\"{name}\"}}");
        add(&name, ACME.raw_bytes(header.as_bytes(), good_claims().as_bytes(), algorithm), "token_invalid");
        add(
            "HS256 by name only",
            ACME.raw_bytes(GOOD.as_bytes(), good_claims().as_bytes(), algorithm),
            "token_invalid",
        );
    }
    for header in [
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","b64":false}"#,
        r#"{"alg":"HS256","b64":true}"#,
        r#"{"alg":"HS256","zip":"DEF"}"#,
        r#"{"alg":"HS256","kid":"unknown"}"#,
        r#"{"alg":"HS256","kid":""}"#,
        r#"{"alg":"HS256","kid":["k1"]}"#,
        r#"{"alg":"HS256","kid":{"a":1}}"#,
        r#"{"alg":"HS256","kid":"../../dev/null"}"#,
        r#"{"alg":"HS256","kid":"k1\u0000"}"#,
        r#"{"alg":"HS256","kid":"x' UNION SELECT '1';--"}"#,
        r#"{"alg":"HS256","kid":null}"#,
        "[]",
        "\"HS256\"",
        "{",
        "",
        r#"{"alg":"HS256"} "x""#,
    ] {
        add(&format!("header {header}"), ACME.raw(header, &good_claims()), "token_invalid");
    }
    for length in [0, 1, 8, 16, 31] {
        add(&format!("signature of {length} bytes"), with_signature(|s| s[..length].to_vec()), "token_invalid");
    }
    add("signature and a byte", with_signature(|s| [s, vec![0]].concat()), "token_invalid");
    add(
        "changed signature",
        with_signature(|mut s| {
            s[31] ^= 1;
            s
        }),
        "token_invalid",
    );
    add("signature and AAAA", format!("{}AAAA", ACME.token("maya")), "token_invalid");
    add("signature with a stray bit", stray_bit(&ACME.token("maya")), "token_invalid");
    add("padding", format!("{}=", ACME.token("maya")), "token_invalid");
    let good = ACME.token("maya");
    let parts: Vec<&str> = good.split('.').collect();
    for (name, token) in [
        ("one part", parts[0].to_owned()),
        ("two parts", parts[..2].join(".")),
        ("four parts", format!("{good}.x")),
        ("five parts", format!("{good}.x.y")),
        ("leading dot", format!(".{good}")),
        ("only dots", ".".repeat(8_000)),
        ("not base64url", good.replace('.', "+.")),
        ("over 8 KiB", format!("{good}{}", "A".repeat(8_193 - good.len()))),
    ] {
        add(name, token, "token_invalid");
    }
    for claims in [
        "[]",
        "\"x\"",
        "{",
        "null",
        "{\"iat\":1,\"iat\":1}",
        &format!("{{\"a\":{}{}}}", "[".repeat(20), "]".repeat(20)),
        &good_claims().replace("\"plan\"", "\"userId\""),
        &format!("{} ,", good_claims()),
        &good_claims().replace("maya", "\\ud800"),
    ] {
        add(&format!("claims {}", &claims[..claims.len().min(30)]), ACME.raw(GOOD, claims), "token_invalid");
    }
    let broken = good_claims().into_bytes().iter().map(|b| if *b == b'm' { 0xff } else { *b }).collect::<Vec<u8>>();
    add("claims are not UTF-8", ACME.raw_bytes(GOOD.as_bytes(), &broken, Algorithm::HS256), "token_invalid");
    let nested = ACME.token("maya");
    add("a token in a token", ACME.raw(r#"{"alg":"HS256","cty":"JWT"}"#, &nested), "token_invalid");

    let now = NOW.0;
    for (name, changes, code) in [
        ("exp passed", json!({ "exp": now - 31, "iat": now - 600 }), "token_expired"),
        ("exp at the end of the leeway", json!({ "exp": now - 30, "iat": now - 600 }), "token_expired"),
        ("exp absent", json!({ "exp": null }), "token_invalid"),
        ("exp text", json!({ "exp": (now + 600).to_string() }), "token_invalid"),
        ("exp fraction", json!({ "exp": now as f64 + 600.5 }), "token_invalid"),
        ("exp float", json!({ "exp": now as f64 }), "token_invalid"),
        ("exp list", json!({ "exp": [now] }), "token_invalid"),
        ("exp in milliseconds", json!({ "exp": (now + 600) * 1000 }), "token_invalid"),
        ("exp huge", json!({ "exp": i64::MAX }), "token_invalid"),
        ("exp beyond 64 bits", json!({ "exp": u64::MAX }), "token_invalid"),
        ("iat hugely negative", json!({ "iat": i64::MIN }), "token_invalid"),
        ("iat absent", json!({ "iat": null }), "token_invalid"),
        ("iat text", json!({ "iat": "now" }), "token_invalid"),
        ("iat in the future", json!({ "iat": now + 31, "exp": now + 600 }), "token_invalid"),
        ("too long a life", json!({ "exp": now + 3_601 }), "token_invalid"),
        ("nbf ahead", json!({ "nbf": now + 31 }), "token_invalid"),
        ("nbf text", json!({ "nbf": "soon" }), "token_invalid"),
        ("user absent", json!({ "userId": null }), "token_invalid"),
        ("user empty", json!({ "userId": "" }), "token_invalid"),
        ("user blank", json!({ "userId": " " }), "token_invalid"),
        ("user with a space before", json!({ "userId": " admin" }), "token_invalid"),
        ("user number", json!({ "userId": 1 }), "token_invalid"),
        ("user too long", json!({ "userId": "u".repeat(257) }), "token_invalid"),
        ("user with a line end", json!({ "userId": "u\r\nX-Roles: admin" }), "token_invalid"),
        ("user with NUL", json!({ "userId": "u\u{0}" }), "token_invalid"),
        ("user with DEL", json!({ "userId": "u\u{7f}" }), "token_invalid"),
        ("user with C1", json!({ "userId": "u\u{85}" }), "token_invalid"),
        ("roles text", json!({ "userRoles": "admin" }), "token_invalid"),
        ("roles of numbers", json!({ "userRoles": [1] }), "token_invalid"),
        ("role empty", json!({ "userRoles": [""] }), "token_invalid"),
        ("role with a line end", json!({ "userRoles": ["a\nb"] }), "token_invalid"),
        ("role too long", json!({ "userRoles": ["r".repeat(129)] }), "token_invalid"),
        ("too many roles", json!({ "userRoles": vec!["r"; 65] }), "token_invalid"),
        ("email number", json!({ "userEmail": 5 }), "token_invalid"),
        ("email with a line end", json!({ "userEmail": "a\r\nb" }), "token_invalid"),
        ("tenant absent", json!({ "tenantId": null }), "token_invalid"),
        ("tenant list", json!({ "tenantId": ["acme"] }), "token_invalid"),
        ("aud number", json!({ "aud": 123 }), "token_invalid"),
        ("aud object", json!({ "aud": {} }), "token_invalid"),
        ("aud list of numbers", json!({ "aud": [1] }), "token_invalid"),
        ("iss object", json!({ "iss": {} }), "token_invalid"),
        ("revoke claim", json!({ "revoke": "user" }), "token_invalid"),
    ] {
        add(name, ACME.with(changes), code);
    }
    add(
        "signed by nobody",
        Issuer { secret: "another-secret-0123456789abcdef0123456", ..ACME }.token("maya"),
        "token_invalid",
    );
    table
}

/// Sets a bit of the last character that decodes to nothing: the same bytes, spelled another way.
fn stray_bit(token: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = *token.as_bytes().last().unwrap();
    let at = ALPHABET.iter().position(|b| *b == last).unwrap();
    format!("{}{}", &token[..token.len() - 1], char::from(ALPHABET[at | 1]))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_token_is_refused_and_all_invalid_ones_alike() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let mut alike: Option<(usize, Vec<String>)> = None;
    for (name, token, code) in refused() {
        let answer = door.get("/api").bearer(&token).send().await;
        assert_eq!(answer.code(), code, "{name}");
        assert!(!answer.text().contains(&token[..token.len().min(20)]) || token.len() < 4, "{name} is echoed");
        if code == "token_invalid" {
            let names = answer.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
            let shape = (answer.raw.len(), names);
            assert_eq!(alike.get_or_insert(shape.clone()), &shape, "{name}");
        }
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_at_the_edge_of_what_is_allowed_pass() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let now = NOW.0;
    for (name, changes) in [
        ("within the leeway", json!({ "exp": now - 29, "iat": now - 600 })),
        ("iat ahead within the leeway", json!({ "iat": now + 30 })),
        ("nbf ahead within the leeway", json!({ "nbf": now + 30 })),
        ("an hour to the second", json!({ "exp": now + 3_600 })),
        ("no roles", json!({ "userRoles": null })),
        ("64 roles", json!({ "userRoles": vec!["r"; 64] })),
        ("128 bytes of role", json!({ "userRoles": ["r".repeat(128)] })),
        ("256 bytes of user", json!({ "userId": "u".repeat(256) })),
        ("aud that nobody demands", json!({ "aud": ["x", "y"] })),
        ("unknown claims", json!({ "jti": "1", "extra": { "deep": [1, 2.5, null] } })),
        ("a user that looks like a path", json!({ "userId": "../u-2@acme" })),
    ] {
        let answer = door.get("/api").bearer(ACME.with(changes)).send().await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    let with_kid = ACME
        .raw(r#"{"alg":"HS256","kid":"k1","jku":"http://127.0.0.1:9/","x5u":"http://127.0.0.1:9/"}"#, &good_claims());
    assert_eq!(door.get("/api").bearer(with_kid).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_verified_before_still_expires_and_its_key_still_ends() {
    let upstream = Upstream::start().await;
    let keys = r#"{ id = "k1", env = "ACME", not_before = 2026-11-19T00:00:00Z, not_after = 2026-11-20T00:05:00Z }"#;
    let door = Door::start(&config(&upstream).replace(r#"{ id = "k1", env = "ACME" }"#, keys)).await;
    let short = ACME.with(json!({ "exp": NOW.0 + 60 }));
    let long = ACME.token("maya");
    for token in [&short, &long] {
        assert_eq!(door.get("/").bearer(token).send().await.status, 200);
    }
    door.clock.advance(89);
    assert_eq!(door.get("/").bearer(&short).send().await.status, 200);
    door.clock.advance(1);
    assert_eq!(door.get("/").bearer(&short).send().await.code(), "token_expired");
    door.clock.advance(209);
    assert_eq!(door.get("/").bearer(&long).send().await.status, 200);
    door.clock.advance(1);
    assert_eq!(door.get("/").bearer(&long).send().await.code(), "token_invalid");
    door.clock.advance(-2 * 86_400);
    assert_eq!(door.get("/").bearer(&long).send().await.code(), "token_invalid", "the clock went back");
}

#[tokio::test(flavor = "multi_thread")]
async fn tenant_keys_overlap_and_kid_pins_one() {
    let upstream = Upstream::start().await;
    let keys = r#"{ id = "k1", env = "ACME" }, { id = "old", env = "OLD_ACME" }"#;
    let door = Door::start(&config(&upstream).replace(r#"{ id = "k1", env = "ACME" }"#, keys)).await;
    let old = Issuer { secret: "old-acme-secret-0123456789abcdef0123", ..ACME };
    for issuer in [&ACME, &old] {
        assert_eq!(door.get("/").bearer(issuer.token("maya")).send().await.status, 200);
    }
    let kid = |issuer: &Issuer, kid: &str| issuer.raw(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), &good_claims());
    assert_eq!(door.get("/").bearer(kid(&old, "old")).send().await.status, 200);
    assert_eq!(door.get("/").bearer(kid(&old, "k1")).send().await.code(), "token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn audience_issuer_and_roles_are_what_the_tenant_demands() {
    let upstream = Upstream::start().await;
    let rules = "audience = \"portal\"\nissuer = \"acme-backend\"\nallow_roles = [\"user\", \"agent\"]";
    let text = config(&upstream).replace("[tenants.acme]", &format!("[tenants.acme]\n{rules}"));
    let door = Door::start(&text).await;
    let named = |aud: Value, iss: Value| json!({ "aud": aud, "iss": iss });
    for (claims, status) in [
        (named(json!("portal"), json!("acme-backend")), 200),
        (named(json!(["x", "portal"]), json!("acme-backend")), 200),
        (named(json!(["x"]), json!("acme-backend")), 401),
        (named(json!(null), json!("acme-backend")), 401),
        (named(json!("portal"), json!(["acme-backend"])), 401),
        (named(json!("portal"), json!("acme-backend2")), 401),
        (named(json!("portal"), json!(null)), 401),
    ] {
        assert_eq!(door.get("/").bearer(ACME.with(claims.clone())).send().await.status, status, "{claims}");
    }
    let mut claims = named(json!("portal"), json!("acme-backend"));
    claims["userRoles"] = json!(["admin", "user", "root"]);
    assert_eq!(door.get("/").bearer(ACME.with(claims.clone())).send().await.status, 200);
    assert_eq!(upstream.last().identity().2, "user", "roles above the ceiling are dropped");
    let strict = Door::start(&text.replace("issuer =", "on_excess_role = \"reject\"\nissuer =")).await;
    assert_eq!(strict.get("/").bearer(ACME.with(claims)).send().await.code(), "token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn public_keys_are_opt_in_and_pinned_to_their_algorithm() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let openssl = |args: &[&str]| {
        let output = std::process::Command::new("openssl").args(args).output().expect("openssl is installed");
        assert!(output.status.success(), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let private = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    let (key, public) = (folder.path().join("key.pem"), folder.path().join("public.pem"));
    std::fs::write(&key, &private).unwrap();
    openssl(&["pkey", "-in", key.to_str().unwrap(), "-pubout", "-out", public.to_str().unwrap()]);
    let keys = format!(r#"{{ id = "e1", algorithm = "ES256", public_key_file = "{}" }}"#, public.display());
    let door = Door::start(&config(&upstream).replace(r#"{ id = "k1", env = "ACME" }"#, &keys)).await;
    let order = json!({ "secret": private, "claims": ACME.claims("maya"), "algorithm": "ES256" });
    for signer in Signer::ALL {
        let token = mint(signer, &order);
        assert_eq!(door.get("/").bearer(&token).send().await.status, 200, "{signer:?}");
    }
    // The classic confusion: the public key used as an HMAC secret.
    let pem: &'static str = Box::leak(std::fs::read_to_string(&public).unwrap().into_boxed_str());
    let confused = Issuer { secret: pem, ..ACME };
    assert_eq!(door.get("/").bearer(confused.token("maya")).send().await.code(), "token_invalid");
    assert_eq!(
        door.get("/").bearer(confused.raw(r#"{"alg":"ES256"}"#, &good_claims())).send().await.code(),
        "token_invalid"
    );
}
