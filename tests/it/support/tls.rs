//! A certificate of the test's own, and clients that believe it.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Answer, Upstream, client::PATIENCE};

/// A certificate for `portal.test`, in files.
pub struct Certificate {
    folder: TempDir,
    root: CertificateDer<'static>,
}

impl Certificate {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["portal.test".to_owned(), "globex.test".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        let key = folder.path().join("key.pem");
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self { folder, root: made.cert.der().clone() }
    }

    /// For the `[listen]` of a configuration.
    pub fn setting(&self) -> String {
        let file = |name| self.folder.path().join(name);
        format!("tls = {{ cert = {:?}, key = {:?} }}\n", file("cert.pem"), file("key.pem"))
    }

    /// Another in the same files, as on a renewal; the one before is no longer believed.
    pub fn renew(&mut self) {
        let made = rcgen::generate_simple_self_signed(["portal.test".to_owned(), "globex.test".to_owned()]).unwrap();
        for (name, pem) in [("cert.pem", made.cert.pem()), ("key.pem", made.signing_key.serialize_pem())] {
            let new = self.folder.path().join("new");
            std::fs::write(&new, pem).unwrap();
            std::fs::rename(new, self.folder.path().join(name)).unwrap();
        }
        self.root = made.cert.der().clone();
    }

    /// Opens a connection that speaks one of these protocols.
    pub async fn connect(&self, address: SocketAddr, protocols: &[&str]) -> TlsStream<TcpStream> {
        self.try_connect(address, protocols).await.unwrap()
    }

    pub async fn try_connect(&self, address: SocketAddr, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let tcp = TcpStream::connect(address).await?;
        let name = ServerName::try_from("portal.test").unwrap();
        timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await.expect("in time")
    }

    /// Opens a connection of HTTP/2.
    pub async fn h2(&self, address: SocketAddr) -> H2 {
        self.try_h2(address).await.unwrap()
    }

    pub async fn try_h2(&self, address: SocketAddr) -> std::io::Result<H2> {
        let stream = self.try_connect(address, &["h2"]).await?;
        let (sender, connection) = h2::client::handshake(stream).await.map_err(std::io::Error::other)?;
        // It ends with the server's error or ours; what matters is what requests get.
        tokio::spawn(connection);
        Ok(H2 { sender })
    }
}

/// A connection of HTTP/2.
#[derive(Clone)]
pub struct H2 {
    sender: h2::client::SendRequest<Bytes>,
}

impl H2 {
    /// Sends a request; `Err` when its stream is reset.
    pub async fn send(&mut self, request: Request<()>, body: Option<&[u8]>) -> Result<Answer, h2::Error> {
        timeout(PATIENCE, self.exchange(request, body)).await.expect("an answer in time")
    }

    /// Sends a request and its body, the second half after `meanwhile`.
    pub async fn send_in_two(
        &mut self,
        request: Request<()>,
        body: &[u8],
        meanwhile: impl AsyncFnOnce(),
    ) -> Result<Answer, h2::Error> {
        let mut sender = self.sender.clone().ready().await?;
        let (response, mut stream) = sender.send_request(request, false)?;
        let (one, other) = body.split_at(body.len() / 2);
        stream.send_data(Bytes::copy_from_slice(one), false)?;
        // Another request over the same connection is answered: this one has begun.
        let (ping, _) =
            sender.ready().await?.send_request(Request::get("https://portal.test/").body(()).unwrap(), true)?;
        timeout(PATIENCE, ping).await.expect("an answer in time")?;
        meanwhile().await;
        stream.send_data(Bytes::copy_from_slice(other), true)?;
        timeout(PATIENCE, read(response)).await.expect("an answer in time")
    }

    /// Sends a request, if the connection still takes one; `Err` when it gets no answer. A GOAWAY that crosses a request tells
    /// the client that it was not looked at and may be sent again (RFC 9113 section 6.8): then the app must not have seen it.
    pub async fn try_send(&mut self, request: Request<()>, upstream: &Upstream) -> Result<Option<Answer>, h2::Error> {
        let path = request.uri().path().to_owned();
        let Ok(mut sender) = self.sender.clone().ready().await else { return Ok(None) };
        let Ok((response, _)) = sender.send_request(request, true) else { return Ok(None) };
        match timeout(PATIENCE, read(response)).await.expect("an answer in time") {
            Err(e) if e.is_go_away() && e.is_remote() && e.reason() == Some(h2::Reason::NO_ERROR) => {
                assert!(!upstream.seen().iter().any(|seen| seen.target() == path), "{path} was done, and not answered");
                Ok(None)
            }
            done => done.map(Some),
        }
    }

    /// Sends a request, and leaves its answer to be read as it comes.
    pub async fn begin(&mut self, request: Request<()>) -> h2::RecvStream {
        let mut sender = self.sender.clone().ready().await.unwrap();
        let (response, _) = sender.send_request(request, true).unwrap();
        timeout(PATIENCE, response).await.expect("an answer in time").unwrap().into_body()
    }

    /// Begins a request whose body is sent as the test likes; its answer goes unread.
    pub async fn upload(&mut self, request: Request<()>) -> h2::SendStream<Bytes> {
        let mut sender = self.sender.clone().ready().await.unwrap();
        sender.send_request(request, false).unwrap().1
    }

    async fn exchange(&mut self, request: Request<()>, body: Option<&[u8]>) -> Result<Answer, h2::Error> {
        let mut sender = self.sender.clone().ready().await?;
        let (response, mut stream) = sender.send_request(request, body.is_none())?;
        if let Some(body) = body {
            stream.send_data(Bytes::copy_from_slice(body), true)?;
        }
        read(response).await
    }
}

async fn read(response: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut data) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = data.data().await {
        let chunk = chunk?;
        data.flow_control().release_capacity(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok(answer(&Response::from_parts(head, ()), body))
}

fn answer(response: &Response<()>, body: Vec<u8>) -> Answer {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: Vec<(String, String)> =
        response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let raw = format!("{headers:?}").into_bytes();
    Answer { status: response.status().as_u16(), headers, raw: [raw, body.clone()].concat(), body }
}
