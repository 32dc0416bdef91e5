//! What is open already, before a new configuration: it stays open where that configuration would have admitted it.

use http::{HeaderMap, Method};

use super::{Caller, Gate};
use crate::{
    denial::{Reason, Refusal},
    head::{Head, HeadError},
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
    /// When it was admitted.
    pub at: UnixTime,
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
    pub fn stands(&self, admitted: &Admitted) -> Standing {
        let decided = admitted.head().map_err(Refusal::from).and_then(|head| {
            let route = self.find(&head)?;
            self.admit(route, &head, &admitted.visitor, admitted.at)
        });
        match decided {
            Ok(permit) if permit.caller().is_as(&admitted.caller) => Standing::Admitted,
            // Another time: the limit and the ledger say nothing of this request.
            Err(Refusal { reason: Reason::TooManyFailures(_) | Reason::Ledger(_), .. }) => Standing::Open,
            Ok(_) | Err(_) => Standing::Refused,
        }
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
