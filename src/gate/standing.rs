//! What is open already, before a new configuration: it stays open where that configuration would have admitted it.

use std::sync::Arc;

use http::{HeaderMap, Method};

use super::{Caller, Gate, Permit};
use crate::{
    denial::{Reason, Refusal},
    head::{Head, HeadError},
    origin::Source,
    route::UpstreamId,
    time::UnixTime,
    visitor::Visitor,
};

/// A request that was admitted, with what the decision was made from.
pub struct Admitted {
    pub method: Method,
    /// As it was sent.
    pub target: Vec<u8>,
    /// The pseudo-header of HTTP/2.
    pub authority: Option<String>,
    pub headers: HeaderMap,
    pub visitor: Visitor,
    pub caller: Caller,
    /// The name of the upstream it went to.
    pub upstream: Arc<str>,
    /// Whether a page of another origin may read the answer.
    pub readers: Sharing,
    /// When it was admitted.
    pub at: UnixTime,
}

/// With whom an answer is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// With the page that asked, because the tenant lists its origin.
    WithThePage,
    AsTheAppSays,
}

/// What another configuration makes of a request that was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Admitted,
    Refused,
    /// It cannot be said now.
    Open,
}

impl Admitted {
    fn head(&self) -> Result<Head<'_>, HeadError> {
        Head::parse(&self.method, &self.target, self.authority.as_deref(), &self.headers)
    }
}

impl Gate {
    /// Decides once more about a request as it came, at the time it came: as the same caller, or it is refused. What ends by
    /// time or revocation is for [`Gate::holds`]: a stream that only listens is not idle.
    ///
    /// `name_of` tells an upstream's name: what goes on is a stream of the app that it began with.
    pub fn stands<'a>(&'a self, admitted: &Admitted, name_of: impl Fn(UpstreamId) -> Option<&'a str>) -> Standing {
        let decided = admitted.head().map_err(Refusal::from).and_then(|head| {
            let route = self.find(&head)?;
            let permit = self.admit(route, &head, &admitted.visitor, admitted.at)?;
            let is_shared = self.sharing(&head, &admitted.visitor, &permit) == Sharing::WithThePage;
            Ok((permit, is_shared))
        });
        match decided {
            Ok((permit, is_shared))
                if permit.caller().is_as(&admitted.caller)
                    && name_of(permit.upstream()) == Some(&*admitted.upstream)
                    && (is_shared || admitted.readers == Sharing::AsTheAppSays) =>
            {
                Standing::Admitted
            }
            // Another time: the limit and the ledger say nothing of this request.
            Err(Refusal { reason: Reason::TooManyFailures(_) | Reason::Ledger(_), .. }) => Standing::Open,
            Ok(_) | Err(_) => Standing::Refused,
        }
    }

    /// With whom the answer to an admitted request is shared.
    pub fn sharing(&self, head: &Head<'_>, visitor: &Visitor, permit: &Permit) -> Sharing {
        let Source::Other(page) = Source::of(head, visitor) else { return Sharing::AsTheAppSays };
        let is_listed = match permit.caller() {
            Caller::Known(proof) => proof.tenant.origins.contains(page),
            Caller::Nobody { .. } => {
                let here = self.candidates(Some(permit.route()), head);
                here.is_ok_and(|here| here.origins().contains(page))
            }
        };
        if is_listed { Sharing::WithThePage } else { Sharing::AsTheAppSays }
    }
}

impl Caller {
    /// Whether an app that was told of the one need not be told otherwise for the other. A request that came from nobody may be
    /// somebody's now: the app knows less than it might.
    fn is_as(&self, before: &Self) -> bool {
        match (self, before) {
            (_, Self::Nobody { .. }) => true,
            (Self::Nobody { .. }, Self::Known(_)) => false,
            (Self::Known(now), Self::Known(before)) => {
                let (now, before) = (now.identity(), before.identity());
                now.is_same_user(before) && before.roles.iter().all(|role| now.roles.contains(role))
            }
        }
    }
}
