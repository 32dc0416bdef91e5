//! Asks a running Vestibule whether it lives, for containers that hold nothing but this binary.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use super::say;
use crate::config::Listen;

const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the admin listener where there is one, else the listener itself, which answers for its own endpoints.
pub fn ask(listen: &Listen) -> Result<ExitCode, String> {
    let (address, path, wanted) = match listen.admin {
        Some(admin) => (admin, "/healthz", "HTTP/1.1 200 "),
        None if listen.tls.is_some() => {
            return Err("health asks over plain HTTP; add admin = \"127.0.0.1:9901\" to [listen]".to_owned());
        }
        None => (reachable(listen.address), "/_auth/", "HTTP/1.1 404 "),
    };
    let answer = exchange(address, path).map_err(|e| format!("{address} does not answer: {e}"))?;
    if answer.starts_with(wanted) {
        return say("alive");
    }
    Err(format!("{address} answers {:?}", answer.lines().next().unwrap_or_default()))
}

fn exchange(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer)
}

/// An address to connect to, where one listens on all.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
