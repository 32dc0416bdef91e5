//! The app: answers, and counts whom it was told of.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::door::USER;

/// What a reader asks for who then reads nothing.
pub const LARGE: &str = "/large";
const LARGE_BYTES: usize = 4 << 20;

/// The app, for as long as the process lives.
pub struct App {
    pub address: SocketAddr,
    strangers: Arc<AtomicU64>,
}

impl App {
    /// Requests that came with another identity than the good client's.
    pub fn strangers(&self) -> u64 {
        self.strangers.load(Ordering::Relaxed)
    }
}

/// Starts it on a thread of its own: the attackers' are busy, and that must not look like the server's fault.
pub fn start() -> App {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a thread");
    let listener = {
        let _guard = runtime.enter();
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        socket.listen(4_096).expect("it listens")
    };
    let address = listener.local_addr().expect("bound");
    let strangers = Arc::new(AtomicU64::new(0));
    let count = strangers.clone();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let large = Arc::new(answer(LARGE_BYTES));
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, count.clone(), large.clone()));
                }
            }
        });
    });
    App { address, strangers }
}

fn answer(length: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
    [head.into_bytes(), vec![b'x'; length]].concat()
}

async fn serve(mut stream: TcpStream, strangers: Arc<AtomicU64>, large: Arc<Vec<u8>>) {
    let small = answer(128);
    let mut bytes = Vec::with_capacity(4 << 10);
    loop {
        let end = loop {
            if let Some(at) = memmem::find(&bytes, b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await.map_or(true, |length| length == 0) {
                return;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        bytes.drain(..end);
        if !head.contains(&format!("\r\nx-user-id: {USER}\r\n")) {
            strangers.fetch_add(1, Ordering::Relaxed);
        }
        let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.split_once('\r'));
        let length: usize = length.map_or(0, |(length, _)| length.parse().unwrap_or(0));
        while bytes.len() < length {
            if stream.read_buf(&mut bytes).await.map_or(true, |length| length == 0) {
                return;
            }
        }
        bytes.drain(..length);
        let sent = if head.starts_with(&format!("get {LARGE} ")) {
            stream.write_all(&large).await
        } else {
            stream.write_all(&small).await
        };
        if sent.is_err() {
            return;
        }
    }
}
