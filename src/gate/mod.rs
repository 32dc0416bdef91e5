//! The decision about a request: head in, permit or refusal out. No clock, no sockets, no Pingora.
//!
//! In this order; the first that fails is the refusal:
//!
//! 1. **Head**: read without ambiguity ([`Head::parse`](crate::head::Head::parse)).
//! 2. **Own endpoints**: `/_auth/…` never comes here ([`exchange`](crate::exchange) answers it).
//! 3. **Route**: found by host, path and method; `deny` refuses, `public` passes without identity.
//! 4. **Tenant**: the route's, else the host's; where several remain, the token's own claim selects.
//! 5. **Credential**: at most one of a kind, the first kind present. A token of a foreign page is refused here, before anything is
//!    verified ([`origin`]).
//! 6. **Token** or **session**: verified for that tenant alone, at `now`. Every token that is refused costs the same work, and every
//!    one that no key of ours signed counts against the client's network, but for those that a foreign page may have sent.
//! 7. **Revocation**: no sign-out has ended the session.
//! 8. **Origin**: what a session writes, and where a token is presented, is of our own pages or the tenant's.
//! 9. **Roles**: one of the route's.

#[cfg(test)]
mod costs;
mod standing;
mod verify;

use std::sync::Arc;

use crate::{
    cache::{Proof, VerifiedCache},
    credential::Credential,
    denial::{Reason, Refusal},
    head::{Head, HeadError},
    ledger::Ledger,
    limits::FailureLimit,
    origin::{self, ForeignOrigin},
    repeats::Repeats,
    route::{Policy, Refusals, Route, RouteTable, UpstreamId},
    session::SessionKeys,
    tenant::{Candidates, CookieRules, Tenants},
    time::UnixTime,
    visitor::Visitor,
};

pub use standing::{Admitted, Sharing, Standing};
pub use verify::Presenter;

/// Everything a decision reads: one configuration, and what is remembered across configurations.
pub struct Gate {
    pub routes: RouteTable,
    pub tenants: Tenants,
    pub sessions: SessionKeys,
    pub ledger: Arc<Ledger>,
    pub failures: Arc<FailureLimit>,
    pub cache: VerifiedCache,
    pub repeats: Repeats,
}

/// Leave to pass. Only [`Gate::admit`] makes one, and without one there is no upstream and no identity header.
pub struct Permit {
    route: Arc<Route>,
    upstream: UpstreamId,
    caller: Caller,
    reported: Option<Refusal>,
}

/// Who passes.
#[derive(Clone)]
pub enum Caller {
    Nobody { dead_cookie: Option<CookieRules> },
    Known(Arc<Proof>),
}

impl Permit {
    /// The route it is for.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The upstream it opens.
    pub fn upstream(&self) -> UpstreamId {
        self.upstream
    }

    /// Who passes.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What a `report_only` route would have refused.
    pub fn reported(&self) -> Option<&Refusal> {
        self.reported.as_ref()
    }
}

impl Gate {
    /// Decides whether a request may pass: a route matches, it carries at most one credential of a kind, that credential
    /// verifies for the route's tenant at `now`, no sign-out has ended it, and it has a role the route asks for.
    pub fn decide(&self, head: &Head<'_>, visitor: &Visitor, now: UnixTime) -> Result<Permit, Refusal> {
        self.admit(self.find(head)?, head, visitor, now)
    }

    /// Step 3, first half: the route, which may have a handoff to do before anyone is admitted.
    pub fn find(&self, head: &Head<'_>) -> Result<&Arc<Route>, Refusal> {
        let Some(fault) = head.slashes else {
            return Ok(self.routes.find(&head.host.name, head.method, head.path)?);
        };
        let found = self.routes.find_with_slashes(&head.host.name, head.method, head.path);
        found.ok_or_else(|| HeadError::from(fault).into())
    }

    /// Steps 3 to 9 on a route.
    pub fn admit(
        &self,
        route: &Arc<Route>,
        head: &Head<'_>,
        visitor: &Visitor,
        now: UnixTime,
    ) -> Result<Permit, Refusal> {
        let Some(upstream) = route.upstream else {
            return Err(Reason::RouteDenies.into());
        };
        let permit = |caller, reported| Permit { route: route.clone(), upstream, caller, reported };
        match self.caller(route, head, visitor, now) {
            Ok(caller) => Ok(permit(caller, None)),
            Err(refusal) if route.refusals == Refusals::Reported && route.policy != Policy::Deny => {
                Ok(permit(Caller::Nobody { dead_cookie: None }, Some(refusal)))
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn caller(&self, route: &Route, head: &Head<'_>, visitor: &Visitor, now: UnixTime) -> Result<Caller, Refusal> {
        let nobody = |dead_cookie| Ok(Caller::Nobody { dead_cookie });
        let roles = match &route.policy {
            Policy::Deny => return Err(Reason::RouteDenies.into()),
            Policy::Public => return nobody(None),
            Policy::Optional => None,
            Policy::Require(roles) => Some(roles),
        };
        let candidates = self.candidates(Some(route), head)?;
        let of_sole = |refusal: Refusal| match candidates.sole() {
            Some(tenant) => refusal.of(tenant),
            None => refusal,
        };
        let presented = self.presented(head, visitor, route.bearer_param.as_deref(), candidates).map_err(of_sole)?;
        let proof = match (presented, roles) {
            (None, None) => return nobody(None),
            (None, Some(_)) => return Err(of_sole(Reason::NothingPresented.into())),
            (Some(credential), roles) => match self.verify(&credential, candidates, Presenter { head, visitor }, now) {
                Ok(proof) => proof,
                // An optional route takes a session that ended for none.
                Err(Refusal { reason: Reason::Session(_) | Reason::Revoked, dead_cookie, .. }) if roles.is_none() => {
                    return nobody(dead_cookie);
                }
                Err(refusal) => return Err(of_sole(refusal)),
            },
        };
        // A browser adds the cookie to whatever page asks.
        let may_ask = if proof.is_session() { origin::may_act } else { origin::may_present };
        if !may_ask(head, visitor, &proof.tenant.origins) {
            return Err(Refusal::from(ForeignOrigin::of(head, visitor)).of(&proof.tenant));
        }
        let has_role = |roles: &Vec<String>| proof.identity().roles.iter().any(|role| roles.contains(role));
        if roles.is_some_and(|roles| !roles.is_empty() && !has_role(roles)) {
            return Err(Refusal::from(Reason::Role).of(&proof.tenant));
        }
        Ok(Caller::Known(proof))
    }

    /// Step 5: what a request presents, where the page it comes from may present it.
    pub fn presented<'a>(
        &self,
        head: &Head<'a>,
        visitor: &Visitor,
        bearer_param: Option<&'a str>,
        candidates: &Candidates,
    ) -> Result<Option<Credential<'a>>, Refusal> {
        let presented = Credential::presented(head, bearer_param, candidates)?;
        match presented {
            Some(Credential::Token(_)) if !origin::may_present(head, visitor, candidates.origins()) => {
                Err(ForeignOrigin::of(head, visitor).into())
            }
            presented => Ok(presented),
        }
    }

    /// Step 4: the tenants a request may be for.
    pub fn candidates<'a>(&'a self, route: Option<&'a Route>, head: &Head<'_>) -> Result<&'a Arc<Candidates>, Refusal> {
        let own = route.and_then(|route| route.tenant.as_ref());
        match own.or_else(|| self.tenants.at_host(&head.host.name)) {
            Some(candidates) => Ok(candidates),
            None => Err(Reason::NoTenant.into()),
        }
    }
}
