//! The sockets that listen: bound here, or taken over from another process.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use crate::config::Listen;

/// Why there is no socket.
#[derive(Debug, Error)]
#[error("{address} cannot be listened on: {error}; {}", remedy(key, error))]
pub struct BindError {
    key: &'static str,
    address: SocketAddr,
    error: io::Error,
}

fn remedy(key: &str, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!("stop what listens there, or change listen.{key}"),
        ErrorKind::PermissionDenied => format!(
            "a port below 1024 takes the right CAP_NET_BIND_SERVICE (AmbientCapabilities= in systemd, or `setcap \
             cap_net_bind_service=+ep` on the binary); give that, or choose a port from 1024 for listen.{key}"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "it is not an address of this machine; write one of its own for listen.{key}, or 0.0.0.0 for all of them"
        ),
        _ if Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT) => {
            format!("this machine has no such addresses; write an IPv4 address for listen.{key}")
        }
        _ => format!("change listen.{key}"),
    }
}

/// For clients, and for the operator where there is an admin listener.
pub struct Listeners {
    pub main: TcpListener,
    pub admin: Option<TcpListener>,
}

/// What may wait with the kernel until it is accepted; the kernel takes no more than net.core.somaxconn. 128, the usual, are
/// soon there while another process takes over.
const BACKLOG: i32 = 65_535;

impl Listeners {
    /// Binds what is configured. Here and not by Pingora, which tries for half a minute and then panics in a task of its own.
    pub fn bind(listen: &Listen) -> Result<Self, BindError> {
        Self::or_bind(listen, None, None)
    }

    /// Takes sockets over as far as they listen where they should, and binds the others.
    pub fn or_bind(listen: &Listen, main: Option<TcpListener>, admin: Option<TcpListener>) -> Result<Self, BindError> {
        let there = |socket: Option<TcpListener>, address: SocketAddr| {
            socket.filter(|socket| socket.local_addr().is_ok_and(|local| is_at(local, address)))
        };
        let get = |key, socket, address| match there(socket, address) {
            Some(socket) => Ok(socket),
            None => bind(address).map_err(|error| BindError { key, address, error }),
        };
        Ok(Self {
            main: get("address", main, listen.address)?,
            admin: listen.admin.map(|address| get("admin", admin, address)).transpose()?,
        })
    }

    /// The same sockets once more.
    pub fn another(&self) -> io::Result<Self> {
        let admin = self.admin.as_ref().map(TcpListener::try_clone).transpose()?;
        Ok(Self { main: self.main.try_clone()?, admin })
    }

    /// Where they listen.
    pub fn addresses(&self) -> io::Result<(SocketAddr, Option<SocketAddr>)> {
        Ok((self.main.local_addr()?, self.admin.as_ref().map(TcpListener::local_addr).transpose()?))
    }
}

/// Whether a socket listens where it should; port 0 is any.
fn is_at(local: SocketAddr, wanted: SocketAddr) -> bool {
    local.ip() == wanted.ip() && (wanted.port() == 0 || local.port() == wanted.port())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a process before that are not quite gone yet must not keep the port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_remedy() {
        for (errno, said) in [
            (Errno::ADDRINUSE, "stop what listens there, or change listen.address"),
            (Errno::ACCESS, "CAP_NET_BIND_SERVICE"),
            (Errno::PERM, "a port from 1024 for listen.address"),
            (Errno::ADDRNOTAVAIL, "it is not an address of this machine"),
            (Errno::AFNOSUPPORT, "write an IPv4 address"),
        ] {
            let error = BindError {
                key: "address",
                address: ([0, 0, 0, 0], 443).into(),
                error: io::Error::from_raw_os_error(errno.raw_os_error()),
            };
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
