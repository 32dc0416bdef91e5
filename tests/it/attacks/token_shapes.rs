//! A: tokens of other shapes and sizes, with claims no header may carry, and signed with what people take for secrets.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::json;

use super::{
    case::{
        ACME, Case,
        Verdict::{Deny, Pass, Refused},
        X, get, good, row,
    },
    stage::Stage,
};
use crate::support::Issuer;

const HEADER: &str = r#"{"alg":"HS256"}"#;

/// A JWE (RFC 7516) of the good claims: encrypted with the tenant's key, cut to what AES needs.
fn jwe(header: &str) -> String {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &ACME.secret.as_bytes()[..32]).unwrap());
    let header = URL_SAFE_NO_PAD.encode(header);
    let mut text = ACME.claims("u-1").to_string().into_bytes();
    let nonce = [7; 12];
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(header.as_bytes()), &mut text)
        .unwrap();
    let parts = [&nonce[..], &text, tag.as_ref()].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}..{}", parts.join("."))
}

/// What people take for a secret, the tenant's name among it.
fn common_secrets() -> Vec<String> {
    const WORDS: [&str; 19] = [
        "secret",
        "password",
        "changeme",
        "jwt",
        "key",
        "admin",
        "token",
        "test",
        "default",
        "qwerty",
        "hunter2",
        "your-256-bit-secret",
        "supersecret",
        "letmein",
        "portal",
        "acme",
        "widget",
        "vestibule",
        "0123456789abcdef",
    ];
    const ENDS: [&str; 5] = ["", "123", "!", "_2026", "-secret"];
    WORDS.iter().flat_map(|word| ENDS.map(|end| format!("{word}{end}"))).collect()
}

/// The good claims with a text in place of the user's name, as JSON spells it.
fn user(json: &str) -> String {
    ACME.raw(HEADER, &ACME.claims("u-1").to_string().replace(r#""userId":"u-1""#, &format!(r#""userId":{json}"#)))
}

fn roles(json: &str) -> String {
    ACME.raw(HEADER, &ACME.claims("u-1").to_string().replace(r#"["agent"]"#, json))
}

pub fn cases() -> Vec<Case> {
    let good = good();
    let parts: Vec<&str> = good.split('.').collect();
    let bearer = |id, name: &str, token: String, verdict| row(id, name, get(X).bearer(token), verdict);
    let mut table = vec![
        bearer("A 7", "one part", parts[0].into(), Deny),
        bearer("A 7", "two parts", parts[..2].join("."), Deny),
        bearer("A 7", "two parts and a dot", format!("{}.{}.", parts[0], parts[1]), Deny),
        bearer("A 7", "four parts", format!("{good}.{}", parts[2]), Deny),
        bearer("A 7", "five parts", format!("{good}.x.y"), Deny),
        bearer("A 7", "a leading dot", format!(".{good}"), Deny),
        bearer("A 7", "an empty header", format!(".{}.{}", parts[1], parts[2]), Deny),
        bearer("A 7", "no claims", format!("{}..{}", parts[0], parts[2]), Deny),
        bearer("A 7", "two dots", "..".into(), Deny),
        bearer("A 7", "8,000 dots", ".".repeat(8_000), Deny),
        bearer("A 7", "a million dots", ".".repeat(1_000_000), Refused),
        bearer("A 7", "padding", format!("{good}="), Deny),
        bearer("A 7", "the alphabet of base64", good.replace('.', "+."), Deny),
        bearer("A 8", "JWE dir", jwe(r#"{"alg":"dir","enc":"A256GCM"}"#), Deny),
        bearer("A 8", "JWE dir that says JWT", jwe(r#"{"alg":"dir","enc":"A256GCM","cty":"JWT","typ":"JWT"}"#), Deny),
        bearer("A 8", "JWE that says HS256", jwe(r#"{"alg":"HS256","enc":"A256GCM"}"#), Deny),
        bearer("A 8", "a token in a token", ACME.raw(r#"{"alg":"HS256","cty":"JWT"}"#, &good), Deny),
        bearer("A 8", "a token in a token, as JSON text", ACME.raw(HEADER, &format!("{good:?}")), Deny),
        bearer("A 23", "a byte over 8 KiB", format!("{good}{}", "A".repeat(8_193 - good.len())), Deny),
        bearer("A 23", "properly signed, over 8 KiB", ACME.with(json!({ "pad": "x".repeat(8_192) })), Deny),
        bearer("A 23", "64 KiB", ACME.with(json!({ "pad": "x".repeat(64 << 10) })), Refused),
        bearer("A 23", "900 KiB", ACME.with(json!({ "pad": "x".repeat(900 << 10) })), Refused),
        bearer("A 23", "a header of 200 KiB", "A".repeat(200 << 10), Refused),
        bearer("A 24", "roles nested 16 deep", roles(&nested(16)), Deny),
        bearer("A 24", "roles nested 2,500 deep", roles(&nested(2_500)), Deny),
        bearer("A 24", "roles nested 10,000 deep", roles(&nested(10_000)), Refused),
        bearer("A 24", "another claim nested 2,500 deep", roles(&format!(r#"[],"x":{}"#, nested(2_500))), Deny),
        bearer(
            "A 24",
            "objects nested 1,000 deep",
            roles(&format!(r#"[],"x":{}1{}"#, r#"{"a":"#.repeat(1_000), "}".repeat(1_000))),
            Deny,
        ),
        bearer(
            "A 24",
            "a header nested 2,500 deep",
            ACME.raw(&format!(r#"{{"alg":"HS256","x":{}}}"#, nested(2_500)), &ACME.claims("u-1").to_string()),
            Deny,
        ),
        bearer("A 24", "100,000 members", ACME.with(members(100_000)), Refused),
        bearer("A 24", "1 MiB of text", ACME.with(json!({ "x": "x".repeat(1 << 20) })), Refused),
        bearer("A 24", "65 roles", roles(&json!(vec!["agent"; 65]).to_string()), Deny),
    ];
    for text in [
        r#""u\r\nX-Roles: admin""#,
        r#""u\nX""#,
        r#""u\rX""#,
        r#""u\u0000""#,
        r#""u\u007f""#,
        r#""u\tx""#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""u\u0085x""#,
        r#""\u001b[2J""#,
        "\"u\nraw\"",
        "\"u\ttab\"",
    ] {
        table.push(bearer("A 25", text, user(text), Deny).named("user"));
        table.push(bearer("A 25", text, roles(&format!("[{text}]")), Deny).named("role"));
        let profile = ACME.claims("u-1").to_string().replace(r#""plan":"pro""#, &format!(r#""plan":{text}"#));
        table.push(bearer("A 25", text, ACME.raw(HEADER, &profile), Deny).named("plan"));
    }
    for byte in [0x80_u8, 0xff, 0xc0] {
        let claims: Vec<u8> =
            ACME.claims("u?1").to_string().bytes().map(|b| if b == b'?' { byte } else { b }).collect();
        let token = ACME.raw_bytes(HEADER.as_bytes(), &claims, Algorithm::HS256);
        table.push(bearer("A 25", &format!("byte {byte:#x} that is no UTF-8"), token, Deny));
    }
    let long = format!("\"{}\"", "u".repeat(300));
    for (text, verdict) in [
        (r#""""#, Deny),
        (r#"" ""#, Deny),
        (r#"" u-1""#, Deny),
        (r#""u-1 ""#, Deny),
        (r#""u-1\u00a0""#, Deny),
        ("1", Deny),
        ("true", Deny),
        ("null", Deny),
        (r#"["u-1"]"#, Deny),
        (r#"{"id":"u-1"}"#, Deny),
        (&long, Deny),
    ] {
        table.push(bearer("A 28", &text[..text.len().min(20)], user(text), verdict).named("user"));
    }
    // Any other text is a name, and arrives as exactly that name.
    for (name, told) in [
        ("u-1@acme@globex", Pass("u-1@acme@globex", "acme", "agent")),
        ("../u-2", Pass("../u-2", "acme", "agent")),
        ("U-1", Pass("U-1", "acme", "agent")),
        ("u-1,admin", Pass("u-1,admin", "acme", "agent")),
        ("u%2d1", Pass("u%252d1", "acme", "agent")),
        ("ü", Pass("%C3%BC", "acme", "agent")),
        ("u-1\"; DROP", Pass("u-1\"; DROP", "acme", "agent")),
    ] {
        let claims = json!({ "userId": name, "userEmail": null });
        table.push(bearer("A 28", name, ACME.with(claims), told).named("user"));
    }
    for secret in common_secrets() {
        let issuer = Issuer { secret: Box::leak(secret.clone().into_boxed_str()), ..ACME };
        table.push(bearer("A 29", &secret, issuer.token("u-1"), Deny).named("signed with"));
    }
    table
}

fn nested(deep: usize) -> String {
    format!("{}{}", "[".repeat(deep), "]".repeat(deep))
}

fn members(count: usize) -> serde_json::Value {
    (0..count).map(|number| (format!("m{number}"), json!(0))).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn there_are_95_common_secrets() {
    let all: std::collections::BTreeSet<_> = common_secrets().into_iter().collect();
    assert_eq!(all.len(), 95);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_other_shapes_are_refused() {
    Stage::start().await.run(&cases()).await;
}
