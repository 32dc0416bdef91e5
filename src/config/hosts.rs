//! Hosts and servers as operators write them: each mistake has its own remedy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{
    reader::{Placed, Section},
    server::{Listen, ServerAddress},
};
use crate::head::Host;

/// A host that requests are compared with: without port, in ASCII.
pub fn host_name(section: &Section<'_>, text: Placed<&str>) -> Option<String> {
    match Host::parse(text.value) {
        Some(host) if host.port.is_none() => Some(host.name.into_owned()),
        _ => {
            let remedy = remedy(text.value, Port::Dropped);
            section.reader.report(text.at, format!("{:?} is no host; {remedy}", text.value));
            None
        }
    }
}

/// A host, or `*.` and a host for one label more.
pub fn host_pattern(section: &Section<'_>, text: Placed<&str>) -> Option<String> {
    let Some(parent) = text.value.strip_prefix("*.") else {
        if text.value == "*" {
            section.reader.report(text.at, "\"*\" is no host; remove it: a route without a host is for any");
            return None;
        }
        return host_name(section, text);
    };
    match Host::parse(parent) {
        Some(host) if host.port.is_none() && !host.name.starts_with('[') => Some(format!("*.{}", host.name)),
        _ => {
            let remedy = remedy(parent, Port::Dropped).replace(": \"", ": \"*.");
            section.reader.report(text.at, format!("{:?} is no host; {remedy}", text.value));
            None
        }
    }
}

/// The `Host` that an app is sent, which may have a port.
pub fn sent_host<'t>(section: &Section<'_>, text: Placed<&'t str>) -> Option<&'t str> {
    if Host::parse(text.value).is_some() {
        return Some(text.value);
    }
    let remedy = remedy(text.value, Port::Kept);
    section
        .reader
        .report(text.at, format!("{:?} is no host; write \"preserve\" or the Host to send: {remedy}", text.value));
    None
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    Kept,
    Dropped,
}

/// What to write for a text that is not the host of a request.
pub fn host_remedy(text: &str) -> String {
    remedy(text, Port::Kept)
}

/// What to write for a text that is no host.
fn remedy(text: &str, port: Port) -> String {
    const EXAMPLE: &str = "write it as \"support.acme.example\"";
    if text.contains('*') {
        return "name each host; only a route's host may begin with \"*.\", for one label".to_owned();
    }
    let mut changes = Vec::new();
    let (authority, is_changed) = authority(text);
    if is_changed {
        changes.push("without scheme and path");
    }
    let (mut name, digits) = split_port(authority);
    if digits.is_some() && port == Port::Dropped {
        changes.push("without port");
    }
    if let Some(relative) = name.strip_suffix('.') {
        changes.push("without the dot at its end");
        name = relative;
    }
    let ascii = ascii(name);
    if !name.is_ascii() {
        changes.push("as browsers send it");
    }
    let Some(host) = ascii else { return EXAMPLE.to_owned() };
    let digits = digits.filter(|_| port == Port::Kept).map(|digits| format!(":{digits}")).unwrap_or_default();
    match changes.as_slice() {
        [] => format!("write it so: \"{host}{digits}\""),
        changes => format!("write it {}: \"{host}{digits}\"", changes.join(", ")),
    }
}

/// What of a URL names the server, and whether there was more.
fn authority(text: &str) -> (&str, bool) {
    let trimmed = text.trim();
    let rest = trimmed.split_once("://").map_or(trimmed, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    (authority, authority != trimmed)
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    let is_port = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match authority.rsplit_once(':') {
        Some((name, digits)) if is_port(digits) && (name.starts_with('[') || !name.contains(':')) => {
            (name, Some(digits))
        }
        _ => (authority, None),
    }
}

/// A name in the form of DNS (RFC 5891), an IPv6 address in brackets.
fn ascii(name: &str) -> Option<String> {
    let bracketed = if name.parse::<Ipv6Addr>().is_ok() { format!("[{name}]") } else { name.to_owned() };
    let host = url::Host::parse(&bracketed).ok()?.to_string();
    Host::parse(&host).is_some_and(|host| host.port.is_none()).then_some(host)
}

/// A server of an upstream.
pub fn server(section: &Section<'_>, text: Placed<&str>) -> Option<ServerAddress> {
    let parsed = parse_server(text.value);
    if let Err(remedy) = &parsed {
        section.reader.report(text.at, format!("{:?} is no server; {remedy}", text.value));
    }
    parsed.ok()
}

fn parse_server(text: &str) -> Result<ServerAddress, String> {
    const EXAMPLES: &str = "write \"127.0.0.1:3000\", \"name:3000\" or \"unix:/path\"";
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            path if path.starts_with('/') && path.len() > 1 => Ok(ServerAddress::Unix(path.into())),
            _ => Err("a socket needs its whole path; write \"unix:/run/app.sock\"".to_owned()),
        };
    }
    if text.starts_with('/') {
        return Err(format!("write it as {:?}", format!("unix:{text}")));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return if address.port() == 0 {
            Err(no_port(&address.ip().to_string()))
        } else {
            Ok(ServerAddress::Socket(address))
        };
    }
    if let Some((address, port)) = unbracketed(text) {
        return Err(format!("an IPv6 address with a port stands in brackets; write \"[{address}]:{port}\""));
    }
    if let Some((name, Some(port))) = endpoint(text).filter(|(name, _)| !name.starts_with('[')) {
        check_numbers(&name, port)?;
        return if port == 0 { Err(no_port(&name)) } else { Ok(ServerAddress::Name(name, port)) };
    }
    let (authority, is_url) = authority(text);
    let (name, port) = split_port(authority);
    let Some(host) = ascii(name.strip_suffix('.').unwrap_or(name)) else { return Err(EXAMPLES.to_owned()) };
    if text.trim().get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
        return Err(format!(
            "TLS to an app is not yet supported, so name the port on which it speaks plain HTTP: \"{host}:80\""
        ));
    }
    match port {
        None if is_url => Err(format!("write it without scheme and path: \"{host}:80\"")),
        None => Err(format!("it has no port; write \"{host}:3000\"")),
        Some(port) if port.parse::<u16>().is_err() => Err(format!("ports go to 65535; write \"{host}:3000\"")),
        Some(port) => Err(format!("write it so: \"{host}:{port}\"")),
    }
}

/// An IPv6 address with a port after it, without brackets. A port of one digit is rather the end of the address.
pub fn unbracketed(text: &str) -> Option<(&str, u16)> {
    let (address, digits) = text.rsplit_once(':')?;
    let is_port = digits.len() > 1 && digits.bytes().all(|b| b.is_ascii_digit());
    address.parse::<Ipv6Addr>().ok().filter(|_| is_port)?;
    Some((address, digits.parse().ok().filter(|port| *port > 0)?))
}

/// Refuses what resolvers read as an IPv4 address though it is not written as one: `127.1`, octal and hexadecimal numbers.
fn check_numbers(name: &str, port: u16) -> Result<(), String> {
    let is_number = |label: &str| {
        let hexadecimal = label.strip_prefix("0x").filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        hexadecimal.is_some() || !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit())
    };
    match url::Host::parse(name) {
        Ok(url::Host::Ipv4(address)) if name != address.to_string() => {
            Err(format!("resolvers read it as an IPv4 address; write its four decimal numbers: \"{address}:{port}\""))
        }
        Err(_) if name.trim_end_matches('.').rsplit('.').next().is_some_and(is_number) => {
            Err(format!("an IPv4 address has four decimal numbers up to 255; write \"127.0.0.1:{port}\""))
        }
        _ => Ok(()),
    }
}

/// A name or bracketed address to connect to, with its port if it has one. A name may be absolute in DNS (RFC 1034 section 3.1):
/// it ends with a dot and is resolved without the search domains of this machine.
pub fn endpoint(text: &str) -> Option<(String, Option<u16>)> {
    let (name, digits) = split_port(text);
    let port = digits.map(str::parse).transpose().ok()?;
    let relative = name.strip_suffix('.').unwrap_or(name);
    let dot = &name[relative.len()..];
    let host =
        Host::parse(relative).filter(|host| host.port.is_none() && (dot.is_empty() || !host.name.starts_with('[')))?;
    Some((format!("{}{dot}", host.name), port))
}

fn no_port(host: &str) -> String {
    format!("nothing listens on port 0; write the app's, as in \"{host}:3000\"")
}

/// Which of Vestibule's own listeners a server is.
pub fn own_listener(server: &ServerAddress, listen: &Listen) -> Option<&'static str> {
    let (addresses, port) = match server {
        ServerAddress::Socket(address) => (vec![address.ip()], address.port()),
        ServerAddress::Name(name, port) if is_local_name(name) => {
            (vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], *port)
        }
        ServerAddress::Name(..) | ServerAddress::Unix(_) => return None,
    };
    let is = |listener: SocketAddr| {
        listener.port() == port && addresses.iter().any(|address| reaches(connected(*address), listener.ip()))
    };
    match listen.admin {
        _ if is(listen.address) => Some("address"),
        Some(admin) if is(admin) => Some("admin"),
        _ => None,
    }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    matches!(name, "localhost" | "localhost.localdomain" | "ip6-localhost" | "ip6-loopback")
        || name.ends_with(".localhost")
}

/// Where a connection to an address goes: to the unspecified one, to this machine.
fn connected(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

fn reaches(address: IpAddr, listener: IpAddr) -> bool {
    address == listener.to_canonical() || (address.is_loopback() && holds(listener, address))
}

/// Whether a listener on an unspecified address takes what comes for another: that of IPv6 takes IPv4, too.
fn holds(listener: IpAddr, address: IpAddr) -> bool {
    listener.is_unspecified() && (listener.is_ipv6() || address.to_canonical().is_ipv4())
}

/// Whether two listeners cannot be had at once. Port 0 is any.
pub fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.port() != 0
        && (one.ip().to_canonical() == other.ip().to_canonical()
            || holds(one.ip(), other.ip())
            || holds(other.ip(), one.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_host_has_its_own_remedy() {
        for (text, said) in [
            ("https://Support.acme.example/x", r#"write it without scheme and path: "support.acme.example""#),
            ("support.acme.example:8443", r#"write it without port: "support.acme.example""#),
            ("support.acme.example.", r#"write it without the dot at its end: "support.acme.example""#),
            ("support.bücher.example", r#"write it as browsers send it: "support.xn--bcher-kva.example""#),
            (
                "http://bücher.example.:80/",
                r#"without scheme and path, without port, without the dot at its end, as browsers send it: "xn--bcher-kva.example""#,
            ),
            ("::1", r#"write it so: "[::1]""#),
            ("[::1]:80", r#"write it without port: "[::1]""#),
            (" a.example", r#"write it so: "a.example""#),
            ("*.acme.example", r#"only a route's host may begin with "*.""#),
            ("", r#"write it as "support.acme.example""#),
            ("a b", r#"write it as "support.acme.example""#),
        ] {
            assert!(remedy(text, Port::Dropped).contains(said), "{text}: {}", remedy(text, Port::Dropped));
        }
    }

    #[test]
    fn what_is_no_server_has_its_own_remedy() {
        for (text, said) in [
            (
                "https://app",
                r#"TLS to an app is not yet supported, so name the port on which it speaks plain HTTP: "app:80""#,
            ),
            ("http://x:1", r#"write it so: "x:1""#),
            ("http://x/y", r#"write it without scheme and path: "x:80""#),
            ("app:3000/", r#"write it so: "app:3000""#),
            ("app", r#"it has no port; write "app:3000""#),
            ("app.example.", r#"it has no port; write "app.example:3000""#),
            ("bücher.example:3000", r#"write it so: "xn--bcher-kva.example:3000""#),
            ("::1", r#"it has no port; write "[::1]:3000""#),
            ("/run/app.sock", r#"write it as "unix:/run/app.sock""#),
            ("unix:run/app.sock", "a socket needs its whole path"),
            ("127.0.0.1:0", r#"nothing listens on port 0; write the app's, as in "127.0.0.1:3000""#),
            ("app:0", "nothing listens on port 0"),
            ("app:99999", r#"ports go to 65535; write "app:3000""#),
            ("a..b:3000", "write \"127.0.0.1:3000\""),
            (".:3000", "write \"127.0.0.1:3000\""),
            ("::1:3000", r#"stands in brackets; write "[::1]:3000""#),
            ("::ffff:127.0.0.1:3000", r#"stands in brackets; write "[::ffff:127.0.0.1]:3000""#),
            ("2001:db8::5:8080", r#"write "[2001:db8::5]:8080""#),
            ("2001:db8::5", r#"it has no port; write "[2001:db8::5]:3000""#),
            ("127.1:3000", r#"write its four decimal numbers: "127.0.0.1:3000""#),
            ("010.0.0.1:3000", r#"write its four decimal numbers: "8.0.0.1:3000""#),
            ("0x7f.1:3000", r#"write its four decimal numbers: "127.0.0.1:3000""#),
            ("2130706433:3000", r#"write its four decimal numbers: "127.0.0.1:3000""#),
            ("127.0.0.1.:3000", r#"write its four decimal numbers: "127.0.0.1:3000""#),
            ("256.0.0.1:3000", r#"four decimal numbers up to 255; write "127.0.0.1:3000""#),
            ("1.2.3.4.5:3000", "four decimal numbers up to 255"),
        ] {
            let told = parse_server(text).err().unwrap_or_default();
            assert!(told.contains(said), "{text}: {told}");
        }
    }

    #[test]
    fn absolute_names_stay_absolute() {
        let name = |name: &str| Ok(ServerAddress::Name(name.to_owned(), 3000));
        assert_eq!(parse_server("app.tools.svc.cluster.local.:3000"), name("app.tools.svc.cluster.local."));
        assert_eq!(parse_server("App:3000"), name("app"));
    }

    #[test]
    fn a_server_that_is_vestibule_itself_is_known() {
        let own = |server: &str, address: &str| {
            let listen = Listen { address: address.parse().expect("valid"), ..Listen::default() };
            own_listener(&parse_server(server).expect("valid"), &listen)
        };
        for (server, address) in [
            ("127.0.0.1:8080", "0.0.0.0:8080"),
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("localhost:8080", "0.0.0.0:8080"),
            ("localhost.:8080", "127.0.0.1:8080"),
            ("app.localhost:8080", "[::1]:8080"),
            ("127.9.9.9:8080", "[::]:8080"),
            ("[::1]:8080", "[::]:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("[::ffff:127.0.0.1]:8080", "127.0.0.1:8080"),
            ("192.0.2.7:8080", "192.0.2.7:8080"),
        ] {
            assert_eq!(own(server, address), Some("address"), "{server} at {address}");
        }
        for (server, address) in [
            ("127.0.0.1:3000", "0.0.0.0:8080"),
            ("127.0.0.1:8080", "192.0.2.7:8080"),
            ("127.0.0.2:8080", "127.0.0.1:8080"),
            ("[::1]:8080", "0.0.0.0:8080"),
            ("app:8080", "0.0.0.0:8080"),
            ("192.0.2.8:8080", "0.0.0.0:8080"),
        ] {
            assert_eq!(own(server, address), None, "{server} at {address}");
        }
    }
}
