//! What a refused token costs: the same for every token, counted and not timed.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{
    HeaderMap, Method,
    header::{AUTHORIZATION, HOST},
};
use zeroize::Zeroizing;

use super::Gate;
use crate::{
    cache::VerifiedCache,
    denial::Reason,
    dialect::Dialect,
    head::Head,
    identity::TenantId,
    keyring::{Key, KeyRing, PublicAlgorithm, made},
    ledger::Ledger,
    limits::{FailureLimit, FailureRule},
    origin::Origins,
    repeats::Repeats,
    route::{Bearer, Pattern, Policy, Refusals, Route, RouteTable, Slashes, UpstreamId},
    secret::Secret,
    session::{Lifetime, Place, SessionKeys},
    tenant::{CookieRules, ExchangeRules, Handoff, OnSwitch, SessionRules, Tenant, Tenants, Transport, Uses},
    time::UnixTime,
    token::{Ceiling, TokenError, TokenRules},
    visitor::Visitor,
};

const NOW: UnixTime = UnixTime(1_795_132_800);

fn secret(name: &str) -> Vec<u8> {
    format!("{name}-secret-0123456789abcdef0123456789").into_bytes()
}

fn shared(tenant: &str, id: &str) -> Key {
    Key::shared(id, Secret::new(secret(&format!("{tenant}-{id}"))))
}

/// The public key of RFC 8032 section 7.1, test 1, as SubjectPublicKeyInfo (RFC 8410 section 4).
fn ed25519(id: &str) -> Key {
    let point = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let byte = |at: usize| u8::from_str_radix(&point[at..at + 2], 16).expect("hex");
    let der: Vec<u8> = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]
        .into_iter()
        .chain((0..64).step_by(2).map(byte))
        .collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
    Key::public(id, PublicAlgorithm::EdDsa, &Zeroizing::new(pem.into_bytes())).expect("a key")
}

fn tenant(id: &str, keys: Vec<Key>) -> Arc<Tenant> {
    let day = Duration::from_secs(86_400);
    Arc::new(Tenant {
        id: TenantId::new(id),
        tokens: TokenRules {
            keys: KeyRing(keys),
            claims: Dialect::Gateway.claims(),
            max_lifetime: day,
            leeway: Duration::from_secs(30),
            audience: None,
            issuer: None,
            validity_in_minutes: false,
            ceiling: Ceiling::Open,
        },
        sessions: SessionRules {
            lifetime: Lifetime { absolute: day, idle: None },
            cookie: CookieRules { name: "__Host-c".into(), transport: Transport::Secure, place: Place::Own },
            embedded: None,
        },
        exchange: ExchangeRules {
            uses: Uses::Once,
            handoff: Handoff::Redirect,
            on_switch: OnSwitch::Confirm,
            vendor_path: None,
        },
        origins: Origins::default(),
        login_url: None,
        logout_url: None,
    })
}

/// Two tenants share a host, a third has one of its own, with more keys and one of another kind.
fn gate(rule: Option<FailureRule>) -> Gate {
    let three = vec![shared("three", "k1"), shared("three", "k2"), shared("three", "k3"), ed25519("e1")];
    let on = |host: &str| vec![host.to_owned()];
    let tenants = Tenants::new(vec![
        (tenant("one", vec![shared("one", "k1"), shared("one", "k2")]), on("shared.test")),
        (tenant("two", vec![shared("two", "k1")]), on("shared.test")),
        (tenant("three", three), on("own.test")),
    ]);
    let route = Route {
        pattern: Pattern { host: None, path: "/".into(), methods: None },
        policy: Policy::Require(Vec::new()),
        tenant: None,
        upstream: Some(UpstreamId(0)),
        handoff_param: None,
        bearer_param: None,
        bearer: Bearer::Removed,
        refusals: Refusals::Enforced,
        slashes: Slashes::Refused,
        max_body: None,
        response_timeout: None,
    };
    Gate {
        routes: RouteTable::new([Arc::new(route)]),
        sessions: SessionKeys::new(&[Secret::new(secret("session"))], tenants.iter().map(|tenant| &tenant.id)),
        tenants,
        ledger: Arc::new(Ledger::in_memory(100)),
        failures: Arc::new(FailureLimit::new(rule)),
        cache: VerifiedCache::default(),
        repeats: Repeats::default(),
    }
}

/// The reason of a refusal, if it is one, and how many verifications were made.
fn ask(gate: &Gate, host: &str, token: &str) -> (Option<Reason>, usize) {
    let authorization = format!("Bearer {token}").parse().expect("ASCII");
    let headers = HeaderMap::from_iter([(HOST, host.parse().expect("a host")), (AUTHORIZATION, authorization)]);
    let head = Head::parse(&Method::GET, b"/", None, &headers).expect("a plain head");
    let visitor = Visitor::read(&head, Ipv4Addr::LOCALHOST.into(), "http", &[]).expect("a client without a proxy");
    let (decided, made) = made::by(|| gate.decide(&head, &visitor, NOW));
    (decided.err().map(|refusal| refusal.reason), made)
}

fn token(header: &str, claims: &str, key: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
    let signature = URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, message.as_bytes()));
    format!("{message}.{signature}")
}

fn claims(tenant: &str, lived: i64) -> String {
    let from = NOW.0 - lived;
    format!(r#"{{"userId":"maya","tenantId":"{tenant}","iat":{from},"exp":{}}}"#, from + 600)
}

#[test]
fn every_refused_token_costs_the_same_verifications() {
    let gate = gate(None);
    for host in ["shared.test", "own.test"] {
        for claim in ["one", "two", "three", "absent"] {
            for kid in ["", r#","kid":"k1""#, r#","kid":"k3""#, r#","kid":"e1""#, r#","kid":"unknown""#, r#","kid":1"#]
            {
                for (alg, cost) in [("HS256", 6), ("EdDSA", 2), ("ES256", 6), ("none", 6)] {
                    for more in ["", r#","crit":["exp"]"#] {
                        let header = format!(r#"{{"alg":"{alg}"{kid}{more}}}"#);
                        let forged = token(&header, &claims(claim, 0), b"another key");
                        let (reason, made) = ask(&gate, host, &forged);
                        assert_eq!(made, cost, "{host} {claim} {header}: {reason:?}");
                        assert!(reason.is_some_and(|reason| reason.is_forgery()), "{host} {claim} {header}");
                    }
                }
            }
        }
        let header = r#"{"alg":"HS256"}"#;
        let broken =
            [token("{}", "{}", b"x"), token(header, "[]", b"x"), token(header, "{}", b"x"), "x.y.z".into(), "x".into()];
        for garbled in broken {
            let (reason, made) = ask(&gate, host, &garbled);
            assert_eq!(made, 6, "{garbled}: {reason:?}");
            assert!(reason.is_some_and(|reason| reason.is_forgery()), "{garbled}");
        }
        // Two tenants claimed at once.
        let twice = token(header, r#"{"tenantId":"one","tenantId":"two"}"#, b"x");
        assert_eq!(ask(&gate, host, &twice).1, 6);
    }
}

#[test]
fn a_token_that_a_key_of_ours_signed_is_refused_at_the_same_cost_and_does_not_count() {
    let gate = gate(None);
    let header = r#"{"alg":"HS256","kid":"k1"}"#;
    let of_one = secret("one-k1");
    for (host, claim, lived) in [("shared.test", "one", 7_200), ("own.test", "one", 0), ("own.test", "one", 7_200)] {
        let (reason, made) = ask(&gate, host, &token(header, &claims(claim, lived), &of_one));
        assert_eq!(made, 6, "{reason:?}");
        assert!(reason.is_some_and(|reason| !reason.is_forgery()), "{host}");
    }
    let (reason, _) = ask(&gate, "shared.test", &token(header, &claims("one", 7_200), &of_one));
    assert_eq!(reason, Some(Reason::Token(TokenError::Expired(6_600))));
}

#[test]
fn a_token_that_passes_costs_one_verification_a_key_that_is_tried() {
    let gate = gate(None);
    let good = |kid: &str, key: &str| token(&format!(r#"{{"alg":"HS256"{kid}}}"#), &claims("one", 0), &secret(key));
    assert_eq!(ask(&gate, "shared.test", &good(r#","kid":"k2""#, "one-k2")), (None, 1));
    assert_eq!(ask(&gate, "shared.test", &good("", "one-k2")), (None, 2));
    assert_eq!(ask(&gate, "shared.test", &good("", "one-k2")), (None, 0), "verified before");
}

#[test]
fn forgeries_count_whomever_they_name() {
    let header = r#"{"alg":"HS256","kid":"k1"}"#;
    for claims in [claims("one", 0), claims("three", 0), claims("absent", 0), "{}".into(), "[]".into()] {
        for host in ["shared.test", "own.test"] {
            let gate = gate(Some(FailureRule { count: 3, per: Duration::from_secs(60) }));
            for number in 0..3 {
                let (reason, _) = ask(&gate, host, &token(header, &claims, &[number]));
                assert!(!matches!(reason, Some(Reason::TooManyFailures(_))), "{host} {claims}");
            }
            let (reason, made) = ask(&gate, host, &token(header, &claims, b"more"));
            assert!(matches!(reason, Some(Reason::TooManyFailures(_))), "{host} {claims}: {reason:?}");
            assert_eq!(made, 0);
        }
    }
}
