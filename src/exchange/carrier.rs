//! What a request to our own endpoints carries: one token by one carrier, one place to return to.

use http::{
    HeaderMap,
    header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, ORIGIN},
};

use super::{Answer, Request};
use crate::{
    credential::{self, CredentialError},
    denial::{Reason, Refusal},
    json::Json,
    repeats,
};

/// What an exchange was asked for.
pub(super) struct Presented {
    pub token: String,
    pub return_to: String,
    pub style: Style,
    /// Whether a person agreed, on our own page.
    pub agreed: bool,
    /// By what a form tells a second click from a second exchange.
    pub attempt: Option<String>,
}

impl Presented {
    /// How the caller is answered when all went well.
    pub fn answer(&self) -> Answer {
        match self.style {
            Style::Data => Answer::Data,
            Style::Form | Style::Navigation => Answer::Redirect(self.return_to.clone()),
        }
    }
}

/// How the caller wants to be answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Data,
    Form,
    Navigation,
}

impl Style {
    /// Whether somebody is there to be asked.
    pub fn is_for_people(self) -> bool {
        self != Self::Data
    }
}

impl Request<'_> {
    pub(super) fn presented_in_url(&self) -> Result<Presented, Refusal> {
        let fields = self.query_fields();
        let token = self.one_token(&fields)?.ok_or(Reason::Request("no token in the URL"))?;
        let return_to = self.return_path(self.one_return(&fields)?.as_deref());
        Ok(Presented { token, return_to, style: Style::Navigation, agreed: false, attempt: None })
    }

    pub(super) fn presented_in_body(&self, body: &[u8]) -> Result<Presented, Refusal> {
        let (style, mut fields) = body_fields(self.head.headers, body)?;
        let in_url = self.query_fields();
        let has_token_in_url = in_url.iter().any(|(name, _)| self.names.token_params.contains(name));
        fields.extend(in_url);
        let token = self.one_token(&fields)?.ok_or(Reason::NothingPresented)?;
        if has_token_in_url {
            return Err(Reason::Request("token of a POST in its URL").into());
        }
        let agreed = style == Style::Form
            && fields.iter().any(|(name, value)| name == "agreed" && value == "yes")
            && self.head.single(ORIGIN).is_some_and(|origin| self.visitor.is_own_origin(origin));
        let named = fields.iter().find(|(name, value)| name == "attempt" && repeats::LENGTH.contains(&value.len()));
        let attempt = named.map(|(_, value)| value.clone()).filter(|_| style == Style::Form);
        let return_to = self.return_path(self.one_return(&fields)?.as_deref());
        let style = if accepts_json(self.head.headers) { Style::Data } else { style };
        Ok(Presented { token, return_to, style, agreed, attempt })
    }

    fn one_token(&self, fields: &[(String, String)]) -> Result<Option<String>, Refusal> {
        let named = fields.iter().filter(|(name, _)| self.names.token_params.contains(name)).map(|(_, value)| value);
        let mut tokens = credential::bearer(self.head)?.map(str::to_owned).into_iter().chain(named.cloned());
        match (tokens.next(), tokens.next()) {
            (_, Some(_)) => Err(CredentialError::Ambiguous("token").into()),
            (token, None) => Ok(token),
        }
    }

    pub(super) fn one_return(&self, fields: &[(String, String)]) -> Result<Option<String>, Refusal> {
        let mut returns = fields.iter().filter(|(name, _)| self.names.return_params.contains(name));
        match (returns.next(), returns.next()) {
            (_, Some(_)) => Err(Reason::Request("more than one return_to").into()),
            (one, None) => Ok(one.map(|(_, value)| value.clone())),
        }
    }

    pub(super) fn return_path(&self, wanted: Option<&str>) -> String {
        self.visitor.return_path(wanted, |path| self.names.endpoint(path).is_some())
    }

    pub(super) fn query_fields(&self) -> Vec<(String, String)> {
        form_fields(self.head.query.unwrap_or_default().as_bytes())
    }
}

pub(super) fn accepts_json(headers: &HeaderMap) -> bool {
    let is_json = |text: &str| text.to_ascii_lowercase().contains("application/json");
    headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(is_json))
}

pub(super) fn has_json_body(headers: &HeaderMap) -> bool {
    content_type(headers).as_deref() == Some("application/json")
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().unwrap_or("?");
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// The fields of a body: JSON text members or a form. No body at all is a call by bearer, which wants data.
pub(super) fn body_fields(headers: &HeaderMap, body: &[u8]) -> Result<(Style, Vec<(String, String)>), Refusal> {
    if headers.get_all(CONTENT_TYPE).iter().count() > 1 || headers.contains_key(CONTENT_ENCODING) {
        return Err(Reason::Request("body is encoded or of two types").into());
    }
    let kind = content_type(headers);
    match kind.as_deref() {
        Some("application/json") if body.is_empty() => Ok((Style::Data, Vec::new())),
        Some("application/json") => {
            let Ok(Json::Object(members)) = Json::object(body) else {
                return Err(Reason::Request("body is not one JSON object").into());
            };
            let mut fields = Vec::with_capacity(members.len());
            for (name, value) in members {
                match value {
                    Json::Text(text) => fields.push((name.into_owned(), text.into_owned())),
                    Json::Null => {}
                    _ => return Err(Reason::Request("a member of the body is not a string").into()),
                }
            }
            Ok((Style::Data, fields))
        }
        Some("application/x-www-form-urlencoded") => Ok((Style::Form, form_fields(body))),
        _ if body.is_empty() => Ok((if kind.is_none() { Style::Data } else { Style::Form }, Vec::new())),
        _ => Err(Reason::Request("body is neither JSON nor a form").into()),
    }
}

fn form_fields(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}
