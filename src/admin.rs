//! The admin listener: whether this process lives, whether it takes requests, what it counts, and revocations by an operator.

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::BytesMut;
use http::{
    Method, Response, StatusCode, Version,
    header::{
        ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE,
    },
};
use pingora::{apps::http_app::ServeHttp, http::RequestHeader, protocols::http::ServerSession};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    body,
    head::Host,
    identity::TenantId,
    ledger::{Handle, Ledger, LedgerError, Ordered, Standing},
    log::{self, Ended},
    metrics::Metrics,
    secret::Secret,
    tenant::Tenants,
    time::Clock,
    token::{self, Whom},
};

/// Answers `/healthz`, `/readyz`, `/metrics` and `/revocations`.
#[derive(Clone)]
pub struct Admin {
    pub stopping: watch::Receiver<bool>,
    pub ledger: Arc<Ledger>,
    pub tenants: Tenants,
    pub metrics: Arc<Metrics>,
    /// Asked for by all but the health endpoints, where there is one.
    pub token: Option<Secret>,
    /// `[listen].admin_hosts`.
    pub hosts: Arc<[String]>,
    pub clock: Clock,
}

/// The body of `POST /revocations`: a tenant, and one of the others.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub tenant: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The handle in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
}

/// The endpoints of health checks.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

/// The longest order, in bytes.
const LONGEST: usize = 4 << 10;

struct Reply {
    status: StatusCode,
    kind: &'static str,
    text: String,
}

impl Reply {
    fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", text: text.into() }
    }
}

impl Admin {
    async fn answer(&self, session: &mut ServerSession) -> Reply {
        let request = session.req_header();
        let (method, path) = (request.method.clone(), request.uri.path());
        let is_read = matches!(method, Method::GET | Method::HEAD);
        if !self.is_meant(request) {
            let text = "this listener answers for addresses, localhost and listen.admin_hosts\n";
            return Reply::text(StatusCode::MISDIRECTED_REQUEST, text);
        }
        match path {
            "/healthz" if is_read => return Reply::text(StatusCode::OK, "alive\n"),
            "/readyz" if is_read => return self.readiness(),
            "/healthz" | "/readyz" => return Reply::text(StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD\n"),
            _ => {}
        }
        if !self.is_allowed(request) {
            let text = "this needs `Authorization: Bearer` with listen.admin_token\n";
            return Reply::text(StatusCode::UNAUTHORIZED, text);
        }
        match path {
            "/metrics" if is_read => Reply { status: StatusCode::OK, kind: Metrics::TYPE, text: self.metrics.text() },
            "/metrics" => Reply::text(StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD\n"),
            "/revocations" if method == Method::POST => self.revoke(session).await.unwrap_or_else(|refused| refused),
            "/revocations" => Reply::text(StatusCode::METHOD_NOT_ALLOWED, "POST\n"),
            _ => Reply::text(
                StatusCode::NOT_FOUND,
                "nothing here; try /healthz, /readyz, /metrics or POST /revocations\n",
            ),
        }
    }

    /// A ledger that is in trouble but has not lost its say leaves the portal open: an instance less would help nobody.
    fn readiness(&self) -> Reply {
        if *self.stopping.borrow() {
            return Reply::text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
        }
        match self.ledger.standing() {
            Standing::Sound => Reply::text(StatusCode::OK, "ready\n"),
            Standing::Unwritable(why) => Reply::text(
                StatusCode::OK,
                format!("ready, but nobody can sign in or out: ledger cannot be written: {why}\n"),
            ),
            Standing::Lost(why) => {
                Reply::text(StatusCode::OK, format!("ready, but nobody can sign in or out: ledger is lost: {why}\n"))
            }
            Standing::Stale(why) => Reply::text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("not ready: who was signed out is not known, the ledger is out of reach: {why}\n"),
            ),
        }
    }

    /// Whether the request names this listener. A page in the operator's browser reaches it by a name of its own that resolves
    /// to this address (DNS rebinding), and then reads the answers as its own; a browser never calls an address by a name.
    fn is_meant(&self, request: &RequestHeader) -> bool {
        let mut hosts = request.headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            // HAProxy's health checks of HTTP/1.0 have none; no browser speaks it.
            (None, _) => request.version == Version::HTTP_10 && HEALTH.contains(&request.uri.path()),
            (Some(host), None) => host.to_str().ok().and_then(Host::parse).is_some_and(|host| {
                let address = host.name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&host.name);
                address.parse::<IpAddr>().is_ok()
                    || host.name == "localhost"
                    || self.hosts.iter().any(|name| *name == host.name)
            }),
            _ => false,
        }
    }

    fn is_allowed(&self, request: &RequestHeader) -> bool {
        let Some(token) = &self.token else { return true };
        let mut given = request.headers.get_all(AUTHORIZATION).iter();
        let bearer = given.next().and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        given.next().is_none() && bearer.is_some_and(|bearer| verify_slices_are_equal(bearer, token.expose()).is_ok())
    }

    async fn revoke(&self, session: &mut ServerSession) -> Result<Reply, Reply> {
        let wrong = |text: &str| Reply::text(StatusCode::BAD_REQUEST, format!("{text}\n"));
        let headers = &session.req_header().headers;
        // A page in the operator's browser can post here, but not without saying where it comes from.
        if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") {
            return Err(Reply::text(StatusCode::FORBIDDEN, "not from a browser\n"));
        }
        if !headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
            return Err(wrong("send JSON, as Content-Type: application/json"));
        }
        let mut body = BytesMut::new();
        let read = async {
            while let Some(chunk) = session.read_request_body().await.map_err(|_| wrong("the body is broken"))? {
                if body.len() + chunk.len() > LONGEST {
                    return Err(Reply::text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n"));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(())
        };
        tokio::time::timeout(body::DEADLINE, read).await.map_err(|_| wrong("the body took too long"))??;
        let order: Order = serde_json::from_slice(&body)
            .map_err(|e| wrong(&format!("the body is no order: {e}; send {{\"tenant\": …, \"user\": …}}")))?;
        let found = self.tenants.alone(&TenantId::new(&order.tenant)).and_then(|candidates| candidates.sole());
        let Some(tenant) = found else {
            return Err(Reply::text(StatusCode::NOT_FOUND, "there is no such tenant\n"));
        };
        let now = self.clock.now();
        let whom = match &order.user {
            Some(user) => Whom::User(user.clone()),
            None => Whom::Everyone,
        };
        if let Some(Err(e)) = order.user.as_deref().map(token::check_user) {
            return Err(wrong(&format!("{e}; {}", e.remedy())));
        }
        let (ordered, ended) = match (&order.user, &order.session, order.everyone) {
            (Some(user), None, false) => (Ordered::People(&whom), Ended::User(user)),
            (None, Some(handle), false) => {
                let Some(handle) = Handle::parse(handle) else {
                    return Err(wrong("the session is none; copy it from the log line of its exchange"));
                };
                (Ordered::Session(handle), Ended::Session(handle))
            }
            (None, None, true) => (Ordered::People(&whom), Ended::Everyone),
            _ => return Err(wrong("say one of user, session or \"everyone\": true")),
        };
        let client: Option<IpAddr> = session.client_addr().and_then(|a| a.as_inet()).map(std::net::SocketAddr::ip);
        let unavailable = |text: String| Reply::text(StatusCode::SERVICE_UNAVAILABLE, text);
        let done = self.ledger.order(tenant, ordered, None, now).await;
        if let Err(e @ LedgerError::Full) = done {
            return Err(unavailable(format!("not revoked: {e}; revoke everyone, or raise ledger.max_entries\n")));
        }
        log::revoked(None, &tenant.id, ended, client);
        match done {
            Ok(()) => Ok(Reply::text(StatusCode::NO_CONTENT, "")),
            Err(e) => Err(unavailable(format!("revoked here, but not for good: {e}\n"))),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let Reply { status, kind, text } = self.answer(session).await;
        let mut response = Response::new(Vec::new());
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
        if status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, text.len().into());
            headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
        }
        match status {
            StatusCode::METHOD_NOT_ALLOWED => {
                if let Ok(methods) = text.trim_end().parse() {
                    headers.insert(ALLOW, methods);
                }
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, 5.into());
            }
            _ => {}
        }
        *response.status_mut() = status;
        *response.body_mut() = text.into_bytes();
        response
    }
}
