//! WebSockets with a library at both ends, and apps that send exactly what they are told.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        handshake::server::{Request, Response},
    },
};

use super::{Ask, Door, PATIENCE, two_tenants};

/// What an app of the library saw: the heads of handshakes, and the code of each Close.
pub struct Echo {
    pub address: SocketAddr,
    pub heads: mpsc::UnboundedReceiver<Request>,
    pub closes: mpsc::UnboundedReceiver<Option<u16>>,
}

impl Echo {
    /// An app that takes every handshake at once, and sends back what it gets.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (saw, heads) = mpsc::unbounded_channel();
        let (closed, closes) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (saw, closed) = (saw.clone(), closed.clone());
                tokio::spawn(async move {
                    #[allow(clippy::result_large_err, reason = "the library's")]
                    let see = |request: &Request, mut response: Response| {
                        let chat = request.headers().get("Sec-WebSocket-Protocol").is_some_and(|all| all == "chat");
                        if chat {
                            response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("chat"));
                        }
                        saw.send(request.clone()).unwrap();
                        Ok(response)
                    };
                    let mut socket = accept_hdr_async(stream, see).await.unwrap();
                    while let Some(Ok(message)) = socket.next().await {
                        match message {
                            Message::Close(frame) => {
                                let _ = closed.send(frame.map(|frame| frame.code.into()));
                            }
                            message if message.is_text() || message.is_binary() => {
                                let _ = socket.send(message).await;
                            }
                            _ => {}
                        }
                    }
                });
            }
        });
        Self { address, heads, closes }
    }

    /// A door in front of it, with more of the route and of `[listen]`, and an admin listener.
    pub async fn door(&self, of_route: &str, listen: &str) -> Door {
        door_to(&self.address.to_string(), of_route, listen).await
    }
}

pub async fn door_to(servers: &str, of_route: &str, listen: &str) -> Door {
    let upstream = super::Upstream::start().await;
    let route = format!("[[routes]]\npath = \"/\"\nupstream = \"app\"\n{of_route}");
    let listen = format!("[listen]\nadmin = \"127.0.0.1:0\"\n{listen}");
    let text = two_tenants(&upstream, &route, &listen).replace(&upstream.address.to_string(), servers);
    Door::start(&text).await
}

/// A handshake by hand.
pub fn handshake(ask: Ask) -> Ask {
    ask.header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Origin", "http://portal.test")
}

/// The library's client.
pub struct Socket<S>(pub WebSocketStream<S>);

impl Socket<TcpStream> {
    pub async fn open(door: &Door, target: &str, headers: &[(&str, &str)]) -> Self {
        let stream = TcpStream::connect(door.address).await.unwrap();
        Self::over(stream, target, "http://portal.test", headers).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub async fn over(stream: S, target: &str, origin: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = format!("ws://portal.test{target}").into_client_request().unwrap();
        for (name, value) in headers.iter().chain(&[("Origin", origin)]) {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let opened = timeout(PATIENCE, client_async(request, stream)).await.expect("in time");
        Self(opened.unwrap().0)
    }

    /// Sends a text and waits for it to come back.
    pub async fn echo(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
        let back = timeout(PATIENCE, self.0.next()).await.expect("in time").unwrap().unwrap();
        assert_eq!(back.into_text().unwrap().as_str(), text);
    }

    /// Waits for the end: code and reason of the Close that came first.
    pub async fn closed(&mut self) -> Option<(u16, String)> {
        let mut close = None;
        while let Some(Ok(message)) = self.0.next().await {
            if let Message::Close(Some(frame)) = message {
                close = Some((frame.code.into(), frame.reason.to_string()));
            }
        }
        close
    }
}

/// Waits for a connection, and reads a head from it.
pub async fn accepted(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.expect("in time").unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(timeout(PATIENCE, stream.read_u8()).await.expect("in time").unwrap());
    }
    stream
}
