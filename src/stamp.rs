//! What the app is told, and what it is not: the only place that writes or removes identity headers.
//!
//! Runs on the copy of the head that goes upstream, after Pingora has removed what `Connection` names, so that no client can
//! name our headers there; and again on each retry, so it only sets and removes, never adds.

use std::collections::{HashMap, HashSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderName, HeaderValue,
    header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, REFERER, SEC_WEBSOCKET_PROTOCOL},
};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use pingora::http::RequestHeader;

use crate::{
    config::{Encoding, IdentityHeaders},
    cookies::{self, Pair},
    credential::SUBPROTOCOL,
    fields::{self, Fold, OVERRIDES, folded},
    gate::{Caller, Permit},
    head::elements,
    identity::Identity,
    leftovers::{self, AppCookies},
    loops, query,
    route::{Bearer, Route},
    tenant::Tenants,
    token,
    visitor::{Via, Visitor},
};

/// What is stamped, for one configuration.
pub struct Stamp {
    headers: IdentityHeaders,
    /// Folded names that are nobody's to send: identity, `strip`, and what belongs to the hop and Pingora leaves.
    forbidden: HashSet<String>,
    /// By their folds, the names that a trusted proxy may send, and the one spelling of each.
    forwarded: HashMap<String, String>,
    /// Names of our cookies: all tenants' sessions, and notes.
    cookies: HashSet<String>,
    /// Whether some route is for some methods only, so that a method override could evade it.
    methods_matter: bool,
    /// Parameters that carry tokens anywhere: cut out of what the app sees where the value is shaped like a token.
    token_params: HashSet<String>,
}

impl Stamp {
    /// Collects the names of a configuration.
    pub fn new<'a>(
        headers: &IdentityHeaders,
        forwarded: &[String],
        tenants: &Tenants,
        token_params: &[String],
        routes: impl IntoIterator<Item = &'a Route>,
    ) -> Self {
        let routes: Vec<&Route> = routes.into_iter().collect();
        let of_routes = routes.iter().flat_map(|route| [&route.handoff_param, &route.bearer_param]).flatten();
        let written = fields::WRITTEN.map(|(fold, spelled)| (fold.to_owned(), spelled.to_owned()));
        let named = forwarded.iter().map(|spelled| (folded(spelled.as_bytes()), spelled.clone()));
        Self {
            methods_matter: routes.iter().any(|route| route.pattern.methods.is_some()),
            forbidden: headers
                .all()
                .into_iter()
                .chain(&headers.strip)
                .map(|name| folded(name))
                .chain(["proxy".to_owned()])
                .collect(),
            forwarded: written.into_iter().chain(named).collect(),
            cookies: tenants
                .iter()
                .flat_map(|tenant| tenant.sessions.cookies())
                .map(|cookie| cookie.name.clone())
                .chain(leftovers::NAMES.map(str::to_owned))
                .collect(),
            token_params: token_params.iter().chain(of_routes).cloned().collect(),
            headers: headers.clone(),
        }
    }

    /// Whether a cookie is one of ours: of our sessions, or a note of whose the app's cookies are.
    pub fn is_ours(&self, name: &[u8]) -> bool {
        std::str::from_utf8(name).is_ok_and(|name| self.cookies.contains(name))
    }

    /// Makes the head that the app sees out of the client's: `target` is path and query as decided on,
    /// without tokens.
    pub fn request(
        &self,
        request: &mut RequestHeader,
        permit: &Permit,
        visitor: &Visitor,
        target: &str,
        app_cookies: Option<&AppCookies>,
        request_id: &str,
    ) -> pingora::Result<()> {
        self.strip(request, visitor.via);
        self.remove_credentials(request, permit.route(), target)?;
        self.remove_cookies(request, app_cookies)?;
        self.describe_visitor(request, visitor, request_id)?;
        match permit.caller() {
            Caller::Known(proof) => self.identify(request, proof.identity()),
            Caller::Nobody { .. } => Ok(()),
        }
    }

    /// Removes every header an app could take for one of ours, or for what nobody has verified, whatever its spelling.
    fn strip(&self, request: &mut RequestHeader, via: Via) {
        let doomed: Vec<HeaderName> =
            request.headers.keys().filter(|name| !self.may_pass(name.as_str(), via)).cloned().collect();
        for name in doomed {
            request.remove_header(&name);
        }
    }

    fn may_pass(&self, name: &str, via: Via) -> bool {
        let fold = Fold::of(name);
        if let Some(whole) = fold.whole() {
            if self.forbidden.contains(whole) || (self.methods_matter && OVERRIDES.contains(&whole)) {
                return false;
            }
            // A trusted proxy spells it properly; `X_Forwarded_For` and `X--Forwarded-For` are someone else's.
            if let Some(spelled) = self.forwarded.get(whole) {
                return via == Via::TrustedProxy && name == spelled;
            }
        }
        fields::claim(fold.start()).is_none()
    }

    fn remove_credentials(&self, request: &mut RequestHeader, route: &Route, target: &str) -> pingora::Result<()> {
        let is_bearer = |value: &HeaderValue| {
            value.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
        };
        if route.bearer == Bearer::Removed && request.headers.get_all(AUTHORIZATION).iter().any(is_bearer) {
            request.remove_header(&AUTHORIZATION);
        }
        // Also turns absolute-form into origin-form.
        if request.raw_path() != target.as_bytes() {
            request.set_raw_path(target.as_bytes())?;
        }
        self.clean_referer(request)?;
        remove_bearer_subprotocols(request)
    }

    /// A page that was opened with a token may name it to the next one. What no browser sends is not passed on at all.
    fn clean_referer(&self, request: &mut RequestHeader) -> pingora::Result<()> {
        let mut lines = request.headers.get_all(REFERER).iter();
        let url = match (lines.next(), lines.next()) {
            (None, _) => return Ok(()),
            (Some(line), None) => line.to_str().ok(),
            (Some(_), Some(_)) => None,
        };
        let Some(url) = url else {
            request.remove_header(&REFERER);
            return Ok(());
        };
        let page = url.split('#').next().unwrap_or_default();
        // Another page's address is nobody's to change but for what must not be in it, wherever it stands.
        let kept = self.without_tokens(page);
        let kept = kept.as_deref().unwrap_or(page);
        if token::has_jwt(kept) {
            request.remove_header(&REFERER);
            return Ok(());
        }
        if kept.len() == url.len() { Ok(()) } else { request.insert_header("Referer", kept.to_owned()) }
    }

    /// A URL, or path and query, without the tokens in parameters that carry tokens somewhere; `None` when it has none. A value that
    /// is not shaped like a token is the app's own.
    pub fn without_tokens(&self, url: &str) -> Option<String> {
        let (before, query) = url.split_once('?')?;
        let is_token = |name: &str, value: &str| self.token_params.contains(name) && token::has_jwt(value);
        if !query::has(query, is_token) {
            return None;
        }
        Some(match query::without(query, is_token) {
            Some(kept) => format!("{before}?{kept}"),
            None => before.to_owned(),
        })
    }

    /// Other cookies arrive byte for byte, in one header (RFC 9113 section 8.2.3).
    fn remove_cookies(&self, request: &mut RequestHeader, app_cookies: Option<&AppCookies>) -> pingora::Result<()> {
        let fields = request.headers.get_all(COOKIE).iter().count();
        let is_unwanted = |pair: &Pair<'_>| {
            self.is_ours(pair.read_name()) || app_cookies.is_some_and(|app_cookies| app_cookies.is_unwanted(pair))
        };
        let has_unwanted = |headers: &HeaderMap| cookies::pairs(headers).any(|pair| is_unwanted(&pair));
        if fields == 0 || (fields == 1 && !has_unwanted(&request.headers)) {
            return Ok(());
        }
        let kept = cookies::without(&request.headers, is_unwanted);
        request.remove_header(&COOKIE);
        if !kept.is_empty()
            && let Ok(value) = HeaderValue::from_bytes(&kept)
        {
            request.insert_header("Cookie", value)?;
        }
        Ok(())
    }

    fn describe_visitor(
        &self,
        request: &mut RequestHeader,
        visitor: &Visitor,
        request_id: &str,
    ) -> pingora::Result<()> {
        let chain: Vec<&str> =
            request.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
        let peer = visitor.peer.to_string();
        let chain = if chain.is_empty() { peer } else { format!("{}, {peer}", chain.join(", ")) };
        request.insert_header("X-Forwarded-For", chain)?;
        request.insert_header("X-Forwarded-Proto", visitor.scheme)?;
        request.insert_header("X-Forwarded-Host", visitor.authority.as_str())?;
        request.insert_header("X-Request-Id", request_id)?;
        request.insert_header("CDN-Loop", loops::passed(&request.headers))
    }

    fn identify(&self, request: &mut RequestHeader, identity: &Identity) -> pingora::Result<()> {
        let encoding = self.headers.encoding;
        request.insert_header(self.headers.user.clone(), encoded(&identity.user, encoding)?)?;
        request.insert_header(self.headers.tenant.clone(), identity.tenant.as_str())?;
        request.insert_header(self.headers.roles.clone(), joined(&identity.roles, encoding)?)?;
        let profile = [
            (&self.headers.email, &identity.email),
            (&self.headers.name, &identity.name),
            (&self.headers.plan, &identity.plan),
        ];
        for (header, value) in profile {
            if let Some(value) = value {
                request.insert_header(header.clone(), encoded(value, encoding)?)?;
            }
        }
        Ok(())
    }
}

/// Sends the Host the upstream wants.
pub fn host(request: &mut RequestHeader, host: &str) -> pingora::Result<()> {
    request.insert_header(HOST, host)
}

fn remove_bearer_subprotocols(request: &mut RequestHeader) -> pingora::Result<()> {
    // What is not text is no list of protocols (RFC 6455 section 4.1), and a token in it would not be found.
    if request.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().any(|line| line.to_str().is_err()) {
        request.remove_header(&SEC_WEBSOCKET_PROTOCOL);
        return Ok(());
    }
    let protocols: Vec<&str> = elements(&request.headers, SEC_WEBSOCKET_PROTOCOL).collect();
    if !protocols.iter().any(|protocol| protocol.starts_with(SUBPROTOCOL)) {
        return Ok(());
    }
    let kept: Vec<&str> = protocols.into_iter().filter(|protocol| !protocol.starts_with(SUBPROTOCOL)).collect();
    let kept = kept.join(", ");
    request.remove_header(&SEC_WEBSOCKET_PROTOCOL);
    if kept.is_empty() { Ok(()) } else { request.insert_header("Sec-WebSocket-Protocol", kept) }
}

/// What percent-encoding leaves alone: printable ASCII but `%`, so that decoding is always safe.
const UNPRINTABLE: &AsciiSet = &CONTROLS.add(b'%');
const UNPRINTABLE_AND_COMMA: &AsciiSet = &UNPRINTABLE.add(b',');

fn joined(roles: &[String], encoding: Encoding) -> pingora::Result<HeaderValue> {
    let one = |role: &String| match encoding {
        Encoding::Percent => percent_encode(role.as_bytes(), UNPRINTABLE_AND_COMMA).to_string().into_bytes(),
        Encoding::Utf8 => role.replace('%', "%25").replace(',', "%2C").into_bytes(),
        Encoding::QuotedPrintable => quoted_printable(role, b","),
        // Base64 has no comma.
        Encoding::Base64 => spelled(role, encoding),
    };
    let roles: Vec<Vec<u8>> = roles.iter().map(one).collect();
    value(&roles.join(&b","[..]))
}

fn encoded(text: &str, encoding: Encoding) -> pingora::Result<HeaderValue> {
    value(&spelled(text, encoding))
}

fn value(bytes: &[u8]) -> pingora::Result<HeaderValue> {
    HeaderValue::from_bytes(bytes)
        .map_err(|_| pingora::Error::explain(pingora::ErrorType::InternalError, "identity is no header value"))
}

/// One spelling for each text and one text for each spelling: an app that decodes can never be led to another user.
fn spelled(text: &str, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Percent => percent_encode(text.as_bytes(), UNPRINTABLE).to_string().into_bytes(),
        Encoding::Utf8 => text.as_bytes().to_vec(),
        Encoding::QuotedPrintable => quoted_printable(text, b""),
        // Always: lenient decoders (Node, Python) make another text of almost any.
        Encoding::Base64 => STANDARD.encode(text).into_bytes(),
    }
}

/// RFC 2045 section 6.7 without line breaks; `also` is encoded too.
fn quoted_printable(text: &str, also: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if (b' '..=b'~').contains(&byte) && byte != b'=' && !also.contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("={byte:02X}").as_bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, encoding: Encoding) -> String {
        String::from_utf8(spelled(text, encoding)).expect("text")
    }

    #[test]
    fn values_beyond_printable_ascii_are_encoded_so_that_decoding_is_safe() {
        assert_eq!(text("maya@acme.example", Encoding::Percent), "maya@acme.example");
        assert_eq!(text("Zoë 100%", Encoding::Percent), "Zo%C3%AB 100%25");
        assert_eq!(text("Zoë=", Encoding::QuotedPrintable), "Zo=C3=AB=3D");
        assert_eq!(text("Zoë", Encoding::Base64), "Wm/Dqw==");
        for plain in ["maya", "tom ", "a", "maya@acme.example", "Wm/Dqw=="] {
            assert_eq!(STANDARD.decode(text(plain, Encoding::Base64)).expect("base64"), plain.as_bytes());
        }
        assert_eq!(text("Zoë", Encoding::Utf8), "Zoë");
    }

    #[test]
    fn a_comma_in_a_role_does_not_make_two() {
        let roles = ["agent,admin".to_owned(), "user".to_owned()];
        for encoding in [Encoding::Percent, Encoding::Utf8, Encoding::Base64, Encoding::QuotedPrintable] {
            let value = joined(&roles, encoding).expect("value");
            assert_eq!(value.as_bytes().iter().filter(|b| **b == b',').count(), 1, "{encoding:?}");
        }
        assert_eq!(joined(&roles, Encoding::Percent).expect("value"), "agent%2Cadmin,user");
        for encoding in [Encoding::Percent, Encoding::Base64] {
            assert_eq!(joined(&[], encoding).expect("value"), "");
        }
    }
}
