//! From where and under which address a request came, as far as that may be believed.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header::ORIGIN};
use ipnet::IpNet;
use url::Url;

use crate::{
    head::{Head, Host, check_path, elements, is_own},
    token,
};

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whether a browser keeps a `Secure` cookie that an answer sets (RFC 6265bis section 5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    Cookie,
    /// Plain HTTP, unless what an untrusted peer says is true: that TLS ends before it.
    Doubtful,
    /// Plain HTTP, and the host is not the browser's own machine.
    Nothing,
}

/// The far end of a request.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The client's address: the peer, or what a trusted proxy says.
    pub client: IpAddr,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// Whether the peer is a trusted proxy, so that its `X-Forwarded-*` count.
    pub via: Via,
    /// `http` or `https`, as the browser sees it.
    pub scheme: &'static str,
    /// Host and port, as the browser sees them.
    pub authority: String,
}

/// Who the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Nobody,
    TrustedProxy,
}

impl Visitor {
    /// Reads who is there. `peer` is the TCP peer and `scheme` that of its connection.
    pub fn read(head: &Head<'_>, peer: IpAddr, scheme: &'static str, trusted: &[IpNet]) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address.to_canonical()));
        let authority = head.host.authority().into_owned();
        if !is_trusted(peer) {
            return Self {
                client: peer.to_canonical(),
                peer: peer.to_canonical(),
                via: Via::Nobody,
                scheme,
                authority,
            };
        }
        let believed = elements(head.headers, FORWARDED_HOST);
        let believed = believed.last().and_then(Host::parse).map(|host| host.authority().into_owned());
        let scheme = match elements(head.headers, FORWARDED_PROTO).last() {
            Some("https") => "https",
            Some("http") => "http",
            _ => scheme,
        };
        // From the right, the first address that no proxy of ours wrote; what cannot be read ends the walk.
        let mut client = peer;
        for text in elements(head.headers, FORWARDED_FOR).collect::<Vec<_>>().into_iter().rev() {
            match text.parse() {
                Ok(address) => client = address,
                Err(_) => break,
            }
            if !is_trusted(client) {
                break;
            }
        }
        Self {
            client: client.to_canonical(),
            peer: peer.to_canonical(),
            via: Via::TrustedProxy,
            scheme,
            authority: believed.unwrap_or(authority),
        }
    }

    /// What becomes of a `Secure` cookie in the browser that sent these headers.
    pub fn keeps_secure(&self, headers: &HeaderMap) -> Keeps {
        // Browsers send Fetch Metadata to where they keep such cookies, and nowhere else: over TLS and to loopback.
        let is_told =
            ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"].iter().any(|name| headers.contains_key(*name));
        if self.scheme == "https" || is_told || self.is_loopback_host() {
            return Keeps::Cookie;
        }
        let claims_tls = || {
            elements(headers, FORWARDED_PROTO).any(|scheme| scheme.eq_ignore_ascii_case("https"))
                || elements(headers, FORWARDED).any(|hop| hop.to_ascii_lowercase().contains("proto=https"))
                || elements(headers, ORIGIN).any(|origin| origin.starts_with("https://") && self.is_own_origin(origin))
        };
        if self.via == Via::Nobody && claims_tls() { Keeps::Doubtful } else { Keeps::Nothing }
    }

    /// `localhost` and its subdomains (RFC 6761 section 6.3), 127.0.0.0/8 and ::1.
    fn is_loopback_host(&self) -> bool {
        match self.origin().as_ref().and_then(Url::host) {
            Some(url::Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name == "localhost" || name.ends_with(".localhost")
            }
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Our own origin (RFC 6454 section 4), as a URL.
    fn origin(&self) -> Option<Url> {
        Url::parse(&format!("{}://{}/", self.scheme, self.authority)).ok()
    }

    /// The host as the browser sees it, without the port: an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        let end = match self.authority.find(']') {
            Some(at) => at + 1,
            None => self.authority.find(':').unwrap_or(self.authority.len()),
        };
        &self.authority[..end]
    }

    /// The address of what was asked for, for `return_to`.
    pub fn url(&self, target: &str) -> String {
        format!("{}://{}{target}", self.scheme, self.authority)
    }

    /// Whether an `Origin` header names this very origin. A plain listener cannot see whether TLS ends before it, so there
    /// both schemes of the same host count, unless a trusted proxy has said which.
    pub fn is_own_origin(&self, origin: &str) -> bool {
        let (Ok(origin), Some(own)) = (Url::parse(origin), self.origin()) else {
            return false;
        };
        let knows_scheme = self.scheme == "https" || self.via == Via::TrustedProxy;
        let host = Host::parse(&self.authority);
        origin.host() == own.host()
            && host.is_some_and(|host| origin.port_or_known_default() == Some(host.port_or(origin.scheme())))
            && (origin.scheme() == own.scheme() || (!knows_scheme && origin.scheme() == "https"))
            && origin.path() == "/"
            && origin.query().is_none()
            && origin.username().is_empty()
    }

    /// Where to go after an exchange or a logout: a path of this origin, as a browser's URL parser reads it, else `/`.
    ///
    /// Absolute URLs of this origin are reduced to their path; anything under our own endpoints becomes `/`, so that no
    /// redirect ends in another exchange or in a logout. A token in it is cut out.
    pub fn return_path(&self, wanted: Option<&str>, is_endpoint: impl Fn(&str) -> bool) -> String {
        wanted.and_then(|wanted| self.own_path(wanted, is_endpoint)).unwrap_or_else(|| "/".into())
    }

    fn own_path(&self, wanted: &str, is_endpoint: impl Fn(&str) -> bool) -> Option<String> {
        // Browsers drop tabs and line ends and read `\` as `/`: what they would rewrite is not looked at further.
        if wanted.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return None;
        }
        let own = self.origin()?;
        let url = if wanted.starts_with('/') { own.join(wanted).ok()? } else { Url::parse(wanted).ok()? };
        let stays = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.host() == own.host()
                && url.username().is_empty()
                && url.password().is_none()
                && Host::parse(&self.authority)
                    .is_some_and(|host| url.port_or_known_default() == Some(host.port_or(url.scheme())))
        };
        let path = &url[url::Position::BeforePath..];
        // `/.//evil` parses as a path and is emitted as `//evil`: judge what is emitted.
        let emitted = own.join(path).ok()?;
        let kept = stays(&url) && stays(&emitted) && emitted.path() == url.path();
        // A page we would not show, or one that is ours behind an encoded slash, is no place to return to.
        let is_page = || check_path(url.path()).is_ok() && !is_own(url.path()) && !is_endpoint(url.path());
        (kept && is_page()).then(|| token::without_tokens(path).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor() -> Visitor {
        Visitor {
            client: IpAddr::from([127, 0, 0, 1]),
            peer: IpAddr::from([127, 0, 0, 1]),
            via: Via::TrustedProxy,
            scheme: "https",
            authority: "portal.test".into(),
        }
    }

    fn goes_to(wanted: &str) -> String {
        visitor().return_path(Some(wanted), |path| path == "/api/portal/sso")
    }

    #[test]
    fn paths_of_this_origin_are_kept_to_the_byte() {
        for path in ["/", "/a?b=c#d", "/a%20b/%C3%BC?x=%2f", "/a?u=https://evil.test/"] {
            assert_eq!(goes_to(path), path);
        }
        assert_eq!(goes_to("https://portal.test/x"), "/x");
        assert_eq!(goes_to("https://portal.test:443/x?y"), "/x?y");
    }

    #[test]
    fn everything_else_goes_home() {
        for wanted in [
            "//evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "https://evil.test/",
            "https:evil.test",
            "javascript:alert(1)",
            "https://portal.test.evil/",
            "https://portal.test@evil.test/",
            "https://user@portal.test/",
            "/\t/evil.test",
            "/.//evil.test",
            "/a/..//evil.test",
            "/%0d%0a/../..//evil.test",
            "https://portal.test:444/x",
            "tickets",
            "",
            "/_auth/logout",
            "/_AUTH/exchange?token=x",
            "/a/../_auth/logout",
            "/%5fauth/logout",
            "/_auth%2flogout",
            "/a%00",
            "ftp:",
            "a:b",
            "/api/portal/sso?token=1",
            "///evil.test",
            "/ /evil.test",
            "data:text/html,x",
            "//portal.test@evil.test",
            "http:///evil.test",
        ] {
            assert_eq!(goes_to(wanted), "/", "{wanted}");
        }
        assert_eq!(visitor().return_path(None, |_| false), "/");
    }

    #[test]
    fn a_browser_keeps_a_secure_cookie_over_tls_and_on_its_own_machine() {
        let told = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            let value = http::HeaderValue::from_static;
            pairs.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
        };
        let at = |scheme: &'static str, authority: &str, via| Visitor {
            scheme,
            authority: authority.to_owned(),
            via,
            ..visitor()
        };
        for authority in [
            "localhost",
            "localhost:8080",
            "portal.localhost",
            "localhost.",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
        ] {
            assert_eq!(at("http", authority, Via::Nobody).keeps_secure(&told(&[])), Keeps::Cookie, "{authority}");
        }
        for authority in
            ["192.0.2.2:8080", "portal.test", "localhost.test", "notlocalhost", "[2001:db8::1]", "10.0.0.1"]
        {
            let plain = at("http", authority, Via::Nobody);
            assert_eq!(plain.keeps_secure(&told(&[])), Keeps::Nothing, "{authority}");
            assert_eq!(at("https", authority, Via::Nobody).keeps_secure(&told(&[])), Keeps::Cookie, "{authority}");
            assert_eq!(plain.keeps_secure(&told(&[("sec-fetch-mode", "navigate")])), Keeps::Cookie, "{authority}");
            for claim in [("x-forwarded-proto", "HTTPS"), ("forwarded", "for=192.0.2.1;proto=https")] {
                assert_eq!(plain.keeps_secure(&told(&[claim])), Keeps::Doubtful, "{authority} {claim:?}");
                // A trusted proxy's word is in the scheme already.
                let trusted = at("http", authority, Via::TrustedProxy);
                assert_eq!(trusted.keeps_secure(&told(&[claim])), Keeps::Nothing, "{authority} {claim:?}");
            }
        }
        let posted = told(&[("origin", "https://portal.test")]);
        assert_eq!(at("http", "portal.test", Via::Nobody).keeps_secure(&posted), Keeps::Doubtful);
    }

    #[test]
    fn an_origin_is_ours_only_with_scheme_host_and_port() {
        let visitor = visitor();
        assert!(visitor.is_own_origin("https://portal.test"));
        assert!(visitor.is_own_origin("https://portal.test:443"));
        for foreign in [
            "null",
            "http://portal.test",
            "https://portal.test:444",
            "https://portal.test.evil",
            "https://evilportal.test",
            "",
        ] {
            assert!(!visitor.is_own_origin(foreign), "{foreign}");
        }
    }
}
