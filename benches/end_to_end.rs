//! A request through the whole proxy, beside a bare Pingora proxy before the same upstream in the same run.

mod support;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::IntoRawFd,
    sync::Arc,
};

use async_trait::async_trait;
use criterion::{Criterion, criterion_group, criterion_main};
use pingora::{
    Result,
    proxy::{ProxyHttp, Session, http_proxy},
    server::{Fds, configuration::ServerConf},
    services::{Service as _, listening::Service},
    upstreams::peer::HttpPeer,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Runtime,
    sync::watch,
};
use vestibule::{server, time::Clock};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 128\r\n\r\n\
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// Passes everything through.
struct Bare(SocketAddr);

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

async fn upstream() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                // Small requests without bodies arrive whole.
                while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {
                    if stream.write_all(ANSWER).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn bare(upstream: SocketAddr, stopped: watch::Receiver<bool>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    let mut fds = Fds::new();
    fds.add(address.to_string(), listener.into_raw_fd());
    let mut service = Service::new("bare".to_owned(), http_proxy(&Arc::new(ServerConf::default()), Bare(upstream)));
    service.add_tcp(&address.to_string());
    tokio::spawn(async move {
        service.start_service(Some(Arc::new(parking_lot::Mutex::new(fds))), stopped, 1).await;
    });
    address
}

/// One request after the other over one connection.
fn ask(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8]) {
    stream.write_all(request).expect("sent");
    let mut length = 0;
    loop {
        length += stream.read(&mut buffer[length..]).expect("an answer");
        if buffer[..length].ends_with(b"xxxx") {
            break;
        }
    }
    assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..length]));
}

fn end_to_end(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("threads");
    let (stopping, stopped) = watch::channel(false);
    let (bare, door, _running) = runtime.block_on(async {
        let upstream = upstream().await;
        let config = support::config(1, 10, upstream);
        let running = server::start(&config, Clock::reading(|| support::NOW)).await.expect("a free port");
        (bare(upstream, stopped), running.address, running)
    });
    let request = format!(
        "GET /tickets/4711 HTTP/1.1\r\nHost: portal.test\r\nAccept: application/json\r\nAuthorization: Bearer {}\r\n\r\n",
        support::token(1)
    );
    for (name, address) in [("bare Pingora", bare), ("Vestibule", door)] {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        let mut buffer = vec![0; 16 * 1024];
        criterion.bench_function(&format!("end to end/{name}"), |bencher| {
            bencher.iter(|| ask(&mut stream, request.as_bytes(), &mut buffer));
        });
    }
    stopping.send(true).expect("the bare proxy listens");
    runtime.shutdown_background();
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
