//! Wherever a redirect after an exchange or a logout leads, it is a page of this origin and none of our endpoints.
//!
//! The first line is the scheme and authority of the visitor, as `https portal.test`; the rest is the `return_to`.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use url::Url;
use vestibule::{
    head::Host,
    visitor::{Via, Visitor},
};
use vestibule_fuzz::{first_line, percent_decoded, portal};

fuzz_target!(|data: &[u8]| {
    let (visitor, wanted) = first_line(data);
    let Ok(wanted) = std::str::from_utf8(wanted.strip_suffix(b"\n").unwrap_or(wanted)) else { return };
    let Some(visitor) = std::str::from_utf8(visitor).ok().and_then(visitor_of) else { return };
    let is_endpoint = |path: &str| portal().exchange.endpoint(path).is_some();
    let path = visitor.return_path(Some(wanted), is_endpoint);

    assert!(path.starts_with('/') && !path.starts_with("//") && !path.contains('\\'), "{path:?}");
    assert!(path.bytes().all(|b| b.is_ascii_graphic()), "{path:?}");
    assert!(http::HeaderValue::from_str(&path).is_ok(), "{path:?}");
    assert_eq!(visitor.return_path(Some(&path), is_endpoint), path, "what was checked once passes again");

    if let Ok(origin) = Url::parse(&visitor.url("/")) {
        // From whatever page of ours the redirect comes.
        for from in ["/", "/_auth/exchange?token=x", "/api/portal/sso"] {
            let landed = origin.join(from).and_then(|page| page.join(&path)).expect("a path is a URL");
            assert_eq!(landed.origin(), origin.origin(), "{path:?}");
            assert!(landed.username().is_empty() && landed.password().is_none(), "{path:?}");
            assert_eq!(landed.path(), path.split(['?', '#']).next().unwrap_or_default(), "rewritten by the browser");
            check_not_ours(landed.path());
        }
    } else {
        assert_eq!(path, "/", "no origin, no way but home");
    }
});

fn visitor_of(line: &str) -> Option<Visitor> {
    let (scheme, authority) = line.split_once(' ')?;
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Some(Visitor {
        client: address,
        peer: address,
        via: Via::Nobody,
        scheme: if scheme == "https" { "https" } else { "http" },
        authority: Host::parse(authority)?.authority().into_owned(),
    })
}

fn check_not_ours(path: &str) {
    assert_eq!(portal().exchange.endpoint(path), None, "{path:?}");
    let mut reading = path.as_bytes().to_vec();
    for pass in 0..=4 {
        let first = reading[1..].split(|b| matches!(b, b'/' | b';')).next().unwrap_or_default();
        assert!(!first.eq_ignore_ascii_case(b"_auth"), "pass {pass}: {path:?}");
        reading = percent_decoded(&reading);
    }
}
