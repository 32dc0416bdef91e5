//! Bodies over HTTP/2 that pause for too long. Pingora 0.9.1 times reads of HTTP/1 alone; over HTTP/2 a hundred requests of one
//! connection could each keep a connection to the app, saying nothing.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::{
    apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream},
    protocols::http::{ServerSession, v2::server::H2Options},
    proxy::HttpProxy,
    server::ShutdownWatch,
};
use tokio::time::{Instant, sleep};

use super::Door;

tokio::task_local! {
    static BODY: Arc<BodyWatch>;
}

/// Since when more of a request's body is waited for; `None` while none is.
#[derive(Default)]
pub struct BodyWatch(Mutex<Option<Instant>>);

impl BodyWatch {
    /// That of the request being served; HTTP/1 has none.
    pub fn of_request() -> Option<Arc<Self>> {
        BODY.try_with(Arc::clone).ok()
    }

    /// More is waited for from now on.
    pub fn waits(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    /// All has come.
    pub fn ended(&self) {
        *self.0.lock() = None;
    }

    /// Ends when the client has paused for so long, give or take a quarter.
    async fn paused(&self, most: Duration) {
        loop {
            sleep(most / 4).await;
            let since = *self.0.lock();
            if since.is_some_and(|since| since.elapsed() >= most) {
                return;
            }
        }
    }
}

/// The proxy, with every request over HTTP/2 watched.
pub struct Watched {
    pub proxy: Arc<HttpProxy<Door>>,
    /// How long a body may pause.
    pub idle_timeout: Duration,
}

#[async_trait]
impl HttpServerApp for Watched {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !session.is_http2() {
            return self.proxy.process_new_http(session, shutdown).await;
        }
        let watch = Arc::new(BodyWatch::default());
        tokio::select! {
            biased;
            reused = BODY.scope(watch.clone(), self.proxy.process_new_http(session, shutdown)) => reused,
            // Dropped, the request resets its stream and gives up its connection to the app.
            () = watch.paused(self.idle_timeout) => None,
        }
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options.as_ref()
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options.clone()
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
