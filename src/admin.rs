//! The admin listener, on loopback: whether this process lives, and whether it takes requests.

use async_trait::async_trait;
use http::{
    Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE},
};
use pingora::{apps::http_app::ServeHttp, protocols::http::ServerSession};
use tokio::sync::watch;

/// Answers `/healthz` and `/readyz`.
pub struct Admin {
    stopping: watch::Receiver<bool>,
}

impl Admin {
    /// `stopping` turns true when the server drains.
    pub fn new(stopping: watch::Receiver<bool>) -> Self {
        Self { stopping }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let (status, text) = match session.req_header().uri.path() {
            "/healthz" => (StatusCode::OK, "alive\n"),
            "/readyz" if *self.stopping.borrow() => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
            "/readyz" => (StatusCode::OK, "ready\n"),
            _ => (StatusCode::NOT_FOUND, "nothing here; try /healthz or /readyz\n"),
        };
        let mut response = Response::new(text.as_bytes().to_vec());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, text.len().into());
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
        response
    }
}
