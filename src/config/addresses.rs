//! Addresses to listen on: what is not one has a remedy with the host and the port that were meant.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use toml::de::DeValue;

use super::{hosts::unbracketed, reader::Section};

/// An address and a port of this machine; `usual` is what is written where nothing else was meant.
pub fn address(section: &Section<'_>, key: &'static str, usual: SocketAddr) -> Option<SocketAddr> {
    let remedy = match section.raw(key) {
        Some(DeValue::String(text)) => remedy(text, usual),
        Some(DeValue::Integer(port)) => remedy(port.as_str(), usual),
        _ => format!("write \"{usual}\""),
    };
    section.parsed(key, &format!("an address; {remedy}"), |text| text.parse().ok())
}

fn remedy(text: &str, usual: SocketAddr) -> String {
    let trimmed = text.trim();
    let authority = trimmed.split_once("://").map_or(trimmed, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (host, digits) = match (authority.parse::<Ipv6Addr>(), unbracketed(authority), authority.rsplit_once(':')) {
        (_, Some((host, _)), Some((_, digits))) => (host, Some(digits)),
        (Ok(_), ..) => (authority, None),
        (.., Some((host, digits))) if is_number(digits) => (host, Some(digits)),
        (.., Some((host, ""))) if !host.contains(':') => (host, None),
        _ if is_number(authority) => ("", Some(authority)),
        _ => (authority, None),
    };
    let port = digits.and_then(|digits| digits.parse().ok());
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let ip = match bare {
        "" | "*" => Some(usual.ip()),
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        bare => bare.parse().ok(),
    };
    let meant = SocketAddr::new(ip.unwrap_or(usual.ip()), port.unwrap_or(usual.port()));
    if ip.is_none() {
        return format!("a host name may have several; write one of this machine's, such as \"{meant}\"");
    }
    match digits {
        None => format!("it has no port; write \"{meant}\""),
        Some(_) if port.is_none() => format!("ports go to 65535; write \"{meant}\""),
        Some(_) => format!("write \"{meant}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_address_has_its_own_remedy() {
        let usual = SocketAddr::from(([0, 0, 0, 0], 8080));
        for (text, said) in [
            ("localhost:9000", r#"write "127.0.0.1:9000""#),
            ("localhost", r#"it has no port; write "127.0.0.1:8080""#),
            ("127.0.0.1", r#"it has no port; write "127.0.0.1:8080""#),
            ("127.0.0.1:", r#"it has no port; write "127.0.0.1:8080""#),
            ("127.0.0.1:80800", r#"ports go to 65535; write "127.0.0.1:8080""#),
            (":9000", r#"write "0.0.0.0:9000""#),
            ("*:9000", r#"write "0.0.0.0:9000""#),
            ("9000", r#"write "0.0.0.0:9000""#),
            ("::1", r#"it has no port; write "[::1]:8080""#),
            ("[::1]", r#"it has no port; write "[::1]:8080""#),
            ("::1:9000", r#"write "[::1]:9000""#),
            (":::9000", r#"write "[::]:9000""#),
            ("http://127.0.0.1:9000/", r#"write "127.0.0.1:9000""#),
            (" 127.0.0.1:9000", r#"write "127.0.0.1:9000""#),
            (
                "app.example:9000",
                r#"a host name may have several; write one of this machine's, such as "0.0.0.0:9000""#,
            ),
            ("", r#"write "0.0.0.0:8080""#),
        ] {
            assert!(remedy(text, usual).ends_with(said), "{text:?}: {}", remedy(text, usual));
        }
    }
}
