//! Answers of our own: a refusal or an outcome becomes bytes on the wire.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::REFERER};
use pingora::{http::ResponseHeader, proxy::Session as Downstream};
use serde_json::{Value, json};

use crate::{
    cookies,
    denial::{Denial, Refusal},
    exchange::{Answer, Outcome, Who},
    fetch,
    origin::{self, Origins, Preflight, Readers},
    pages::{self, Addressee, FormNames, Link, LinkKind, Page, Pages},
    visitor::Visitor,
};

/// An answer: status, headers beside those every answer of ours has, body.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// Whom a refusal is for: it decides between data, a page and a way to log in.
pub struct Audience<'a> {
    pub method: &'a Method,
    pub headers: &'a HeaderMap,
    pub visitor: Option<&'a Visitor>,
    /// Path and query asked for, without tokens.
    pub target: &'a str,
    pub manner: Manner,
    pub request_id: &'a str,
    pub pages: &'a Pages,
}

/// What the browser keeps of the app's pages is of who was here before: nothing of it is shown again by the back button
/// (Clear Site Data section 3.1).
const CLEAR: (&str, &str) = ("Clear-Site-Data", "\"cache\"");

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// A request: a person without a session is sent to log in.
    Request,
    /// An exchange: it never redirects, or a wrong secret would loop between two servers.
    Exchange,
}

impl Reply {
    fn new(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn data(self, kind: &str, value: &Value) -> Self {
        let mut reply = self.with("Content-Type", kind);
        reply.body = value.to_string().into();
        reply
    }

    fn page(self, page: Page) -> Self {
        const POLICY: &str = "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
        let policy = format!("default-src 'none'; {}; {POLICY}", page.maker.sources());
        let mut reply = self
            .with("Content-Type", "text/html; charset=utf-8")
            .with("Content-Language", page.language)
            .with("Vary", "Accept-Language")
            .with("Content-Security-Policy", policy);
        reply.body = page.html.into();
        reply
    }

    /// The answer to a refusal.
    pub fn refusal(refusal: &Refusal, audience: &Audience<'_>) -> Self {
        let denial = refusal.reason.denial();
        let spelling = denial.spelling();
        let status = StatusCode::from_u16(spelling.status).expect("the table of denials holds statuses");
        let tenant = refusal.tenant.as_deref();
        let mut login_url = tenant.and_then(|tenant| tenant.login_url.clone());
        let returns = audience.visitor.filter(|_| spelling.refresh && audience.manner == Manner::Request);
        let page = match (&refusal.return_to, returns) {
            (Some(page), _) => Some(page.clone()),
            (None, returns) => returns.map(|visitor| audience.page(visitor)),
        };
        if let (Some(login_url), Some(visitor), Some(page)) = (&mut login_url, audience.visitor, page) {
            login_url.query_pairs_mut().append_pair("return_to", &visitor.url(&page));
        }
        // In a frame that is let in from elsewhere, people are not sent round in circles where the browser keeps no cookie: they
        // choose.
        let is_framed = audience.is_frame() && tenant.is_some_and(|tenant| !tenant.origins.is_empty());
        let reply = match login_url {
            _ if !audience.is_navigation() => {
                Self::new(status).data("application/problem+json", &problem(denial, audience.request_id))
            }
            Some(login_url) if returns.is_some() && !is_framed => {
                Self::new(StatusCode::SEE_OTHER).with("Location", login_url)
            }
            login_url => {
                let mut links = Link::from(denial, login_url.as_ref(), audience.method, audience.target);
                // Who used it may be this very person, by a second click.
                if let Some(page) = refusal.return_to.as_deref().filter(|_| denial == Denial::TokenSpent) {
                    links.insert(0, Link::to(LinkKind::Continue, page));
                }
                if is_framed && returns.is_some() {
                    links.insert(0, Link { target: Some("_blank"), ..Link::to(LinkKind::OpenInTab, "") });
                }
                Self::new(status).page(audience.reader().denied(denial, tenant.map(|tenant| &tenant.id), &links))
            }
        };
        reply.with_denial_headers(refusal, denial)
    }

    fn with_denial_headers(mut self, refusal: &Refusal, denial: Denial) -> Self {
        if let Some(challenge) = denial.challenge().filter(|_| !self.status.is_redirection()) {
            self = self.with("WWW-Authenticate", challenge);
        }
        if let Some(seconds) = refusal.reason.retry_after() {
            self = self.with("Retry-After", seconds.to_string());
        }
        if let Some(methods) = refusal.reason.allowed_methods() {
            self = self.with("Allow", methods);
        }
        if let Some(cookie) = &refusal.dead_cookie {
            self = self.with("Set-Cookie", cookies::clear(cookie));
        }
        self
    }

    /// The answer to an outcome of our own endpoints.
    pub fn outcome(outcome: &Outcome, names: &FormNames<'_>, reader: &Addressee<'_>) -> Self {
        match outcome {
            Outcome::SignedIn { who, set_cookies, answer, is_switch } => {
                let mut reply = match answer {
                    Answer::Data => Self::new(StatusCode::OK).data("application/json", &session_object(who)),
                    Answer::Redirect(to) => Self::new(StatusCode::SEE_OTHER).with("Location", to),
                };
                if *is_switch {
                    reply = reply.with(CLEAR.0, CLEAR.1);
                }
                set_cookies.iter().fold(reply, |reply, cookie| reply.with("Set-Cookie", cookie))
            }
            Outcome::Ask(question) => Self::new(StatusCode::OK).page(reader.question(question, names)),
            Outcome::Known(who) => Self::new(StatusCode::OK).data("application/json", &session_object(who)),
            Outcome::SignedOut { set_cookies, answer, .. } => {
                let reply = match answer {
                    Answer::Data => Self::new(StatusCode::NO_CONTENT),
                    Answer::Redirect(to) => Self::new(StatusCode::SEE_OTHER).with("Location", to),
                };
                let reply = reply.with(CLEAR.0, CLEAR.1);
                set_cookies.iter().fold(reply, |reply, cookie| reply.with("Set-Cookie", cookie))
            }
            Outcome::Client(text) => {
                // Pages that isolate themselves (COEP) load nothing of another origin that does not say so.
                let reply = Self::new(StatusCode::OK)
                    .with("Content-Type", "text/javascript; charset=utf-8")
                    .with("Cross-Origin-Resource-Policy", "cross-origin");
                Self { body: Bytes::from_static(text.as_bytes()), ..reply }
            }
            Outcome::Revoked { .. } | Outcome::Nothing => Self::new(StatusCode::NO_CONTENT),
        }
    }

    /// The answer to a browser that asks what it may send: anything, by the method it asks for.
    pub fn preflight(preflight: &Preflight<'_>) -> Self {
        let names: Vec<&str> = preflight.headers.iter().map(http::HeaderName::as_str).collect();
        let reply = Self::new(StatusCode::NO_CONTENT)
            .with("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
            .with("Access-Control-Allow-Methods", preflight.method.as_str())
            .with("Access-Control-Max-Age", "600");
        if names.is_empty() { reply } else { reply.with("Access-Control-Allow-Headers", names.join(", ")) }
    }

    /// Says which pages may read the answer, and show it in a frame.
    pub fn for_pages(mut self, readers: Readers<'_>, frames: &Origins) -> Self {
        if readers != Readers::AsTheAppSays {
            match self.headers.iter_mut().find(|(name, _)| *name == "Vary") {
                Some((_, names)) => names.push_str(", Origin"),
                None => self = self.with("Vary", "Origin"),
            }
        }
        self.headers.extend(readers.headers());
        if let Some(directive) = frames.frame_ancestors() {
            for (_, policy) in self.headers.iter_mut().filter(|(name, _)| *name == "Content-Security-Policy") {
                *policy = format!("{}; {directive}", origin::without_frame_ancestors(policy));
            }
        }
        self
    }

    /// Writes the answer, without its body to `HEAD`. The connection stays usable.
    pub async fn send(self, downstream: &mut Downstream, request_id: &str) -> pingora::Result<()> {
        let mut head = ResponseHeader::build(self.status, Some(self.headers.len() + 6))?;
        for (name, value) in self.headers {
            head.append_header(name, value)?;
        }
        head.insert_header("Cache-Control", "no-store")?;
        head.insert_header("Referrer-Policy", "no-referrer")?;
        head.insert_header("X-Content-Type-Options", "nosniff")?;
        head.insert_header("X-Request-Id", request_id)?;
        if self.status != StatusCode::NO_CONTENT {
            head.insert_header("Content-Length", HeaderValue::from(self.body.len()))?;
        }
        let has_body = !self.body.is_empty() && downstream.req_header().method != Method::HEAD;
        downstream.write_response_header(Box::new(head), !has_body).await?;
        if has_body {
            downstream.write_response_body(Some(self.body), true).await?;
        }
        Ok(())
    }
}

impl Audience<'_> {
    /// The page to come back to: what was asked for, or where a form was sent from, for a POST is not repeated by a GET.
    fn page(&self, visitor: &Visitor) -> String {
        if matches!(*self.method, Method::GET | Method::HEAD) {
            return self.target.to_owned();
        }
        let form = self.headers.get(REFERER).and_then(|value| value.to_str().ok());
        visitor.return_path(form, |_| false)
    }

    /// Who reads a page, if there is one.
    fn reader(&self) -> Addressee<'_> {
        Addressee { pages: self.pages, headers: self.headers, request_id: self.request_id }
    }

    /// A page within another.
    fn is_frame(&self) -> bool {
        self.headers.get("sec-fetch-dest").is_some_and(|dest| dest == "iframe" || dest == "frame")
    }

    fn is_navigation(&self) -> bool {
        fetch::is_navigation(self.method, self.headers)
    }
}

/// RFC 9457.
fn problem(denial: Denial, request_id: &str) -> Value {
    let spelling = denial.spelling();
    json!({
        "type": format!("urn:vestibule:{}", spelling.code),
        "title": spelling.title,
        "status": spelling.status,
        "code": spelling.code,
        "detail": pages::explanation(denial),
        "request_id": request_id,
        "refresh": spelling.refresh,
    })
}

fn session_object(who: &Who) -> Value {
    let user = &who.identity;
    json!({
        "user": {
            "id": user.user,
            "tenant": user.tenant.as_str(),
            "roles": user.roles,
            "email": user.email,
            "name": user.name,
            "plan": user.plan,
        },
        "expires_at": who.expires_at.to_string(),
    })
}
