//! The legacy helpdesk behind Vestibule: it has no sign-in of its own and believes the identity headers.

use std::sync::Arc;

use http::{
    HeaderMap, Method, Response, StatusCode,
    header::{AUTHORIZATION, COOKIE, SET_COOKIE},
};
use minijinja::{Value, context, value::Serde};
use pingora::protocols::http::ServerSession;
use serde_json::json;

use super::{
    caller::{Caller, identity, text},
    desk_sessions::{self, DeskSessions},
    seen::Seen,
    tickets::Tickets,
    web::{self, Places},
};

/// The helpdesk.
pub struct Helpdesk {
    pub places: Places,
    pub tickets: Tickets,
    pub sessions: DeskSessions,
    pub seen: Arc<Seen>,
    /// Vestibule's configuration, for the visitor to read; the secrets are not in it.
    pub configuration: Arc<str>,
}

/// A list of tickets that a page shows and that changes under its eyes.
#[derive(Clone)]
pub enum List {
    /// Somebody's, as a page shows them.
    Own(String),
    /// Somebody's, for the board in a frame.
    Board(String),
    /// Everyone's, to be answered.
    Staff,
}

impl Helpdesk {
    /// What is answered at once.
    pub async fn answer(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let (method, path) = (request.method.clone(), request.uri.path().to_owned());
        self.seen.note(&method, &path, &request.headers);
        match (method, path.as_str()) {
            (Method::GET | Method::HEAD, "/") => web::see_other("/tickets"),
            (Method::GET | Method::HEAD, "/tickets") => self.page("tickets", &request.headers),
            (Method::GET | Method::HEAD, "/agents") => self.page("agents", &request.headers),
            (Method::GET | Method::HEAD, "/public") => self.page("public", &request.headers),
            (Method::GET | Method::HEAD, "/board") => self.board(&request.headers),
            (Method::GET | Method::HEAD, "/whoami") => {
                let user = Caller::of(&request.headers).map(|caller| caller.id);
                web::data(StatusCode::OK, &json!({ "received": identity(&request.headers), "user": user }))
            }
            (Method::POST, "/tickets" | "/board") => self.add(session, &path).await,
            (Method::POST, "/agents/reply") => self.reply(session).await,
            (Method::GET | Method::HEAD, "/public/log") => {
                let known = web::parameter(session, "after");
                let (latest, html) = self.log();
                let is_known = known.is_some_and(|known| known == latest.to_string());
                web::data(StatusCode::OK, &json!({ "latest": latest, "html": (!is_known).then_some(html) }))
            }
            (Method::GET | Method::HEAD, path) => web::asset(path.strip_prefix("/public/").unwrap_or_default()),
            _ => web::not_found(),
        }
    }

    /// Which list the page behind a path follows, if it is one that streams.
    pub fn followed(&self, path: &str, headers: &HeaderMap) -> Option<List> {
        let user = || Caller::of(headers).map(|caller| caller.id).unwrap_or_default();
        match path {
            "/tickets/events" => Some(List::Own(user())),
            "/board/events" => Some(List::Board(user())),
            "/agents/events" => Some(List::Staff),
            _ => None,
        }
    }

    /// A list as it is now.
    pub fn list(&self, list: &List) -> String {
        let (template, tickets) = match list {
            List::Own(user) => ("tickets", self.tickets.of(user)),
            List::Board(user) => ("rows", self.tickets.of(user)),
            List::Staff => ("tickets", self.tickets.all()),
        };
        web::render(template, context! { tickets => Serde(tickets), is_staff => matches!(list, List::Staff) })
    }

    fn page(&self, page: &str, headers: &HeaderMap) -> Response<Vec<u8>> {
        let caller = Caller::of(headers);
        let list = match (page, &caller) {
            ("agents", _) => Some(List::Staff),
            ("tickets", Some(caller)) => Some(List::Own(caller.id.clone())),
            _ => None,
        };
        let session = caller.as_ref().map(|caller| self.sessions.of(headers, caller));
        let (latest, log) = self.log();
        let html = web::render(
            "helpdesk",
            context! {
                places => Serde(&self.places), page,
                caller => Serde(caller),
                list => list.map(|list| Value::from_safe_string(self.list(&list))),
                identity => Serde(identity(headers)),
                request_id => text(headers, "x-request-id"),
                cookies => text(headers, COOKIE.as_str()),
                has_authorization => headers.contains_key(AUTHORIZATION),
                session => Serde(&session), latest, log => Value::from_safe_string(log),
                configuration => (page == "public").then_some(&*self.configuration),
            },
        );
        let answer = web::page(html, &self.places.portal_policy());
        match session {
            Some(session) if !session.came => {
                let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Lax", desk_sessions::COOKIE, session.id);
                web::with(answer, SET_COOKIE, &cookie)
            }
            _ => answer,
        }
    }

    /// A page for frames: small, and without the way to sign out.
    fn board(&self, headers: &HeaderMap) -> Response<Vec<u8>> {
        let caller = Caller::of(headers);
        let user = caller.as_ref().map(|caller| caller.id.clone()).unwrap_or_default();
        let rows = Value::from_safe_string(self.list(&List::Board(user)));
        let html = web::render("board", context! { caller => Serde(caller), rows });
        web::page(html, &self.places.portal_policy())
    }

    fn log(&self) -> (u64, String) {
        let (latest, lines) = self.seen.lines();
        (latest, web::render("log", context! { lines => Serde(lines) }))
    }

    async fn add(&self, session: &mut ServerSession, back_to: &str) -> Response<Vec<u8>> {
        let caller = Caller::of(&session.req_header().headers);
        let Some(form) = web::form(session).await else {
            return web::bad_form();
        };
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        // Written on a page of whoever was here before: it is not the caller's, who gets their own page.
        if let Some(caller) = caller.filter(|caller| field("as") == caller.id) {
            self.tickets.add(&caller.id, field("subject"), field("text"));
        }
        web::see_other(back_to)
    }

    async fn reply(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let Some(form) = web::form(session).await else {
            return web::bad_form();
        };
        let number = form.get("number").and_then(|number| number.parse().ok());
        if let (Some(number), Some(text)) = (number, form.get("text")) {
            self.tickets.reply(number, text);
        }
        web::see_other("/agents")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Clock;
    use http::HeaderValue;

    fn desk() -> Helpdesk {
        let seen = Arc::new(Seen::new(Clock::system()));
        let (places, sessions) = (Places::sample(), DeskSessions::default());
        Helpdesk { places, tickets: Tickets::invented(), sessions, seen, configuration: "".into() }
    }

    #[test]
    fn pages_escape_what_headers_and_tickets_say() {
        let desk = desk();
        let mut headers = HeaderMap::new();
        for name in ["x-user-id", "x-user-name", "x_user_id", "x-roles", "cookie", "x-request-id"] {
            headers.insert(name, HeaderValue::from_static("<script>x"));
        }
        desk.seen.note(&Method::GET, "/<script>", &headers);
        desk.tickets.add("<script>x", "<script>y", "<script>z");
        desk.tickets.reply(1047, "<script>w");
        for page in ["tickets", "agents", "public"] {
            let page = String::from_utf8_lossy(desk.page(page, &headers).body()).into_owned();
            assert!(!page.contains("<script>") && page.contains("<dt>x_user_id</dt>"));
        }
        let board = String::from_utf8_lossy(desk.board(&headers).body()).into_owned();
        assert!(!board.contains("<script>") && board.contains("1047"));
        assert_eq!(desk.tickets.of("<script>x").len(), 1);
    }

    #[test]
    fn a_session_of_its_own_is_whose_it_was_opened_for() {
        let desk = desk();
        let mut headers = HeaderMap::new();
        headers.insert("x-user-id", HeaderValue::from_static("maya"));
        let opened = desk.page("tickets", &headers);
        headers.insert(COOKIE, opened.headers()[SET_COOKIE].clone());
        headers.insert("x-user-id", HeaderValue::from_static("tom"));
        let page = desk.page("tickets", &headers);
        assert!(page.headers().get(SET_COOKIE).is_none());
        assert!(String::from_utf8_lossy(page.body()).contains("opened for maya"));
    }
}
