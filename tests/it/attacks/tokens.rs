//! A: tokens that name another algorithm, another key, another tenant or another time.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::json;
use vestibule::config::Config;

use super::{
    case::{
        ACME, Case, GLOBEX, U1,
        Verdict::{self, Deny, Pass, Refused},
        X, get, good, row,
    },
    stage::{Stage, config},
};
use crate::support::{Issuer, NOW, Secrets};

const NOW_: i64 = NOW.0;

/// The claims of the good token, as text.
fn claims() -> String {
    ACME.claims("u-1").to_string()
}

/// The good claims under any header, signed with the tenant's key by HMAC-SHA256.
fn headed(header: &str) -> String {
    ACME.raw(header, &claims())
}

fn unsigned(header: &str) -> String {
    headed(header).rsplit_once('.').unwrap().0.to_owned()
}

/// The good token with another signature.
fn with_signature(change: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
    let token = good();
    let (message, signature) = token.rsplit_once('.').unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(change(URL_SAFE_NO_PAD.decode(signature).unwrap())))
}

fn signed_with(secret: &'static str, header: &str) -> String {
    Issuer { secret, ..ACME }.raw(header, &claims())
}

fn from_initech(changes: serde_json::Value) -> String {
    let mut all = json!({ "aud": "portal", "iss": "https://initech.example" });
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    Issuer { tenant: "initech", secret: "old-acme-secret-0123456789abcdef0123" }.with(all)
}

/// The id of the case that is no request.
pub const WEAK_KEYS: &str = "A 15";

pub fn cases(stage: &Stage) -> Vec<Case> {
    let bearer = |id, name: &str, token: String, verdict| row(id, name, get(X).bearer(token), verdict);
    let mut table = vec![bearer("A 1", "good token", good(), U1)];

    for alg in
        [r#""none""#, r#""None""#, r#""NONE""#, r#""nOnE""#, r#""none ""#, r#""\u006eone""#, r#""""#, "null", "0", "[]"]
    {
        let header = format!(r#"{{"alg":{alg}}}"#);
        table.push(bearer("A 2", &format!("alg {alg}, no signature"), format!("{}.", unsigned(&header)), Deny));
        table.push(bearer("A 2", &format!("alg {alg}, no trailing dot"), unsigned(&header), Deny));
        table.push(bearer("A 2", &format!("alg {alg}, signed all the same"), headed(&header), Deny));
    }
    for alg in ["hs256", "Hs256", "HS256 ", " HS256", "HS256\\u0000", "RS256", "ES256", "EdDSA", "PS256", "HS255"] {
        table.push(bearer("A 3", &format!("alg {alg}, by HMAC"), headed(&format!(r#"{{"alg":"{alg}"}}"#)), Deny));
    }
    for (name, algorithm) in [("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)] {
        let signed = |header: String| ACME.raw_bytes(header.as_bytes(), claims().as_bytes(), algorithm);
        table.push(bearer("A 3", name, signed(format!(r#"{{"alg":"{name}"}}"#)), Deny));
        table.push(bearer("A 3", &format!("{name} that says HS256"), signed(r#"{"alg":"HS256"}"#.into()), Deny));
    }
    for header in [
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":{"HS256":1}}"#,
        r#"{"ALG":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"none"}"#,
        "[]",
        "{}",
        "null",
        "",
    ] {
        table.push(bearer("A 4", header, headed(header), Deny).named("header"));
    }
    for length in [0, 1, 8, 16, 31] {
        table.push(bearer(
            "A 5",
            &format!("{length} bytes of signature"),
            with_signature(|s| s[..length].into()),
            Deny,
        ));
    }
    table.push(bearer("A 5", "a byte more", with_signature(|s| [s, vec![0]].concat()), Deny));
    table.push(bearer("A 5", "AAAA after it", format!("{}AAAA", good()), Deny));
    table.push(bearer("A 5", "all zero", with_signature(|s| vec![0; s.len()]), Deny));
    table.push(bearer("A 5", "first bit changed", with_signature(|s| [&[s[0] ^ 128], &s[1..]].concat()), Deny));
    table.push(bearer("A 5", "last bit changed", with_signature(|s| [&s[..31], &[s[31] ^ 1]].concat()), Deny));

    for kid in [
        r#""../../dev/null""#,
        r#""/dev/null""#,
        r#""x' UNION SELECT '1';--""#,
        r#""|sleep 10""#,
        r#""\u0000k1""#,
        r#""k1\u0000""#,
        r#""K1""#,
        r#""k1 ""#,
        r#""""#,
        r#"["k1"]"#,
        r#"{"k1":1}"#,
        "0",
        "true",
    ] {
        let header = format!(r#"{{"alg":"HS256","kid":{kid}}}"#);
        table.push(bearer("A 11", kid, headed(&header), Deny).named("kid"));
        for key in ["1", "/dev/null", "k1"] {
            table.push(bearer("A 11", kid, signed_with(key, &header), Deny).named("kid, and a key to match,"));
        }
        table.push(bearer("A 11", kid, format!("{}.", unsigned(&header)), Deny).named("kid, unsigned,"));
    }
    let long = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(64 << 10));
    table.push(bearer("A 11", "kid of 64 KiB", headed(&long), Refused));

    let lure = format!("http://{}/keys.json", stage.lure());
    let own = URL_SAFE_NO_PAD.encode("a-key-of-the-attackers-own-making");
    for (name, more) in [
        ("jwk", format!(r#""jwk":{{"kty":"oct","k":"{own}"}}"#)),
        ("jku", format!(r#""jku":"{lure}""#)),
        ("x5u", format!(r#""x5u":"{lure}""#)),
        ("x5c", format!(r#""x5c":["{own}"]"#)),
        ("jku and kid", format!(r#""jku":"{lure}","kid":"{lure}""#)),
        ("kid that is a URL", format!(r#""kid":"{lure}""#)),
    ] {
        let header = format!(r#"{{"alg":"HS256",{more}}}"#);
        table.push(bearer("A 12", name, signed_with("a-key-of-the-attackers-own-making", &header), Deny));
    }
    table.push(bearer("A 12", "jwk that nobody needs", headed(&format!(r#"{{"alg":"HS256","jku":"{lure}"}}"#)), U1));

    for (name, issuer, tenant, kid) in [
        ("claims globex, signed by acme", ACME, "globex", ""),
        ("claims globex, signed by acme, kid acme", ACME, "globex", r#","kid":"acme""#),
        ("claims globex, signed by acme, kid k1", ACME, "globex", r#","kid":"k1""#),
        ("claims acme, signed by globex, kid k1", GLOBEX, "acme", r#","kid":"k1""#),
        ("claims acme, signed by acme, kid globex", ACME, "acme", r#","kid":"globex""#),
        ("claims globex, signed by globex", GLOBEX, "globex", ""),
        ("claims ACME in capitals", ACME, "ACME", ""),
        ("claims acme and a NUL", ACME, "acme\0", ""),
        ("claims nobody", ACME, "", ""),
    ] {
        let claims =
            ACME.claims("u-1").to_string().replace(r#""tenantId":"acme""#, &format!(r#""tenantId":{}"#, json!(tenant)));
        let token = issuer.raw(&format!(r#"{{"alg":"HS256"{kid}}}"#), &claims);
        table.push(bearer("A 13", name, token.clone(), Deny));
        if issuer.tenant == "acme" || tenant == "acme" {
            table.push(row("A 13", format!("{name}, at globex"), get(X).host("globex.test").bearer(token), Deny));
        }
    }

    for (id, name, changes, verdict) in [
        ("A 16", "exp long ago", json!({ "iat": 0, "exp": 600 }), Deny),
        ("A 16", "exp past the leeway", json!({ "iat": NOW_ - 600, "exp": NOW_ - 91 }), Deny),
        ("A 16", "exp at the end of the leeway", json!({ "iat": NOW_ - 600, "exp": NOW_ - 30 }), Deny),
        ("A 16", "exp a second ago, within the leeway", json!({ "iat": NOW_ - 600, "exp": NOW_ - 1 }), MAYA),
        ("A 16", "exp absent", json!({ "exp": null }), Deny),
        ("A 16", "exp far ahead", json!({ "exp": NOW_ + 360_000 }), Deny),
        ("A 16", "exp at the end of time", json!({ "exp": i64::MAX }), Deny),
        ("A 16", "exp before time", json!({ "exp": i64::MIN }), Deny),
        ("A 16", "exp before iat", json!({ "iat": NOW_ + 20, "exp": NOW_ + 10 }), MAYA),
        ("A 18", "nbf in ten minutes", json!({ "nbf": NOW_ + 600 }), Deny),
        ("A 18", "nbf within the leeway", json!({ "nbf": NOW_ + 30 }), MAYA),
        ("A 18", "nbf as text", json!({ "nbf": "0" }), Deny),
        ("A 18", "iat tomorrow", json!({ "iat": NOW_ + 86_400, "exp": NOW_ + 86_500 }), Deny),
        ("A 18", "iat absent", json!({ "iat": null }), Deny),
        ("A 18", "iat long ago, so that it lives too long", json!({ "iat": NOW_ - 7200, "exp": NOW_ + 60 }), Deny),
        ("A 18", "iat before time, so that its life overflows", json!({ "iat": i64::MIN }), Deny),
    ] {
        table.push(bearer(id, name, ACME.with(changes), verdict));
    }
    for (name, claim) in [("null", "null"), ("text", "\"1795133400\""), ("fraction", "1795133400.5"), ("object", "{}")]
    {
        let claims = claims().replace(&format!(r#""exp":{}"#, NOW_ + 600), &format!(r#""exp":{claim}"#));
        table.push(bearer("A 16", &format!("exp is {name}"), ACME.raw(r#"{"alg":"HS256"}"#, &claims), Deny));
    }

    const AT_INITECH: Verdict = Pass("maya", "initech", "agent");
    for (name, changes, verdict) in [
        ("aud is the portal", json!({}), AT_INITECH),
        ("aud has the portal", json!({ "aud": ["x", "portal"] }), AT_INITECH),
        ("aud has others", json!({ "aud": ["x"] }), Deny),
        ("aud is empty", json!({ "aud": [] }), Deny),
        ("aud is absent", json!({ "aud": null }), Deny),
        ("aud has numbers too", json!({ "aud": ["portal", 1] }), Deny),
        ("aud nested", json!({ "aud": [["portal"]] }), Deny),
        ("aud in capitals", json!({ "aud": "PORTAL" }), Deny),
    ] {
        table.push(row("A 21", name, get(X).host("initech.test").bearer(from_initech(changes)), verdict));
    }
    table
}

/// The user of tokens with changed claims.
const MAYA: Verdict = Pass("maya", "acme", "agent");

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_verified_for_one_tenant_key_and_time() {
    let stage = Stage::start().await;
    stage.run(&cases(&stage)).await;
}

#[test]
fn weak_keys_are_refused_at_start() {
    let good = config(([127, 0, 0, 1], 1).into());
    let problems = |secret: &str, format: &str| {
        let text = good.replacen(r#"env = "ACME""#, &format!(r#"env = "WEAK", format = "{format}""#), 1);
        assert_ne!(text, good);
        let find = |name: &str| if name == "WEAK" { Some(secret.to_owned()) } else { Secrets::find(name) };
        Config::parse(std::path::Path::new("test.toml"), &text, &find).err().map_or(0, |problems| problems.len())
    };
    assert_eq!(problems("a-secret-of-thirty-two-bytes-at-l", "text"), 0);
    let mut taken = Vec::new();
    for (name, secret, format) in [
        ("empty", "", "text"),
        ("a space", " ", "text"),
        ("31 bytes", "only-31-bytes-0123456789abcdefg", "text"),
        ("only padding", &"=".repeat(44), "base64"),
        ("not base64", &"!".repeat(44), "base64"),
        ("31 bytes in hex", &"ab".repeat(31), "hex"),
        ("a good length in hex, half a byte short", &"a".repeat(63), "hex"),
        ("24 bytes in base64url", &"A".repeat(32), "base64url"),
    ] {
        if problems(secret, format) != 1 {
            taken.push(name);
        }
    }
    assert!(taken.is_empty(), "{WEAK_KEYS}: taken for good keys: {taken:?}");
}
