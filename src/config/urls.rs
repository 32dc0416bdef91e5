//! URLs of a tenant's own pages.

use url::{Host, Url};

use super::reader::Section;

/// An absolute URL that a visitor is sent to.
pub fn url(section: &Section<'_>, key: &'static str) -> Option<Url> {
    let url = section.parsed(key, "an absolute URL; write https://app.acme.example/…", |text| {
        Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    });
    if let Some(url) = &url {
        warn_of_plain_http(section, section.place(key), url.as_str());
    }
    url
}

/// Warns of pages that anyone on the way to them can write. Those of this machine have no way.
pub fn warn_of_plain_http(section: &Section<'_>, at: usize, text: &str) {
    if !text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://")) {
        return;
    }
    let is_loopback = Url::parse(text).is_ok_and(|url| match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    });
    if !is_loopback {
        section.reader.warn(
            at,
            format!("{text:?} is plain HTTP, so that anyone on the way to it can act as that page; serve it over TLS and write https://"),
        );
    }
}
