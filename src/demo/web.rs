//! What the apps of the demo share: reading forms, and making answers.

use std::{collections::HashMap, sync::LazyLock};

use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS},
};
use minijinja::{AutoEscape, Environment};
use pingora::protocols::http::ServerSession;
use serde::Serialize;
use serde_json::Value;

use crate::time::UnixTime;

/// The most bytes of a form.
const LONGEST_FORM: usize = 16 * 1024;

macro_rules! files {
    ($($name:literal)*) => { [$(($name, include_str!(concat!("pages/", $name)))),*] };
}

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, text) in files!["nordwind.html" "helpdesk.html" "tickets.html" "log.html" "board.html" "rows.html"] {
        let name = name.trim_end_matches(".html");
        templates.add_template(name, text).expect("the templates are part of the program and tested");
    }
    templates
});

/// Stylesheets and scripts.
const ASSETS: [(&str, &str); 10] = files![
    "base.css" "nordwind.css" "helpdesk.css" "chat.css" "board.css"
    "nordwind.js" "chat.js" "helpdesk.js" "staff.js" "live.js"
];

/// Where the parts are, for the strip on top of every page.
#[derive(Clone, Serialize)]
pub struct Places {
    /// Origins, as `http://127.0.0.1:4000`.
    pub shop: String,
    /// `http://localhost:4001`: another site than the shop's, to a browser.
    pub portal: String,
    /// Where the app listens, for the visitor to try going around Vestibule.
    pub helpdesk: String,
}

impl Places {
    /// Nordwind runs the portal's client, shows a page of it, and sends its forms there.
    pub fn shop_policy(&self) -> String {
        let (portal, socket) = (&self.portal, self.socket());
        format!(
            "default-src 'none'; style-src 'self'; script-src 'self' {portal}; connect-src 'self' {portal} {socket}; \
             img-src data:; frame-src {portal}; form-action 'self' {portal}; base-uri 'none'; frame-ancestors 'none'"
        )
    }

    /// The helpdesk's forms may lead back to Nordwind: browsers hold the redirect after a form to that too.
    pub fn portal_policy(&self) -> String {
        let (shop, socket) = (&self.shop, self.socket());
        format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self' {socket}; img-src data:; \
             form-action 'self' {shop}; base-uri 'none'; frame-ancestors 'none'"
        )
    }

    fn socket(&self) -> String {
        self.portal.replacen("http", "ws", 1)
    }
}

/// Renders a template.
pub fn render(template: &str, context: minijinja::Value) -> String {
    TEMPLATES
        .get_template(template)
        .and_then(|template| template.render(context))
        .expect("the templates render whatever text they are given")
}

/// A stylesheet or script.
pub fn asset(name: &str) -> Response<Vec<u8>> {
    let Some((_, text)) = ASSETS.iter().find(|(known, _)| *known == name) else {
        return not_found();
    };
    let kind = if name.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
    answer(StatusCode::OK, kind, *text)
}

/// An answer; a body for `HEAD` is left out by Pingora.
pub fn answer(status: StatusCode, kind: &'static str, body: impl Into<Vec<u8>>) -> Response<Vec<u8>> {
    let body = body.into();
    let length = body.len();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A page under a Content-Security-Policy.
pub fn page(html: String, policy: &str) -> Response<Vec<u8>> {
    with(answer(StatusCode::OK, "text/html; charset=utf-8", html), CONTENT_SECURITY_POLICY, policy)
}

/// JSON.
pub fn data(status: StatusCode, value: &Value) -> Response<Vec<u8>> {
    answer(status, "application/json", value.to_string())
}

/// After a form: go there.
pub fn see_other(to: &str) -> Response<Vec<u8>> {
    with(answer(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", ""), LOCATION, to)
}

/// There is no such page.
pub fn not_found() -> Response<Vec<u8>> {
    answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "nothing here\n")
}

/// A form that cannot be read.
pub fn bad_form() -> Response<Vec<u8>> {
    answer(StatusCode::BAD_REQUEST, "text/plain; charset=utf-8", "this form cannot be read\n")
}

/// Adds a header whose value we made ourselves.
pub fn with(mut response: Response<Vec<u8>>, name: HeaderName, value: &str) -> Response<Vec<u8>> {
    let value = HeaderValue::from_str(value).expect("the value is made of ports, ids and encoded text");
    response.headers_mut().append(name, value);
    response
}

/// A parameter of the query.
pub fn parameter(session: &ServerSession, name: &str) -> Option<String> {
    let query = session.req_header().uri.query()?;
    let mut fields = url::form_urlencoded::parse(query.as_bytes());
    fields.find(|(field, _)| field == name).map(|(_, value)| value.into_owned())
}

/// The fields of a posted form; `None` when it is too long or breaks off.
pub async fn form(session: &mut ServerSession) -> Option<HashMap<String, String>> {
    let mut body = Vec::new();
    while let Some(chunk) = session.read_request_body().await.ok()? {
        if body.len() + chunk.len() > LONGEST_FORM {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    let fields = url::form_urlencoded::parse(&body);
    Some(fields.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
}

/// `17:30:05`, in UTC.
pub fn time_of_day(now: UnixTime) -> String {
    let text = now.to_string();
    text.split_once('T').map_or_else(|| text.clone(), |(_, time)| time.trim_end_matches('Z').to_owned())
}

#[cfg(test)]
impl Places {
    /// Some three.
    pub fn sample() -> Self {
        let at = |port| format!("http://127.0.0.1:{port}");
        Self { shop: at(4000), portal: "http://localhost:4001".to_owned(), helpdesk: at(4002) }
    }
}
