//! The customer's app: Nordwind, a back office for small shops, with a support chat whose backend signs widget tokens.

use async_trait::async_trait;
use http::{Method, Response, StatusCode, header::SET_COOKIE};
use minijinja::{context, value::Serde};
use pingora::{apps::http_app::ServeHttp, protocols::http::ServerSession};
use serde_json::json;
use url::form_urlencoded;

use super::{
    TENANT, caller,
    people::{self, PEOPLE, Person},
    tokens::{self, Signer},
    web::{self, Places},
};

const COOKIE: &str = "nordwind";
/// Where the chat leads unless the helpdesk sent the visitor here from another page.
const TICKETS: &str = "/tickets";

/// The customer's app.
pub struct Shop {
    pub places: Places,
    pub signer: Signer,
}

#[async_trait]
impl ServeHttp for Shop {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let (method, path) = (request.method.clone(), request.uri.path().to_owned());
        let person = caller::cookie(&request.headers, COOKIE).and_then(people::find);
        match (method, path.as_str()) {
            (Method::GET | Method::HEAD, "/") => {
                let has_left = web::parameter(session, "left").is_some();
                self.page(person, None, has_left)
            }
            // Vestibule's login_url: where it sends a visitor of the portal without a session.
            (Method::GET | Method::HEAD, "/support") => {
                let return_to = web::parameter(session, "return_to").unwrap_or_else(|| TICKETS.to_owned());
                self.page(person, Some(&return_to), false)
            }
            (Method::POST, "/login") => log_in(session).await,
            // Choosing somebody else without a sign-out, as two people do who share a browser.
            (Method::GET | Method::HEAD, "/people") => self.page(None, None, false),
            // Out of the portal as well, which is on another site: by way of its own sign-out, and back by `logout_url`.
            (Method::POST, "/logout") => {
                let cleared = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
                let portal_out = format!("{}/_auth/logout", self.places.portal);
                web::with(web::see_other(&portal_out), SET_COOKIE, &cleared)
            }
            (Method::POST, "/support-token") => self.support_token(person, session).await,
            (Method::POST, "/security/revoke") => self.revoke(person).await,
            (Method::GET | Method::HEAD, path) => web::asset(path.trim_start_matches('/')),
            _ => web::not_found(),
        }
    }
}

impl Shop {
    /// `sent_from` is the page of the portal that asked for a sign-in; the chat then stands open.
    fn page(&self, person: Option<&Person>, sent_from: Option<&str>, has_left: bool) -> Response<Vec<u8>> {
        let html = web::render(
            "nordwind",
            context! {
                places => Serde(&self.places), people => Serde(&PEOPLE), tenant => TENANT,
                person => Serde(person), sent_from, has_left,
                // The page brings the widget its first token.
                token => person.and_then(|person| self.signer.token(person)),
                return_to => sent_from.unwrap_or(TICKETS),
            },
        );
        web::page(html, &self.places.shop_policy())
    }

    /// The page says whom it is for: in another tab somebody else may have signed in since.
    async fn support_token(&self, person: Option<&Person>, session: &mut ServerSession) -> Response<Vec<u8>> {
        let Some(form) = web::form(session).await else {
            return web::bad_form();
        };
        let person = person.filter(|person| form.get("user").is_none_or(|user| user == person.id));
        match person.and_then(|person| self.signer.token(person)) {
            Some(token) => {
                web::data(StatusCode::OK, &json!({ "token": token, "expires_in": tokens::LIFETIME.as_secs() }))
            }
            None => web::data(StatusCode::UNAUTHORIZED, &json!({ "error": "nobody is signed in" })),
        }
    }

    /// The button in the Security card: everywhere, not only in this browser.
    async fn revoke(&self, person: Option<&Person>) -> Response<Vec<u8>> {
        let Some(person) = person else {
            return web::data(StatusCode::UNAUTHORIZED, &json!({ "error": "nobody is signed in" }));
        };
        let status = if self.signer.revoke(person).await { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
        web::data(status, &json!({ "revoked": status == StatusCode::OK }))
    }
}

async fn log_in(session: &mut ServerSession) -> Response<Vec<u8>> {
    let Some(form) = web::form(session).await else {
        return web::bad_form();
    };
    let Some(person) = form.get("user").and_then(|id| people::find(id)) else {
        return web::bad_form();
    };
    let next = match form.get("sent_from") {
        Some(from) => format!(
            "/support?{}",
            form_urlencoded::Serializer::new(String::new()).append_pair("return_to", from).finish()
        ),
        None => "/".to_owned(),
    };
    let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Lax", person.id);
    web::with(web::see_other(&next), SET_COOKIE, &cookie)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::{secret, time::Clock};

    #[test]
    fn every_state_of_the_page_renders_and_escapes() {
        let vestibule = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let signer = Signer { secret: secret::generate(), clock: Clock::system(), vestibule };
        let shop = Shop { places: Places::sample(), signer };
        for person in [None, people::find("maya"), people::find("ada")] {
            for sent_from in [None, Some("\"><script>x")] {
                let page = shop.page(person, sent_from, true);
                assert!(!String::from_utf8_lossy(page.body()).contains("<script>"));
            }
        }
        let tokens = people::find("ada").map(|ada| (shop.signer.token(ada), shop.signer.token(ada)));
        assert!(tokens.is_some_and(|(one, other)| one.is_some() && one != other));
    }
}
