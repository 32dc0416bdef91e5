//! What a request fetches: a page that a person looks at, a part of a page, or data that a script reads.
//!
//! Browsers say so (Fetch Metadata Request Headers, W3C); of a client that does not, `Accept` tells:
//!
//! | | by `Sec-Fetch-Mode` and `Sec-Fetch-Dest` | without them |
//! | --- | --- | --- |
//! | a page ([`is_navigation`]) | mode `navigate` | GET or HEAD whose `Accept` prefers `text/html` |
//! | data of a script ([`is_by_script`]) | dest `empty` or `websocket`, and no page | GET or HEAD whose `Accept` names neither pages, images, media nor styles |
//!
//! What is neither is a part of a page: an image, a script, a frame, an embedded object.

use http::{HeaderMap, HeaderName, Method, header::ACCEPT};

use crate::{
    fields::{Fold, OVERRIDES},
    head::{Head, elements},
    query,
};

const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Whether a person looks at it in a browser's window or in a frame.
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    match headers.get(MODE) {
        Some(mode) => mode == "navigate",
        None => matches!(*method, Method::GET | Method::HEAD) && prefers_html(headers),
    }
}

/// Whether an answer of our own endpoints is read by a person in a browser's window, after a form too.
pub fn is_for_a_person(headers: &HeaderMap) -> bool {
    match headers.get(MODE) {
        Some(mode) => mode == "navigate",
        None => prefers_html(headers),
    }
}

/// Whether a script reads it (`fetch`, an event stream, a WebSocket), and changes nothing by that. What is not certain is not so.
pub fn is_by_script(head: &Head<'_>) -> bool {
    let said = |name: HeaderName| head.headers.contains_key(&name).then(|| head.single(name).unwrap_or_default());
    let is_data = match (said(DEST), said(MODE)) {
        (Some("empty" | "websocket"), None | Some("cors" | "no-cors" | "same-origin" | "websocket")) => true,
        (None, Some("cors" | "same-origin" | "websocket")) => true,
        (None, None) => !accepts_a_part(head.headers),
        _ => false,
    };
    matches!(*head.method, Method::GET | Method::HEAD)
        && is_data
        && !is_navigation(head.method, head.headers)
        && !is_prefetch(head)
        && !overrides_method(head)
}

/// Whether it is fetched in case a person goes there, which the person has not.
pub fn is_prefetch(head: &Head<'_>) -> bool {
    let purposes = ["sec-purpose", "purpose"].into_iter().filter_map(|name| head.single(name));
    purposes
        .map(str::to_ascii_lowercase)
        .any(|purpose| ["prefetch", "prerender", "preview"].iter().any(|look| purpose.contains(look)))
}

/// Whether an app may take it for a request of another method.
fn overrides_method(head: &Head<'_>) -> bool {
    let is_override = |name: &HeaderName| Fold::of(name.as_str()).whole().is_some_and(|fold| OVERRIDES.contains(&fold));
    head.headers.keys().any(is_override) || head.query.is_some_and(|query| query::has(query, |name, _| is_method(name)))
}

/// Whether a parameter may override the method, as `_method` does: frameworks take it in any case (`_METHOD`), as a list (`_method[]`),
/// and other characters for the underscore (PHP: `.method`).
fn is_method(parameter: &str) -> bool {
    let letters = parameter.bytes().filter(u8::is_ascii_alphabetic).map(|b| b.to_ascii_lowercase());
    letters.eq(*b"method")
}

/// What browsers accept for images, media and styles, and no script asks for by itself.
fn accepts_a_part(headers: &HeaderMap) -> bool {
    const PARTS: [&str; 5] = ["image/", "video/", "audio/", "font/", "text/css"];
    elements(headers, ACCEPT).any(|range| {
        let range = range.to_ascii_lowercase();
        PARTS.iter().any(|part| range.starts_with(part))
    })
}

/// RFC 9110 section 12.5.1, between the two kinds of answer that Vestibule gives.
fn prefers_html(headers: &HeaderMap) -> bool {
    let (mut html, mut json) = (0.0_f32, 0.0_f32);
    for range in elements(headers, ACCEPT) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        match kind.as_str() {
            "text/html" | "application/xhtml+xml" => html = html.max(weight),
            "application/json" | "application/problem+json" => json = json.max(weight),
            _ => {}
        }
    }
    html > 0.0 && html >= json
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::head::Host;

    #[test]
    fn browsers_prefer_html_and_scripts_do_not() {
        let accepts =
            |value: &'static str| prefers_html(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))]));
        assert!(accepts("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(accepts("application/json;q=0.5, text/html"));
        for script in ["*/*", "application/json", "application/json, text/html;q=0.9", "text/html;q=0", ""] {
            assert!(!accepts(script), "{script}");
        }
    }

    #[test]
    fn scripts_are_told_from_pages_parts_of_them_and_writes() {
        let by_script = |method: Method, target: &'static str, lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
            let host = Host::parse("portal.test").expect("a host");
            is_by_script(&Head { method: &method, host, path, query, headers: &headers, slashes: None })
        };
        let fetched: [&[(&str, &str)]; 9] = [
            &[],
            &[("accept", "*/*")],
            &[("accept", "text/event-stream")],
            &[("accept", "application/json, text/html;q=0.1")],
            &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("accept", "text/html")],
            &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "empty")],
            &[("sec-fetch-mode", "same-origin"), ("sec-fetch-dest", "empty")],
            &[("sec-fetch-mode", "websocket"), ("sec-fetch-dest", "websocket")],
            &[("sec-fetch-mode", "websocket")],
        ];
        for lines in fetched {
            for method in [Method::GET, Method::HEAD] {
                assert!(by_script(method, "/a", lines), "{lines:?}");
            }
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
                assert!(!by_script(method, "/a", lines), "{lines:?}");
            }
            for target in [
                "/a?b&_method=PUT",
                "/a?_METHOD=PUT",
                "/a?_Method=PUT&b",
                "/a?_method[]=PUT",
                "/a?_method%5B0%5D=PUT",
                "/a?%5fmethod",
                "/a?.method=PUT",
            ] {
                assert!(!by_script(Method::GET, target, lines), "{target}");
            }
            assert!(by_script(Method::GET, "/a?methods=PUT&_methodology&a=_method", lines));
            for name in ["x-http-method-override", "x-http-method", "x-method-override", "x_http.method_override"] {
                assert!(!by_script(Method::GET, "/a", &[lines, &[(name, "POST")]].concat()), "{name}");
            }
            assert!(!by_script(Method::GET, "/a", &[lines, &[("sec-purpose", "prefetch;prerender")]].concat()));
        }
        let others: [&[(&str, &str)]; 14] = [
            &[("accept", "text/html,*/*;q=0.8")],
            &[("accept", "image/avif,image/webp,*/*;q=0.8")],
            &[("accept", "text/css,*/*;q=0.1")],
            &[("sec-fetch-mode", "navigate")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "empty")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
            &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
            &[("sec-fetch-mode", "no-cors")],
            &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "script")],
            &[("sec-fetch-dest", "document")],
            &[("sec-fetch-dest", "frame")],
            &[("sec-fetch-dest", "object")],
            &[("sec-fetch-dest", "embed")],
            &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("sec-fetch-dest", "empty")],
        ];
        for lines in others {
            assert!(!by_script(Method::GET, "/a", lines), "{lines:?}");
        }
    }
}
