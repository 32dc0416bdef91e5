//! What the app is told about the caller comes from the proof alone, and no other header can be taken for one that says so.
//!
//! Line 1 is three letters: the route (`k` optional, `p` public, `m` one of some methods, `h` with token parameters, `f`
//! forwarding the token) with a caller, in upper case without; the encoding (`p`, `u`, `b`, `q`); and the peer (`t` trusted).
//! Then user, roles between `|`, name, plan and target, each on its line, and the header fields of the client.

#![no_main]

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::OnceLock,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::AUTHORIZATION};
use libfuzzer_sys::fuzz_target;
use pingora::http::RequestHeader;
use serde_json::json;
use url::form_urlencoded;
use vestibule::{
    config::Encoding,
    fields,
    gate::{Caller, Permit},
    head::{Head, Host},
    identity::Identity,
    stamp::Stamp,
    visitor::{Via, Visitor},
};
use vestibule_fuzz::{NOW, field, first_line, folded, gate, lines, percent_decoded, portal, sign};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const ENCODINGS: [Encoding; 4] = [Encoding::Percent, Encoding::Utf8, Encoding::Base64, Encoding::QuotedPrintable];

/// The headers that say who is calling, and what `strip` names.
const IDENTITY: [&str; 6] = ["X-User-Id", "X-Tenant", "X-Roles", "X-User-Email", "X-User-Name", "X-Plan"];
const STRIPPED: [&str; 3] = ["remoteuser", "xforwardeduser", "proxy"];

const SESSION_COOKIES: [&[u8]; 2] = [b"__Host-vestibule", b"sw_bs_globex"];

fuzz_target!(|data: &[u8]| {
    let (modes, rest) = first_line(data);
    let [route, encoding, via] = modes else { return };
    let (user, rest) = first_line(rest);
    let (roles, rest) = first_line(rest);
    let (name, rest) = first_line(rest);
    let (plan, rest) = first_line(rest);
    let (target, rest) = first_line(rest);
    let [Ok(user), Ok(roles), Ok(name), Ok(plan), Ok(target)] =
        [user, roles, name, plan, target].map(std::str::from_utf8)
    else {
        return;
    };
    let path = match route.to_ascii_lowercase() {
        b'p' => "/public",
        b'm' => "/read-only",
        b'h' => "/handed",
        b'f' => "/forwarded",
        _ => "/",
    };
    let encoding = match encoding {
        b'u' => Encoding::Utf8,
        b'b' => Encoding::Base64,
        b'q' => Encoding::QuotedPrintable,
        _ => Encoding::Percent,
    };
    let caller = route.is_ascii_lowercase().then(|| {
        let roles: Vec<&str> = roles.split('|').filter(|role| !role.is_empty()).collect();
        let claims = json!({
            "userId": user, "tenantId": "acme", "userRoles": roles, "userEmail": name, "plan": plan,
            "iat": NOW.0, "exp": NOW.0 + 600,
        });
        sign(&vestibule_fuzz::secret("ACME").unwrap_or_default(), br#"{"alg":"HS256"}"#, claims.to_string().as_bytes())
    });
    let Some(permit) = permit(path, caller.as_deref()) else { return };
    let visitor = Visitor {
        client: CLIENT,
        peer: CLIENT,
        via: if *via == b't' { Via::TrustedProxy } else { Via::Nobody },
        scheme: "https",
        authority: "portal.test".into(),
    };
    let Some((mut request, sent)) = request(path, target, rest) else { return };
    let decided = String::from_utf8_lossy(request.raw_path()).into_owned();
    let stamp = stamps(encoding);
    let decided = stamp.without_tokens(&decided).unwrap_or(decided);
    stamp.request(&mut request, &permit, &visitor, &decided, None, "id-1").expect("a verified caller is stampable");

    assert_eq!(request.raw_path(), decided.as_bytes());
    check_query(decided.split_once('?').map_or("", |(_, query)| query));
    let mut wire = Vec::new();
    request.header_to_h1_wire(&mut wire);
    let got = read(&wire);
    assert_eq!(got.len(), request.headers.len(), "what is sent is what the map holds");
    check_identity(&got, &permit, encoding);
    check_visitor(&got, &sent, &visitor);
    check_credentials(&got, &permit);
    check_others(&got, &sent, &permit);
});

fn stamps(encoding: Encoding) -> &'static Stamp {
    static STAMPS: OnceLock<Vec<Stamp>> = OnceLock::new();
    let config = portal();
    let stamps = STAMPS.get_or_init(|| {
        let stamp = |encoding| {
            let mut headers = config.identity.clone();
            headers.encoding = encoding;
            let routes = config.routes.iter().map(AsRef::as_ref);
            Stamp::new(
                &headers,
                &config.listen.forwarded_headers,
                &config.tenants,
                &config.exchange.token_params,
                routes,
            )
        };
        ENCODINGS.map(stamp).into()
    });
    &stamps[ENCODINGS.iter().position(|one| *one == encoding).expect("listed")]
}

/// The permit of a request that carries this token and nothing else.
fn permit(path: &str, token: Option<&str>) -> Option<Permit> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().ok()?);
    }
    let host = Host::parse("portal.test")?;
    let head = Head { method: &Method::GET, host, path, query: None, headers: &headers, slashes: None };
    let visitor = Visitor::read(&head, CLIENT, "https", &[]).ok()?;
    gate().decide(&head, &visitor, NOW).ok()
}

type Field = (Vec<u8>, Vec<u8>);

/// The request as the client sent it: what no reader of HTTP accepts is left out.
fn request(path: &str, target: &str, fields: &[u8]) -> Option<(RequestHeader, Vec<Field>)> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    if query.bytes().any(|b| !b.is_ascii_graphic() || b == b'#') {
        return None;
    }
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let mut request = RequestHeader::build("GET", target.as_bytes(), None).ok()?;
    let mut sent = Vec::new();
    for (name, value) in lines(fields).filter_map(field) {
        let Ok(text) = std::str::from_utf8(name) else { continue };
        let (Ok(_), Ok(wire)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else { continue };
        request.append_header(text.to_owned(), wire).ok()?;
        sent.push((name.to_vec(), value.to_vec()));
    }
    Some((request, sent))
}

fn read(wire: &[u8]) -> Vec<Field> {
    let lines = wire.strip_suffix(b"\r\n").unwrap_or(wire).split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines.filter_map(|line| field(line).map(|(name, value)| (name.to_vec(), value.to_vec()))).collect()
}

fn folding_to<'f>(fields: &'f [Field], name: &str) -> Vec<&'f Field> {
    let fold = folded(name.as_bytes());
    fields.iter().filter(|(name, _)| folded(name) == fold).collect()
}

fn identity(permit: &Permit) -> Option<&Identity> {
    match permit.caller() {
        Caller::Known(proof) => Some(proof.identity()),
        Caller::Nobody { .. } => None,
    }
}

/// Exactly one each of what is known, spelled as configured, and nothing that an app could read for it.
fn check_identity(got: &[Field], permit: &Permit, encoding: Encoding) {
    for name in STRIPPED {
        assert!(folding_to(got, name).is_empty(), "{name} went through: {got:?}");
    }
    let Some(who) = identity(permit) else {
        for name in IDENTITY {
            assert!(folding_to(got, name).is_empty(), "{name} of nobody: {got:?}");
        }
        return;
    };
    let known = [
        Some(&*who.user),
        Some(who.tenant.as_str()),
        None,
        who.email.as_deref(),
        who.name.as_deref(),
        who.plan.as_deref(),
    ];
    for (name, wanted) in IDENTITY.into_iter().zip(known) {
        let found = folding_to(got, name);
        if name == "X-Roles" {
            let [(_, value)] = found[..] else { panic!("{name}: {found:?}") };
            let list = value.split(|b| *b == b',').filter(|_| !value.is_empty());
            let read: Vec<String> = list.map(|role| decoded(role, encoding, true)).collect();
            assert_eq!(read, who.roles, "{value:?}");
            continue;
        }
        match (wanted, &found[..]) {
            (None, []) => {}
            (Some(wanted), [(spelled, value)]) => {
                assert_eq!(spelled, name.as_bytes());
                // A tenant's id is plain text in any encoding.
                let read = if name == "X-Tenant" {
                    String::from_utf8_lossy(value).into()
                } else {
                    decoded(value, encoding, false)
                };
                assert_eq!(read, *wanted, "{}", value.escape_ascii());
            }
            _ => panic!("{name}: {found:?} for {wanted:?}"),
        }
    }
}

/// What an app reads that decodes by README.
fn decoded(value: &[u8], encoding: Encoding, is_role: bool) -> String {
    let bytes = match encoding {
        Encoding::Percent => percent_decoded(value),
        Encoding::Utf8 if is_role => {
            let text = String::from_utf8_lossy(value).replace("%2C", ",").replace("%25", "%");
            text.into_bytes()
        }
        Encoding::Utf8 => value.to_vec(),
        Encoding::QuotedPrintable => quoted_printable(value),
        Encoding::Base64 => STANDARD.decode(value).expect("always base64"),
    };
    String::from_utf8(bytes).expect("identity is text")
}

fn quoted_printable(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = value;
    while let Some((byte, more)) = rest.split_first() {
        rest = more;
        if *byte == b'=' {
            let (pair, more) = rest.split_at(2);
            out.extend(u8::from_str_radix(std::str::from_utf8(pair).expect("two digits"), 16));
            rest = more;
        } else {
            out.push(*byte);
        }
    }
    out
}

/// An untrusted client says nothing about addresses; a trusted proxy only in the proper spelling.
fn check_visitor(got: &[Field], sent: &[Field], visitor: &Visitor) {
    let mut chain = Vec::new();
    for (_, value) in sent.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"x-forwarded-for")) {
        let is_text = value.iter().all(|b| (b' '..=b'~').contains(b) || *b == b'\t');
        if visitor.via == Via::TrustedProxy && is_text {
            chain.push(String::from_utf8_lossy(value).into_owned());
        }
    }
    chain.push(visitor.peer.to_string());
    for (name, wanted) in [
        ("X-Forwarded-For", &*chain.join(", ")),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "portal.test"),
        ("X-Request-Id", "id-1"),
    ] {
        let found = folding_to(got, name);
        assert!(
            matches!(&found[..], [(_, value)] if value == wanted.trim().as_bytes()),
            "{name}: {found:?} {wanted:?}"
        );
    }
    for (name, _) in got.iter().filter(|(name, _)| !is_written(&folded(name))) {
        assert!(!MUST_GO.iter().any(|start| folded(name).starts_with(start)), "{name:?}");
    }
}

/// How the folds of names begin that the documentation says are nobody's to send.
const MUST_GO: [&str; 32] = [
    "remoteuser",
    "remotegroup",
    "remoteemail",
    "remotename",
    "xremoteuser",
    "xremotegroup",
    "xremoteemail",
    "xremotename",
    "xwebauth",
    "xauthrequest",
    "xauthenticated",
    "xauthentik",
    "xpomerium",
    "tailscale",
    "xmsclientprincipal",
    "xgoogauthenticated",
    "cfaccess",
    "xsslclient",
    "sslclient",
    "xclientcert",
    "clientcert",
    "trueclientip",
    "xsendfile",
    "xaccel",
    "xforwarded",
    "forwarded",
    "xrealip",
    "xclientip",
    "xoriginalurl",
    "xoriginaluri",
    "xoriginalhost",
    "xrewriteurl",
];

/// What the proxy writes itself for every request.
fn is_written(fold: &str) -> bool {
    ["xforwardedfor", "xforwardedproto", "xforwardedhost", "xrequestid"].contains(&fold)
}

/// The parameters that carry tokens on some route or endpoint of `portal.toml`.
const TOKEN_PARAMS: [&str; 4] = ["token", "jwt", "handoff", "access_token"];

/// None of them holds a token, on any route; what is not shaped like one is the app's.
fn check_query(query: &str) {
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        assert!(!(TOKEN_PARAMS.contains(&&*name) && is_token(&value)), "{query}");
    }
}

fn is_token(value: &str) -> bool {
    let parts: Vec<&str> = value.split('.').collect();
    let [header, claims, signature] = parts[..] else { return false };
    let is_base64url = |part: &str| URL_SAFE_NO_PAD.decode(part).is_ok();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    let header = serde_json::from_slice::<serde_json::Value>(&header).unwrap_or_default();
    header.get("alg").is_some() && is_base64url(claims) && is_base64url(signature)
}

/// No token and no session of ours goes to the app.
fn check_credentials(got: &[Field], permit: &Permit) {
    let forwards = permit.route().pattern.path == "/forwarded";
    for (name, value) in got {
        let shown = value.escape_ascii();
        match name.to_ascii_lowercase().as_slice() {
            b"authorization" => {
                assert!(forwards || !value.to_ascii_lowercase().starts_with(b"bearer"), "{shown}");
            }
            b"cookie" => {
                let names = value.split(|b| *b == b';').filter(|cookie| cookie.contains(&b'='));
                let mut names = names.flat_map(|cookie| cookie.split(|b| *b == b'=').next()).map(<[u8]>::trim_ascii);
                assert!(!names.any(|name| SESSION_COOKIES.contains(&name)), "{shown}");
            }
            b"sec-websocket-protocol" => {
                let mut protocols = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
                assert!(!protocols.any(|protocol| protocol.starts_with(b"bearer.")), "{shown}");
            }
            b"referer" => {
                let page = String::from_utf8_lossy(value);
                let query = page.split('#').next().unwrap_or_default().split_once('?').map_or("", |(_, query)| query);
                check_query(query);
                assert!(!value.contains(&b'#'), "no browser sends a fragment: {shown}");
            }
            _ => {}
        }
    }
}

/// Every header that no rule speaks of arrives as it was sent, as often and in that order.
fn check_others(got: &[Field], sent: &[Field], permit: &Permit) {
    let is_other = |(name, _): &&Field| {
        let fold = folded(name);
        let identity = IDENTITY.iter().any(|ours| folded(ours.as_bytes()) == fold);
        let credentials = ["authorization", "cookie", "secwebsocketprotocol", "referer"].contains(&&*fold);
        let overrides = ["xhttpmethodoverride", "xhttpmethod", "xmethodoverride"].contains(&&*fold);
        // The whole list is the product's: what it is not to touch is another's business.
        let claims = is_written(&fold) || fields::claim(&fold).is_some();
        !identity && !credentials && !overrides && !claims && !STRIPPED.contains(&&*fold)
    };
    let mut names: Vec<Vec<u8>> = sent.iter().filter(is_other).map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let of = |fields: &[Field]| {
            let those = fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(&name));
            those.map(|(spelled, value)| (spelled.clone(), value.clone())).collect::<Vec<_>>()
        };
        assert_eq!(of(got), of(sent), "another's header, on {}", permit.route().pattern.path);
    }
    // Some route is for one method only, so no client may ask for another.
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        assert!(folding_to(got, name).is_empty(), "{got:?}");
    }
}
