//! The decision about a request: head in, permit or refusal out. No clock, no sockets, no Pingora.
//!
//! In this order; the first that fails is the refusal:
//!
//! 1. **Head**: read without ambiguity ([`Head::parse`](crate::head::Head::parse)).
//! 2. **Own endpoints**: `/_auth/…` never comes here ([`exchange`](crate::exchange) answers it).
//! 3. **Route**: found by host, path and method; `deny` refuses, `public` passes without identity.
//! 4. **Tenant**: the route's, else the host's; where several remain, the token's own claim selects.
//! 5. **Credential**: at most one of a kind, the first kind present.
//! 6. **Token** or **session**: verified for that tenant alone, at `now`.
//! 7. **Revocation**: no sign-out has ended the session.
//! 8. **Roles**: one of the route's.

use std::{net::IpAddr, sync::Arc};

use crate::{
    cache::{Kind, Proof, ProofKind, VerifiedCache},
    credential::{Credential, CredentialError, Sealed},
    denial::{Reason, Refusal},
    head::Head,
    ledger::Ledger,
    limits::FailureLimit,
    route::{Policy, Refusals, Route, RouteTable, UpstreamId},
    session::{SessionError, SessionKeys},
    tenant::{Candidates, CookieRules, Tenant, Tenants},
    time::UnixTime,
    token::{self, Parts},
};

/// Everything a decision reads: one configuration, and what is remembered across configurations.
pub struct Gate {
    pub routes: RouteTable,
    pub tenants: Tenants,
    pub sessions: SessionKeys,
    pub ledger: Arc<Ledger>,
    pub failures: Arc<FailureLimit>,
    pub cache: VerifiedCache,
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
    pub fn decide(&self, head: &Head<'_>, client: IpAddr, now: UnixTime) -> Result<Permit, Refusal> {
        self.admit(self.find(head)?, head, client, now)
    }

    /// Step 3, first half: the route, which may have a handoff to do before anyone is admitted.
    pub fn find(&self, head: &Head<'_>) -> Result<&Arc<Route>, Refusal> {
        Ok(self.routes.find(&head.host.name, head.method, head.path)?)
    }

    /// Steps 3 to 8 on a route.
    pub fn admit(&self, route: &Arc<Route>, head: &Head<'_>, client: IpAddr, now: UnixTime) -> Result<Permit, Refusal> {
        let Some(upstream) = route.upstream else {
            return Err(Reason::RouteDenies.into());
        };
        let permit = |caller, reported| Permit { route: route.clone(), upstream, caller, reported };
        match self.caller(route, head, client, now) {
            Ok(caller) => Ok(permit(caller, None)),
            Err(refusal) if route.refusals == Refusals::Reported && route.policy != Policy::Deny => {
                Ok(permit(Caller::Nobody { dead_cookie: None }, Some(refusal)))
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn caller(&self, route: &Route, head: &Head<'_>, client: IpAddr, now: UnixTime) -> Result<Caller, Refusal> {
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
        let presented =
            Credential::presented(head, route.bearer_param.as_deref(), candidates).map_err(|e| of_sole(e.into()))?;
        let proof = match (presented, roles) {
            (None, None) => return nobody(None),
            (None, Some(_)) => return Err(of_sole(Reason::NothingPresented.into())),
            (Some(credential), roles) => match self.verify(&credential, candidates, client, now) {
                Ok(proof) => proof,
                // An optional route takes a session that ended for none.
                Err(Refusal { reason: Reason::Session(_) | Reason::Revoked, dead_cookie, .. }) if roles.is_none() => {
                    return nobody(dead_cookie);
                }
                Err(refusal) => return Err(of_sole(refusal)),
            },
        };
        match roles {
            Some(roles) if !roles.is_empty() && !proof.identity().roles.iter().any(|role| roles.contains(role)) => {
                Err(Refusal::from(Reason::Role).of(&proof.tenant))
            }
            _ => Ok(Caller::Known(proof)),
        }
    }

    /// Step 4: the tenants a request may be for.
    pub fn candidates<'a>(&'a self, route: Option<&'a Route>, head: &Head<'_>) -> Result<&'a Candidates, Refusal> {
        let own = route.and_then(|route| route.tenant.as_ref());
        match own.or_else(|| self.tenants.at_host(&head.host.name)) {
            Some(candidates) => Ok(candidates),
            None => Err(Reason::NoTenant.into()),
        }
    }

    /// Steps 6 and 7: verifies a credential, or finds that it was verified before and still holds.
    pub fn verify(
        &self,
        credential: &Credential<'_>,
        candidates: &Candidates,
        client: IpAddr,
        now: UnixTime,
    ) -> Result<Arc<Proof>, Refusal> {
        match credential {
            Credential::Token(token) => self.token(token, candidates, client, now),
            Credential::Session(sealed) => self.session(*sealed, candidates, now),
            Credential::Sessions(list) => self.one_of(list, candidates, now),
        }
    }

    /// Of sessions under several names one may be alive.
    fn one_of(&self, list: &[Sealed<'_>], candidates: &Candidates, now: UnixTime) -> Result<Arc<Proof>, Refusal> {
        let (mut alive, mut dead) = (None, None);
        for sealed in list {
            match self.session(*sealed, candidates, now) {
                Ok(_) if alive.is_some() => return Err(CredentialError::Ambiguous("live session").into()),
                Ok(proof) => alive = Some(proof),
                Err(refusal) => dead = dead.or(Some(refusal)),
            }
        }
        alive.ok_or_else(|| dead.unwrap_or_else(|| Reason::NothingPresented.into()))
    }

    fn token(&self, text: &str, candidates: &Candidates, client: IpAddr, now: UnixTime) -> Result<Arc<Proof>, Refusal> {
        if let Some(proof) = self.cache.find(Kind::Token, candidates.set, text)
            && let ProofKind::Token(claims) = &proof.kind
            && (claims.valid.0..=claims.valid.1).contains(&now)
        {
            return Ok(proof);
        }
        if let Some(wait) = self.failures.wait(client, now) {
            return Err(Reason::TooManyFailures(wait).into());
        }
        let verified = self.verify_token(text, candidates, now);
        match verified {
            Ok(proof) => {
                let proof = Arc::new(proof);
                self.cache.insert(Kind::Token, candidates.set, text, proof.clone());
                Ok(proof)
            }
            Err(refusal) => {
                if refusal.reason.is_forgery() {
                    self.failures.failed(client, now);
                }
                Err(refusal)
            }
        }
    }

    fn verify_token(&self, text: &str, candidates: &Candidates, now: UnixTime) -> Result<Proof, Refusal> {
        let parts = Parts::decode(text)?;
        let jwt = parts.read()?;
        let Some(tenant) = candidates.sole().or_else(|| candidates.claimed(&jwt)) else {
            // Whose it is may be said only to one who holds a token of theirs.
            let belongs = self.tenants.all().claimed(&jwt).is_some_and(|t| jwt.is_signed_under(&t.tokens.keys, now));
            return Err(if belongs { Reason::ForeignToken } else { Reason::Unclaimed }.into());
        };
        match token::verify(&jwt, &tenant.id, &tenant.tokens, now) {
            Ok(claims) => Ok(Proof { tenant: tenant.clone(), kind: ProofKind::Token(claims) }),
            Err(error) => {
                let reason = match self.tenants.all().claimed(&jwt) {
                    Some(other) if other.id != tenant.id && jwt.is_signed_under(&other.tokens.keys, now) => {
                        Reason::ForeignToken
                    }
                    _ => error.into(),
                };
                Err(Refusal::from(reason).of(tenant))
            }
        }
    }

    fn session(&self, sealed: Sealed<'_>, candidates: &Candidates, now: UnixTime) -> Result<Arc<Proof>, Refusal> {
        let dead = |reason: Reason, tenant: Option<&Arc<Tenant>>| Refusal {
            reason,
            tenant: tenant.cloned(),
            dead_cookie: candidates.cookie(sealed.cookie).cloned(),
        };
        let known = self.cache.find(Kind::Session, candidates.set, sealed.value);
        let is_new = known.is_none();
        let proof = match known {
            Some(proof) => proof,
            None => {
                let session = self.sessions.open(sealed.value).map_err(|e| dead(e.into(), candidates.sole()))?;
                let tenant = candidates
                    .find(&session.identity.tenant)
                    .ok_or_else(|| dead(SessionError::Tenant.into(), candidates.sole()))?;
                Arc::new(Proof { tenant: tenant.clone(), kind: ProofKind::Session(session) })
            }
        };
        let ProofKind::Session(session) = &proof.kind else {
            return Err(dead(SessionError::Sealed.into(), candidates.sole()));
        };
        let rules = &proof.tenant.sessions;
        if rules.cookie.name != sealed.cookie {
            return Err(dead(SessionError::Tenant.into(), candidates.sole()));
        }
        session.check(rules.lifetime, now).map_err(|e| dead(e.into(), Some(&proof.tenant)))?;
        if self.ledger.covers(&session.id) {
            return Err(dead(Reason::Revoked, Some(&proof.tenant)));
        }
        if is_new {
            self.cache.insert(Kind::Session, candidates.set, sealed.value, proof.clone());
        }
        Ok(proof)
    }
}
