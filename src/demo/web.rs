//! What both apps of the demo share: reading cookies and forms, and making answers.

use std::{collections::HashMap, sync::LazyLock};

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, X_CONTENT_TYPE_OPTIONS,
    },
};
use minijinja::{AutoEscape, Environment};
use pingora::protocols::http::ServerSession;
use serde::Serialize;
use serde_json::Value;

/// The most bytes of a form.
const LONGEST_FORM: usize = 16 * 1024;

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, text) in
        [("nordwind", include_str!("pages/nordwind.html")), ("helpdesk", include_str!("pages/helpdesk.html"))]
    {
        templates.add_template(name, text).expect("the templates are part of the program and tested");
    }
    templates
});

/// Where the three parts are, for the strip on top of every page.
#[derive(Clone, Serialize)]
pub struct Places {
    /// Origins, as `http://127.0.0.1:4000`.
    pub shop: String,
    pub portal: String,
    pub helpdesk: String,
}

/// Renders a template.
pub fn render(template: &str, context: minijinja::Value) -> String {
    TEMPLATES
        .get_template(template)
        .and_then(|template| template.render(context))
        .expect("the templates render whatever text they are given")
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

/// A page whose forms may lead to our own origin and to one other: browsers hold the redirect after a form to that too.
pub fn page(html: String, forms_lead_to: &str) -> Response<Vec<u8>> {
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
         form-action 'self' {forms_lead_to}; base-uri 'none'; frame-ancestors 'none'"
    );
    with(answer(StatusCode::OK, "text/html; charset=utf-8", html), CONTENT_SECURITY_POLICY, &policy)
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

/// The value of a cookie.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
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

#[cfg(test)]
impl Places {
    /// Some three.
    pub fn sample() -> Self {
        let at = |port| format!("http://127.0.0.1:{port}");
        Self { shop: at(4000), portal: at(4001), helpdesk: at(4002) }
    }
}
