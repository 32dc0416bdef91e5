//! Other cookies go on byte for byte and in their order, ours never; of two credentials of one kind none counts.
//!
//! Each line is a letter, a space and a header value: `c` Cookie, `a` Authorization, `p` Sec-WebSocket-Protocol; `q` is the
//! query of the request.

#![no_main]

use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL},
};
use libfuzzer_sys::fuzz_target;
use vestibule::{
    cookies,
    credential::{Credential, CredentialError, Sealed},
    head::{Head, Host},
    token,
};
use vestibule_fuzz::{lines, portal};

/// The session cookies of the two tenants at one host.
const OURS: [&str; 2] = ["__Host-vestibule", "sw_bs_globex"];

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    let mut query = None;
    for line in lines(data) {
        let Some((kind, value)) = line.split_first_chunk::<2>() else { continue };
        let name = match kind {
            b"c " => COOKIE,
            b"a " => AUTHORIZATION,
            b"p " => SEC_WEBSOCKET_PROTOCOL,
            b"q " => {
                query = std::str::from_utf8(value).ok();
                continue;
            }
            _ => continue,
        };
        append(&mut headers, name, value);
    }
    check_cookies(&headers);
    check_presented(&headers, query);
});

fn append(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    // As a reader of HTTP hands them on.
    if let Ok(value) = HeaderValue::from_bytes(value.trim_ascii()) {
        headers.append(name, value);
    }
}

/// The cookies of some fields as an app splits them, those without text left out.
fn split(fields: &[&[u8]]) -> Vec<Vec<u8>> {
    let parts = fields.iter().flat_map(|field| field.split(|b| *b == b';'));
    parts.map(|part| part.trim_ascii().to_vec()).filter(|part| !part.is_empty()).collect()
}

/// The name before `=`; what has none has the empty name (RFC 6265bis section 5.6).
fn name(cookie: &[u8]) -> &[u8] {
    match cookie.iter().position(|b| *b == b'=') {
        Some(at) => cookie[..at].trim_ascii(),
        None => b"",
    }
}

/// The name to a reader that skips what stands before it.
fn lax_name(cookie: &[u8]) -> &[u8] {
    let from = cookie.iter().position(|b| *b != b'=' && !b.is_ascii_whitespace()).unwrap_or(cookie.len());
    let end = cookie[from..].iter().position(|b| *b == b'=').map_or(cookie.len(), |length| from + length);
    cookie[from..end].trim_ascii()
}

fn value(cookie: &[u8]) -> &[u8] {
    match cookie.iter().position(|b| *b == b'=') {
        Some(at) => cookie[at + 1..].trim_ascii(),
        None => cookie,
    }
}

fn is_ours(name: &[u8]) -> bool {
    OURS.iter().any(|ours| ours.as_bytes() == name)
}

fn check_cookies(headers: &HeaderMap) {
    let fields: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let sent = split(&fields);
    let pairs: Vec<(Vec<u8>, Vec<u8>)> =
        cookies::pairs(headers).map(|pair| (pair.name.to_vec(), pair.value.to_vec())).collect();
    let wanted: Vec<_> = sent.iter().map(|cookie| (name(cookie).to_vec(), value(cookie).to_vec())).collect();
    assert_eq!(pairs, wanted);

    let kept = cookies::without(headers, |pair| is_ours(pair.read_name()));
    assert!(!split(&[&kept]).iter().any(|cookie| is_ours(lax_name(cookie))), "{}", shown(&kept));
    let others: Vec<Vec<u8>> = sent.iter().filter(|cookie| !is_ours(lax_name(cookie))).cloned().collect();
    assert_eq!(split(&[&kept]), others, "{}", shown(&kept));
    if let [field] = fields[..]
        && others.len() == sent.len()
    {
        assert_eq!(shown(&kept), shown(field), "nothing of ours in it, nothing touched");
    }
    assert!(kept.is_empty() || HeaderValue::from_bytes(&kept).is_ok());
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The rules of what is presented, once more.
fn check_presented(headers: &HeaderMap, query: Option<&str>) {
    let method = Method::GET;
    let host = Host::parse("portal.test").expect("a host");
    let head = Head { method: &method, host, path: "/handed", query, headers, slashes: None };
    let candidates = portal().tenants.at_host("portal.test").expect("a tenant");
    let presented = Credential::presented(&head, Some("access_token"), candidates);

    let authorizations: Vec<&[u8]> = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
    if authorizations.len() > 1 {
        assert_eq!(presented, Err(CredentialError::Ambiguous("Authorization header")));
        return;
    }
    if let [line] = authorizations[..]
        && line.split(|b| b" \t".contains(b)).next().is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
    {
        let token = line.get(7..).filter(|token| line[6] == b' ' && !token.is_empty());
        let token = token.filter(|token| token.iter().all(u8::is_ascii_graphic));
        match token.and_then(|token| std::str::from_utf8(token).ok()) {
            Some(token) => assert_eq!(presented, Ok(Some(Credential::Token(token.into())))),
            None => assert_eq!(presented, Err(CredentialError::Malformed)),
        }
        return;
    }
    let mut parameters: Vec<String> = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(name, _)| name == "access_token")
        .map(|(_, value)| value.into_owned())
        .collect();
    // What is not shaped like a token is the app's.
    if !parameters.iter().any(|value| token::is_jwt(value)) {
        parameters.clear();
    }
    // A line that is not text holds no protocol of ours.
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
    let protocols: Vec<String> = lines
        .flat_map(|line| line.split(','))
        .filter_map(|p| Some(p.trim().strip_prefix("bearer.")?.to_owned()))
        .collect();
    for (tokens, kind) in [(parameters, "bearer parameter"), (protocols, "bearer subprotocol")] {
        match &tokens[..] {
            [] => continue,
            [token] => assert_eq!(presented, Ok(Some(Credential::Token(token.into())))),
            _ => assert_eq!(presented, Err(CredentialError::Ambiguous(kind))),
        }
        return;
    }
    let fields: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let sent = split(&fields);
    let of = |ours: &str| sent.iter().filter(|cookie| name(cookie) == ours.as_bytes()).count();
    match (of(OURS[0]), of(OURS[1])) {
        (0, 0) => assert_eq!(presented, Ok(None)),
        // Of a name that a sibling host can plant there may be eight.
        (2.., _) | (_, 9..) => assert_eq!(presented, Err(CredentialError::Ambiguous("session cookie"))),
        counts => {
            let sealed = |cookie: &Vec<u8>| {
                let name = OURS.into_iter().find(|ours| name(cookie) == ours.as_bytes())?;
                Some((name, std::str::from_utf8(value(cookie)).unwrap_or_default().to_owned()))
            };
            let wanted: Vec<(&str, String)> = sent.iter().filter_map(sealed).collect();
            let plain = |sealed: &Sealed<'_>| (sealed.cookie.to_owned(), sealed.value.to_owned());
            let found = match presented {
                Ok(Some(Credential::Session(sealed))) => vec![plain(&sealed)],
                Ok(Some(Credential::Sessions(list))) => list.iter().map(plain).collect(),
                other => panic!("{other:?} for {counts:?}"),
            };
            assert_eq!(found, wanted.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect::<Vec<_>>());
        }
    }
}
