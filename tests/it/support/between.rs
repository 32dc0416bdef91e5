//! A wire that fails on demand: between a client and a server it passes, delays, holds, swallows, replaces or cuts.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// What becomes of the bytes of one direction.
#[derive(Clone, Debug)]
pub enum Fault {
    Pass,
    Delay(Duration),
    /// Kept until it is over, then passed: late answers.
    Hold,
    /// Gone, as on a connection that is half open.
    Swallow,
    /// Each piece is replaced.
    Replace(Vec<u8>),
    /// Before each piece comes this: answers shift.
    Prepend(&'static [u8]),
    /// Connections are closed, and new ones as they come.
    Cut,
}

#[derive(Clone)]
struct Faults {
    there: Fault,
    back: Fault,
}

/// The wire. It goes with the test.
pub struct Between {
    pub address: SocketAddr,
    faults: watch::Sender<Faults>,
    accepting: JoinHandle<()>,
}

impl Drop for Between {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Between {
    pub async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (faults, seen) = watch::channel(Faults { there: Fault::Pass, back: Fault::Pass });
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, server, seen.clone()));
            }
        });
        Self { address, faults, accepting }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// On the way there.
    pub fn there(&self, fault: Fault) {
        self.faults.send_modify(|faults| faults.there = fault);
    }

    /// On the way back.
    pub fn back(&self, fault: Fault) {
        self.faults.send_modify(|faults| faults.back = fault);
    }

    pub fn mend(&self) {
        self.faults.send_modify(|faults| *faults = Faults { there: Fault::Pass, back: Fault::Pass });
    }
}

async fn connection(client: TcpStream, server: SocketAddr, seen: watch::Receiver<Faults>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let there = carry(from_client, to_server, seen.clone(), |faults| &faults.there);
    let back = carry(from_server, to_client, seen, |faults| &faults.back);
    // Both halves close with the first that ends.
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut seen: watch::Receiver<Faults>,
    of: impl Fn(&Faults) -> &Fault,
) {
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = tokio::select! {
            read = from.read(&mut piece) => read,
            _ = seen.wait_for(|faults| matches!(of(faults), Fault::Cut)) => return,
        };
        let Ok(length @ 1..) = read else { return };
        let piece = &piece[..length];
        let fault = of(&seen.borrow_and_update()).clone();
        let written = match fault {
            Fault::Pass => to.write_all(piece).await,
            Fault::Delay(span) => {
                tokio::time::sleep(span).await;
                to.write_all(piece).await
            }
            Fault::Hold => {
                let _ = seen.wait_for(|faults| !matches!(of(faults), Fault::Hold)).await;
                to.write_all(piece).await
            }
            Fault::Swallow => Ok(()),
            Fault::Replace(bytes) => to.write_all(&bytes).await,
            Fault::Prepend(bytes) => to.write_all(&[bytes, piece].concat()).await,
            Fault::Cut => return,
        };
        if written.is_err() {
            return;
        }
    }
}
