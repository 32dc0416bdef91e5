//! The helpdesk on a listener: pages are answered whole, lists are followed as server-sent events.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{Response, StatusCode};
use pingora::{
    apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream},
    http::ResponseHeader,
    protocols::http::ServerSession,
    server::ShutdownWatch,
};
use serde_json::json;
use tokio::{sync::Semaphore, time::interval};

use super::{
    caller::Caller,
    helpdesk::{Helpdesk, List},
    web,
};

const MOST_STREAMS: usize = 64;
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The helpdesk, served.
pub struct Serving {
    helpdesk: Helpdesk,
    streams: Semaphore,
}

impl Serving {
    /// Takes the helpdesk.
    pub fn new(helpdesk: Helpdesk) -> Self {
        Self { helpdesk, streams: Semaphore::new(MOST_STREAMS) }
    }

    /// Sends the list whenever it changes, until the client goes; all of it, so that one who comes back has missed nothing, and
    /// whose page it is for, so that one who comes back as another notices.
    async fn follow(&self, mut http: ServerSession, list: &List) -> pingora::Result<()> {
        let user = Caller::of(&http.req_header().headers).map(|caller| caller.id);
        let mut changes = self.helpdesk.tickets.changes();
        let mut heartbeat = interval(HEARTBEAT);
        http.set_keepalive(None);
        let mut head = ResponseHeader::build(StatusCode::OK, None)?;
        head.insert_header("Content-Type", "text/event-stream")?;
        head.insert_header("Cache-Control", "no-store")?;
        head.insert_header("Transfer-Encoding", "chunked")?;
        http.write_response_header(Box::new(head)).await?;
        changes.mark_changed();
        loop {
            let text = tokio::select! {
                Ok(()) = changes.changed() => {
                    let news = json!({ "user": user, "html": self.helpdesk.list(list) });
                    format!("retry: 1000\ndata: {news}\n\n")
                }
                _ = heartbeat.tick() => ":\n\n".to_owned(),
                // It says nothing more; this ends when it is gone.
                _ = http.read_body_or_idle(true) => return Ok(()),
            };
            http.write_response_body(text.into(), false).await?;
        }
    }
}

#[async_trait]
impl HttpServerApp for Serving {
    async fn process_new_http(
        self: &Arc<Self>,
        mut http: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !matches!(http.read_request().await, Ok(true)) {
            return None;
        }
        http.set_keepalive((!*shutdown.borrow()).then_some(60));
        let request = http.req_header();
        let (method, path) = (request.method.clone(), request.uri.path().to_owned());
        if let Some(list) = self.helpdesk.followed(&path, &request.headers) {
            self.helpdesk.seen.note(&method, &path, &request.headers);
            let Ok(_place) = self.streams.try_acquire() else {
                return answer(http, web::answer(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "too many\n")).await;
            };
            // It ends with the client, however that is.
            let _ = self.follow(http, &list).await;
            return None;
        }
        let response = self.helpdesk.answer(&mut http).await;
        answer(http, response).await
    }
}

async fn answer(mut http: ServerSession, response: Response<Vec<u8>>) -> Option<ReusedHttpStream> {
    let (head, body) = response.into_parts();
    http.write_response_header(Box::new(head.into())).await.ok()?;
    if !body.is_empty() {
        http.write_response_body(body.into(), true).await.ok()?;
    }
    let settings = HttpPersistentSettings::for_session(&http);
    let reusable = http.finish().await.ok()?;
    reusable.map(|stream| ReusedHttpStream::from_reusable_stream(stream, settings))
}
