//! Upstreams that lead back to Vestibule: a request that has passed too often is refused, or one would become thousands.
//!
//! Each pass leaves our name in `CDN-Loop` (RFC 8586), which is made for this and means nothing else to anybody.

use http::{HeaderMap, HeaderName};

use crate::{denial::Reason, head::elements};

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Our name there.
const NAME: &str = "vestibule";

/// How often a request may pass: one Vestibule may stand before another.
const MOST: usize = 5;

/// Refuses a request that has passed too often. A client that claims so has its own request refused, and no other.
pub fn check(headers: &HeaderMap) -> Result<(), Reason> {
    // Parameters may stand after a name.
    let name = |element: &str| element.split(';').next().unwrap_or_default().trim_end().to_owned();
    let passes = elements(headers, CDN_LOOP).filter(|element| name(element).eq_ignore_ascii_case(NAME)).count();
    if passes >= MOST { Err(Reason::Loop(passes)) } else { Ok(()) }
}

/// The value that says that it has passed once more.
pub fn passed(headers: &HeaderMap) -> String {
    let before = headers.get_all(CDN_LOOP).iter().filter_map(|value| value.to_str().ok());
    before.chain([NAME]).collect::<Vec<_>>().join(", ")
}
