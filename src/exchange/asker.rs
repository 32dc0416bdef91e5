//! Who asks at our own endpoints: a person who clicked, or something that only looks; from which page, and in which frame.

use http::Method;

use super::{Outcome, Request};
use crate::{
    credential::Sealed,
    denial::{Reason, Refusal},
    fetch,
    origin::{self, ForeignOrigin, Origins, Page, Source},
    session::Place,
    tenant::Candidates,
};

impl Request<'_> {
    /// HEAD, prefetches and subresource loads spend nothing: link previews and scanners must not use up a token.
    pub(super) fn only_looks(&self) -> Result<Option<Outcome>, Refusal> {
        self.check_prefetch()?;
        if self.head.method == Method::HEAD {
            return Ok(Some(Outcome::Nothing));
        }
        match self.head.headers.contains_key("sec-fetch-dest").then(|| self.head.single("sec-fetch-dest")) {
            None | Some(Some("document" | "iframe")) => Ok(None),
            _ => Err(Reason::Request("a token is not a subresource").into()),
        }
    }

    /// Refused and not passed over: what succeeds, browsers show for the click that follows, and ask no more.
    pub(super) fn check_prefetch(&self) -> Result<(), Refusal> {
        if fetch::is_prefetch(self.head) { Err(Reason::Request("a prefetch does nothing here").into()) } else { Ok(()) }
    }

    /// A click on the portal's own site, or on a page of one of these origins, which may be another site: a `Referer` names it,
    /// that pages can leave out and not invent.
    pub(super) fn is_own_navigation(&self, origins: &Origins) -> bool {
        let origin = origin::of_referer(self.head);
        let is_of = |check: &dyn Fn(&str) -> bool| origin.as_deref().is_some_and(check);
        match (self.head.single("sec-fetch-site"), self.head.single("sec-fetch-mode")) {
            (Some(site), mode) if mode.is_none_or(|mode| mode == "navigate") => match site {
                "same-origin" | "same-site" | "none" => true,
                "cross-site" => {
                    self.head.single("sec-fetch-dest") == Some("document") && is_of(&|origin| origins.contains(origin))
                }
                _ => false,
            },
            (Some(_), _) => false,
            // Browsers that say neither still send where the link was.
            (None, _) => is_of(&|origin| self.visitor.is_own_origin(origin) || origins.contains(origin)),
        }
    }

    /// A page that is neither ours nor the tenant's may neither sign in nor out; `null` is foreign. A link may be anywhere: of a
    /// GET, `Origin` alone counts.
    pub(super) fn check_origin(&self, origins: &Origins) -> Result<(), Refusal> {
        let is_link = matches!(*self.head.method, Method::GET | Method::HEAD)
            && Source::of(self.head, self.visitor) == Source::Unsaid;
        if is_link || Page::of(self.head, self.visitor, origins) == Page::Known {
            Ok(())
        } else {
            Err(ForeignOrigin::of(self.head, self.visitor).into())
        }
    }

    /// Whether the page that is signed in is in a frame of another site: the browser says so of the frame's first request; of
    /// later ones it does not, but the cookie that came then was such a frame's. Scripts say `embed=true`.
    pub(super) fn place(&self, cookies: &[Sealed<'_>], candidates: &Candidates) -> Place {
        let says = |name, value| self.head.single(name) == Some(value);
        let is_frame = says("sec-fetch-dest", "iframe") && says("sec-fetch-site", "cross-site");
        let has_come = |place| {
            let of_place =
                |sealed: &Sealed<'_>| candidates.cookie(sealed.cookie).map(|rules| rules.place) == Some(place);
            cookies.iter().any(of_place)
        };
        let is_asked = || self.query_fields().iter().any(|(name, value)| name == "embed" && value == "true");
        if is_frame || is_asked() || (has_come(Place::Embedded) && !has_come(Place::Own)) {
            Place::Embedded
        } else {
            Place::Own
        }
    }
}
