//! The legacy helpdesk behind Vestibule: it has no sign-in of its own and believes the identity headers.

use std::sync::Arc;

use async_trait::async_trait;
use http::{
    HeaderMap, Method, Response, StatusCode,
    header::{AUTHORIZATION, COOKIE},
};
use minijinja::{context, value::Serde};
use percent_encoding::percent_decode_str;
use pingora::{apps::http_app::ServeHttp, protocols::http::ServerSession};
use serde::Serialize;
use serde_json::json;

use super::{
    tickets::Tickets,
    web::{self, Places},
};
use crate::config::folded;

/// The helpdesk.
pub struct Helpdesk {
    pub places: Places,
    pub tickets: Tickets,
    /// Vestibule's configuration, for the visitor to read; the secrets are not in it.
    pub configuration: Arc<str>,
}

/// A header as it arrived.
#[derive(Serialize)]
struct Received {
    name: String,
    value: String,
}

/// Who is calling, if the headers say so.
#[derive(Serialize)]
struct Caller {
    id: String,
    /// Decoded, for display.
    name: String,
    roles: Vec<String>,
}

const IDENTITY: [&str; 6] = ["X-User-Id", "X-Tenant", "X-Roles", "X-User-Email", "X-User-Name", "X-Plan"];

#[async_trait]
impl ServeHttp for Helpdesk {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let (method, path) = (request.method.clone(), request.uri.path().to_owned());
        match (method, path.as_str()) {
            (Method::GET | Method::HEAD, "/") => web::see_other("/tickets"),
            (Method::GET | Method::HEAD, "/tickets") => self.page("tickets", &request.headers),
            (Method::GET | Method::HEAD, "/agents") => self.page("agents", &request.headers),
            (Method::GET | Method::HEAD, "/public") => self.page("public", &request.headers),
            (Method::GET | Method::HEAD, "/whoami") => {
                web::data(StatusCode::OK, &json!({ "received": identity(&request.headers) }))
            }
            (Method::POST, "/tickets") => self.add(session).await,
            (Method::GET | Method::HEAD, "/public/helpdesk.css") => web::answer(
                StatusCode::OK,
                "text/css; charset=utf-8",
                concat!(include_str!("pages/base.css"), include_str!("pages/helpdesk.css")),
            ),
            (Method::GET | Method::HEAD, "/public/helpdesk.js") => {
                web::answer(StatusCode::OK, "text/javascript; charset=utf-8", include_str!("pages/helpdesk.js"))
            }
            _ => web::not_found(),
        }
    }
}

impl Helpdesk {
    fn page(&self, page: &str, headers: &HeaderMap) -> Response<Vec<u8>> {
        let caller = caller(headers);
        let tickets = match (page, &caller) {
            ("agents", _) => self.tickets.all(),
            ("tickets", Some(caller)) => self.tickets.of(&caller.id),
            _ => Vec::new(),
        };
        let html = web::render(
            "helpdesk",
            context! {
                places => Serde(&self.places), page,
                caller => Serde(caller), tickets => Serde(tickets),
                identity => Serde(identity(headers)),
                request_id => text(headers, "x-request-id"),
                cookies => text(headers, COOKIE.as_str()),
                has_authorization => headers.contains_key(AUTHORIZATION),
                configuration => (page == "public").then_some(&*self.configuration),
            },
        );
        web::page(html, &self.places.shop)
    }

    async fn add(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let caller = caller(&session.req_header().headers);
        let Some(form) = web::form(session).await else {
            return web::bad_form();
        };
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if let Some(caller) = caller {
            self.tickets.add(&caller.id, field("subject"), field("text"));
        }
        web::see_other("/tickets")
    }
}

/// Every header that an app might take for one of identity, however it is spelt: a forged one that came through would show.
fn identity(headers: &HeaderMap) -> Vec<Received> {
    let mut rows = Vec::new();
    for spelling in IDENTITY {
        let fold = folded(spelling.as_bytes());
        let all = headers.iter().filter(|(name, _)| folded(name.as_str().as_bytes()) == fold);
        rows.extend(all.map(|(name, value)| Received {
            name: if name.as_str().eq_ignore_ascii_case(spelling) { spelling.to_owned() } else { name.to_string() },
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        }));
    }
    rows
}

fn caller(headers: &HeaderMap) -> Option<Caller> {
    let decoded = |text: String| percent_decode_str(&text).decode_utf8_lossy().into_owned();
    let id = text(headers, "x-user-id").map(decoded)?;
    let roles = text(headers, "x-roles").unwrap_or_default();
    Some(Caller {
        name: text(headers, "x-user-name").map_or_else(|| id.clone(), decoded),
        roles: roles.split(',').filter(|role| !role.is_empty()).map(|role| decoded(role.to_owned())).collect(),
        id,
    })
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn pages_escape_what_headers_and_tickets_say() {
        let desk = Helpdesk { places: Places::sample(), tickets: Tickets::invented(), configuration: "".into() };
        let mut headers = HeaderMap::new();
        for name in ["x-user-id", "x-user-name", "x_user_id", "x-roles", "cookie", "x-request-id"] {
            headers.insert(name, HeaderValue::from_static("<script>x"));
        }
        desk.tickets.add("<script>x", "<script>y", "<script>z");
        for page in ["tickets", "agents", "public"] {
            let page = String::from_utf8_lossy(desk.page(page, &headers).body()).into_owned();
            assert!(!page.contains("<script>") && page.contains("<dt>x_user_id</dt>"));
        }
        assert_eq!(desk.tickets.of("<script>x").len(), 1);
    }
}
