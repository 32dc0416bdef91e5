//! The customer's app: Nordwind, a back office for small shops, with a support chat whose backend signs widget tokens.

use std::time::Duration;

use async_trait::async_trait;
use http::{Method, Response, StatusCode, header::SET_COOKIE};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use minijinja::{context, value::Serde};
use pingora::{apps::http_app::ServeHttp, protocols::http::ServerSession};
use serde_json::json;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{
    TENANT, WIDGET_KEY_ID,
    people::{self, PEOPLE, Person},
    web::{self, Places},
};
use crate::{secret, time::Clock};

/// Not Vestibule's name: cookies do not know ports, so that the portal on the same host gets this one too.
const COOKIE: &str = "nordwind";
const TOKEN_LIFETIME: Duration = Duration::from_secs(300);
/// Where the chat leads unless the helpdesk sent the visitor here from another page.
const TICKETS: &str = "/tickets";

/// The customer's app.
pub struct Shop {
    pub places: Places,
    /// Shared with Vestibule.
    pub secret: Zeroizing<String>,
    pub clock: Clock,
}

#[async_trait]
impl ServeHttp for Shop {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let (method, path) = (request.method.clone(), request.uri.path().to_owned());
        let person = web::cookie(&request.headers, COOKIE).and_then(people::find);
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
            (Method::POST, "/logout") => {
                let cleared = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
                web::with(web::see_other("/"), SET_COOKIE, &cleared)
            }
            (Method::POST, "/support-token") => self.support_token(person),
            (Method::GET | Method::HEAD, "/nordwind.css") => web::answer(
                StatusCode::OK,
                "text/css; charset=utf-8",
                concat!(include_str!("pages/base.css"), include_str!("pages/nordwind.css")),
            ),
            (Method::GET | Method::HEAD, "/nordwind.js") => {
                web::answer(StatusCode::OK, "text/javascript; charset=utf-8", include_str!("pages/nordwind.js"))
            }
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
                places => Serde(&self.places), people => Serde(&PEOPLE),
                person => Serde(person), sent_from, has_left,
                return_to => sent_from.unwrap_or(TICKETS),
            },
        );
        web::page(html, &self.places.portal)
    }

    fn support_token(&self, person: Option<&Person>) -> Response<Vec<u8>> {
        match person.and_then(|person| self.sign(person)) {
            Some(token) => {
                web::data(StatusCode::OK, &json!({ "token": token, "expires_in": TOKEN_LIFETIME.as_secs() }))
            }
            None => web::data(StatusCode::UNAUTHORIZED, &json!({ "error": "nobody is signed in" })),
        }
    }

    /// What a customer writes: a few lines with any JWT library.
    fn sign(&self, person: &Person) -> Option<String> {
        let now = self.clock.now();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(WIDGET_KEY_ID.to_owned());
        let claims = json!({
            "userId": person.id,
            "tenantId": TENANT,
            "userEmail": person.email,
            "userName": person.name,
            "userRoles": [person.role],
            "plan": person.plan,
            "iat": now.0,
            "exp": now.plus(TOKEN_LIFETIME).0,
            // Else two of one second were the same token, and that passes once.
            "jti": &secret::generate()[..22],
        });
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(self.secret.as_bytes())).ok()
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
    use super::*;

    #[test]
    fn every_state_of_the_page_renders_and_escapes() {
        let shop = Shop { places: Places::sample(), secret: secret::generate(), clock: Clock::system() };
        for person in [None, people::find("maya")] {
            for sent_from in [None, Some("\"><script>x")] {
                let page = shop.page(person, sent_from, true);
                assert!(!String::from_utf8_lossy(page.body()).contains("<script>"));
            }
        }
        let tokens = people::find("ada").map(|ada| (shop.sign(ada), shop.sign(ada)));
        assert!(tokens.is_some_and(|(one, other)| one.is_some() && one != other));
    }
}
