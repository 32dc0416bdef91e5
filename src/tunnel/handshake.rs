//! The opening handshake of a WebSocket (RFC 6455 section 4): which request is one, and which answer opens a tunnel.
//!
//! An app whose status a client can choose answers 101 without speaking the protocol. After it the client would write requests
//! of its own to the app, so the status alone opens nothing: the answer must prove that the app has read this key.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, Method, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
    },
};
use pingora::http::{RequestHeader, ResponseHeader};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::head::elements;

/// Bytes of a key (RFC 6455 section 4.1).
const KEY: usize = 16;

/// What the client asked the app for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The one `Sec-WebSocket-Accept` that answers the key.
    accept: String,
    protocols: Vec<String>,
    extensions: Vec<String>,
}

impl Handshake {
    /// Reads a request; `None` where anything of a handshake is missing, there twice, or in another form.
    pub fn of(request: &RequestHeader) -> Option<Self> {
        let headers = &request.headers;
        let is_asked = request.method == Method::GET && request.version == Version::HTTP_11 && switches(headers);
        let is_version = only(headers, SEC_WEBSOCKET_VERSION) == Some("13");
        let key = only(headers, SEC_WEBSOCKET_KEY).filter(|key| is_key(key))?;
        (is_asked && is_version).then(|| Self {
            accept: derive_accept_key(key.as_bytes()),
            protocols: elements(headers, SEC_WEBSOCKET_PROTOCOL).map(str::to_owned).collect(),
            extensions: extensions(headers).map(str::to_owned).collect(),
        })
    }

    /// Whether an answer of status 101 opens the tunnel that was asked for; why it does not, for the log.
    pub fn opened_by(&self, answer: &ResponseHeader) -> Result<(), &'static str> {
        let headers = &answer.headers;
        if answer.status != StatusCode::SWITCHING_PROTOCOLS || answer.version != Version::HTTP_11 {
            return Err("101 is not of HTTP/1.1");
        }
        if !switches(headers) {
            return Err("101 does not switch to websocket");
        }
        if only(headers, SEC_WEBSOCKET_ACCEPT) != Some(self.accept.as_str()) {
            return Err("101 does not accept the key that was sent");
        }
        // RFC 6455 section 4.1, points 5 and 6: a client fails the connection over what it did not offer.
        if headers.contains_key(SEC_WEBSOCKET_PROTOCOL)
            && !only(headers, SEC_WEBSOCKET_PROTOCOL).is_some_and(|chosen| self.protocols.iter().any(|p| p == chosen))
        {
            return Err("101 chooses a protocol that was not offered");
        }
        if !extensions(headers).all(|chosen| self.extensions.iter().any(|offered| offered == chosen)) {
            return Err("101 chooses an extension that was not offered");
        }
        // RFC 9110 section 8.6: a 101 has no body. Some servers say so by a length of 0.
        let has_body = headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0");
        if has_body || headers.contains_key(TRANSFER_ENCODING) {
            return Err("101 has a body");
        }
        Ok(())
    }
}

/// Exactly one `Upgrade`, to `websocket`, and a `Connection` that names it.
fn switches(headers: &HeaderMap) -> bool {
    only(headers, UPGRADE).is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
        && elements(headers, CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade"))
}

/// The value of a header that stands on exactly one line.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut lines = headers.get_all(name).into_iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok(),
        _ => None,
    }
}

/// 16 bytes in base64 with its padding, in the one form an encoder writes.
fn is_key(key: &str) -> bool {
    STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == KEY)
}

/// The names of extensions, without their parameters.
fn extensions(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = elements(headers, SEC_WEBSOCKET_EXTENSIONS);
    all.filter_map(|extension| extension.split(';').next()).map(str::trim).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and its answer in RFC 6455 section 1.3.
    const SAMPLE: (&str, &str) = ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

    fn request(fields: &[(&'static str, &str)]) -> Option<Handshake> {
        let mut request = RequestHeader::build("GET", b"/", None).expect("valid");
        request.set_version(Version::HTTP_11);
        for (name, value) in fields {
            request.append_header(*name, *value).expect("valid");
        }
        Handshake::of(&request)
    }

    fn asking<'a>(key: &'a str, version: &'a str) -> Vec<(&'static str, &'a str)> {
        vec![
            ("Connection", "keep-alive, Upgrade"),
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Key", key),
            ("Sec-WebSocket-Version", version),
            ("Sec-WebSocket-Protocol", "chat, superchat"),
            ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ]
    }

    #[test]
    fn a_handshake_has_version_13_and_a_key_of_16_bytes_each_once() {
        assert!(request(&asking(SAMPLE.0, "13")).is_some());
        for (key, version) in [
            (SAMPLE.0, "8"),
            (SAMPLE.0, "013"),
            (SAMPLE.0, "13, 8"),
            ("", "13"),
            ("x", "13"),
            ("dGhlIHNhbXBsZSBub25jZQ", "13"),
            ("dGhlIHNhbXBsZSBub25jZR==", "13"),
            ("dGhlIHNhbXBsZSBub25jZSE=", "13"),
            ("dGhlIHNhbXBsZSBub25j", "13"),
            ("dGhlIHNhbXBsZSBub25jZ_==", "13"),
            ("dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==", "13"),
        ] {
            assert_eq!(request(&asking(key, version)), None, "{key:?} {version:?}");
        }
        for more in [
            ("Upgrade", "websocket"),
            ("Upgrade", "h2c"),
            ("Sec-WebSocket-Key", SAMPLE.0),
            ("Sec-WebSocket-Version", "13"),
        ] {
            let mut fields = asking(SAMPLE.0, "13");
            fields.push(more);
            assert_eq!(request(&fields), None, "{more:?} once more");
        }
    }

    #[test]
    fn only_the_answer_to_this_very_key_opens_a_tunnel() {
        let handshake = request(&asking(SAMPLE.0, "13")).expect("a handshake");
        let good = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Accept", SAMPLE.1)];
        let opened = |status: u16, version: Version, fields: &[(&'static str, &str)]| {
            let mut answer = ResponseHeader::build(status, None).expect("valid");
            answer.set_version(version);
            for (name, value) in fields {
                answer.append_header(*name, *value).expect("valid");
            }
            handshake.opened_by(&answer).is_ok()
        };
        let with = |more: (&'static str, &'static str)| [&good[..], &[more]].concat();
        assert!(opened(101, Version::HTTP_11, &good));
        assert!(opened(101, Version::HTTP_11, &with(("Sec-WebSocket-Protocol", "chat"))));
        assert!(opened(101, Version::HTTP_11, &with(("Sec-WebSocket-Extensions", "permessage-deflate"))));
        assert!(opened(101, Version::HTTP_11, &with(("Content-Length", "0"))));
        assert!(!opened(200, Version::HTTP_11, &good));
        assert!(!opened(101, Version::HTTP_10, &good));
        for missing in 0..good.len() {
            let fields: Vec<_> = good.iter().copied().enumerate().filter(|(at, _)| *at != missing).collect();
            let fields: Vec<_> = fields.into_iter().map(|(_, field)| field).collect();
            assert!(!opened(101, Version::HTTP_11, &fields), "without {:?}", good[missing].0);
        }
        for more in [
            ("Upgrade", "websocket"),
            ("Upgrade", "h2c"),
            ("Sec-WebSocket-Accept", SAMPLE.1),
            ("Sec-WebSocket-Accept", "x"),
            ("Sec-WebSocket-Protocol", "other"),
            ("Sec-WebSocket-Protocol", "chat, superchat"),
            ("Sec-WebSocket-Protocol", "Chat"),
            ("Sec-WebSocket-Protocol", ""),
            ("Sec-WebSocket-Extensions", "x-other"),
            ("Content-Length", "5"),
            ("Transfer-Encoding", "chunked"),
        ] {
            assert!(!opened(101, Version::HTTP_11, &with(more)), "{more:?}");
        }
        for (name, value) in [
            ("Upgrade", "websocket, h2c"),
            ("Upgrade", "h2c"),
            ("Connection", "keep-alive"),
            ("Sec-WebSocket-Accept", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo"),
        ] {
            let fields: Vec<_> =
                good.iter().map(|field| if field.0 == name { (name, value) } else { *field }).collect();
            assert!(!opened(101, Version::HTTP_11, &fields), "{name}: {value}");
        }
    }
}
