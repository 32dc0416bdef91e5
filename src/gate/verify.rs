//! Steps 6 and 7 of the decision: a credential is verified, or found to be verified before and still to hold.

use std::sync::Arc;

use super::Gate;
use crate::{
    cache::{Kind, Proof, ProofKind},
    credential::{Credential, CredentialError, Sealed},
    denial::{Reason, Refusal},
    head::Head,
    identity::{TenantId, Verified},
    ledger::{self, Extent},
    origin,
    session::{Place, Session, SessionError},
    tenant::{Candidates, Tenant},
    time::UnixTime,
    token::{self, Ceiling, Jwt, Order, Parts, TokenError, TokenRules},
    visitor::Visitor,
};

type Verify<T> = fn(&Jwt<'_>, &TenantId, &TokenRules, UnixTime) -> Result<Verified<T>, TokenError>;

/// From where a credential is presented: which address, and whose page.
#[derive(Clone, Copy)]
pub struct Presenter<'a> {
    pub head: &'a Head<'a>,
    pub visitor: &'a Visitor,
}

impl Gate {
    /// Who presents this credential to one of the candidates, at `now`.
    pub fn verify(
        &self,
        credential: &Credential<'_>,
        candidates: &Candidates,
        presenter: Presenter<'_>,
        now: UnixTime,
    ) -> Result<Arc<Proof>, Refusal> {
        match credential {
            Credential::Token(token) => self.token(token, candidates, presenter, now),
            Credential::Session(sealed) => self.session(*sealed, candidates, now),
            Credential::Sessions(list) => self.one_of(list, candidates, now),
        }
    }

    /// Of several sessions one user's may be alive, the others are dead or planted: the first, but where a page and a frame of it
    /// share their cookies, the page's.
    fn one_of(&self, list: &[Sealed<'_>], candidates: &Candidates, now: UnixTime) -> Result<Arc<Proof>, Refusal> {
        let (mut alive, mut dead): (Option<Arc<Proof>>, _) = (None, None);
        for sealed in list {
            match self.session(*sealed, candidates, now) {
                Ok(proof) => match &alive {
                    Some(other) if !other.identity().is_same_user(proof.identity()) => {
                        return Err(CredentialError::Ambiguous("live session").into());
                    }
                    Some(other) if other.is_in(Place::Own) || !proof.is_in(Place::Own) => {}
                    _ => alive = Some(proof),
                },
                Err(refusal) => dead = dead.or(Some(refusal)),
            }
        }
        alive.ok_or_else(|| dead.unwrap_or_else(|| Reason::NothingPresented.into()))
    }

    fn token(
        &self,
        text: &str,
        candidates: &Candidates,
        presenter: Presenter<'_>,
        now: UnixTime,
    ) -> Result<Arc<Proof>, Refusal> {
        if let Some(proof) = self.cache.find(Kind::Token, candidates.set, text)
            && let ProofKind::Token(claims) = &proof.kind
            && (claims.valid.0..=claims.valid.1).contains(&now)
        {
            return self.unrevoked(proof);
        }
        if let Some(wait) = self.failures.wait(presenter.visitor.client, now) {
            return Err(Reason::TooManyFailures(wait).into());
        }
        let (tenant, claims) =
            self.counted(presenter, candidates, now, self.signed(text, candidates, now, token::verify))?;
        let mut earliest = claims.issued_at;
        if self.ledger.doubts(claims.issued_at, now) {
            let signed = Parts::decode(text)?.signing_input();
            let token = ledger::Token::new(&tenant.id, signed, claims.issued_at, claims.expires_at);
            earliest = self.ledger.earliest(&tenant, &token, now);
        }
        let proof = Arc::new(Proof::of_token(tenant, claims, earliest));
        self.cache.insert(Kind::Token, candidates.set, text, proof.clone());
        self.unrevoked(proof)
    }

    /// Which of the candidates orders a revocation, and of what.
    pub fn verify_order(
        &self,
        text: &str,
        candidates: &Candidates,
        presenter: Presenter<'_>,
        now: UnixTime,
    ) -> Result<(Arc<Tenant>, Verified<Order>), Refusal> {
        if let Some(wait) = self.failures.wait(presenter.visitor.client, now) {
            return Err(Reason::TooManyFailures(wait).into());
        }
        self.counted(presenter, candidates, now, self.signed(text, candidates, now, token::verify_order))
    }

    /// Counts a token that nobody signed, unless a foreign page may have sent it.
    fn counted<T>(
        &self,
        Presenter { head, visitor }: Presenter<'_>,
        candidates: &Candidates,
        now: UnixTime,
        verified: Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let is_forgery = verified.as_ref().is_err_and(|refusal| refusal.reason.is_forgery());
        if is_forgery && origin::counts(head, visitor, candidates.origins()) {
            self.failures.failed(visitor.client, now);
        }
        verified
    }

    /// A token signed by one of the candidates, as `verify` has it. Every refusal costs the same work.
    fn signed<T>(
        &self,
        text: &str,
        candidates: &Candidates,
        now: UnixTime,
        verify: Verify<T>,
    ) -> Result<(Arc<Tenant>, Verified<T>), Refusal> {
        let effort = self.tenants.effort();
        let parts = Parts::decode(text).inspect_err(|_| token::complete_garbled(text, effort))?;
        let signed = self.signed_by_one(&parts, candidates, now, verify);
        if signed.is_err() {
            parts.complete(effort);
        }
        signed
    }

    fn signed_by_one<T>(
        &self,
        parts: &Parts<'_>,
        candidates: &Candidates,
        now: UnixTime,
        verify: Verify<T>,
    ) -> Result<(Arc<Tenant>, Verified<T>), Refusal> {
        let jwt = parts.read()?;
        // Where there is no tenant, its keys are looked through all the same: that alone would show in the time.
        let stand_in = self.tenants.effort().stand_in();
        let tenant = candidates.sole().or_else(|| candidates.claimed(&jwt));
        // Whose it is may be said only to one who holds a token of theirs.
        let is_of_another = || {
            let claimed = self.tenants.all().claimed(&jwt);
            let other = claimed.filter(|other| tenant.is_none_or(|tenant| tenant.id != other.id));
            let keys = other.map_or(stand_in, |other| &other.tokens.keys);
            jwt.is_signed_under(keys, now) && other.is_some()
        };
        let Some(tenant) = tenant else {
            jwt.is_signed_under(stand_in, now);
            return Err(if is_of_another() { Reason::ForeignToken } else { Reason::Unclaimed }.into());
        };
        verify(&jwt, &tenant.id, &tenant.tokens, now).map(|verified| (tenant.clone(), verified)).map_err(|error| {
            let reason = if is_of_another() { Reason::ForeignToken } else { error.into() };
            // Of several tenants the claim of a forged token chose this one: an answer in its manner would tell that it exists.
            let is_guess = candidates.sole().is_none() && reason.is_forgery();
            let refusal = Refusal::from(reason);
            if is_guess { refusal } else { refusal.of(tenant) }
        })
    }

    fn session(&self, sealed: Sealed<'_>, candidates: &Candidates, now: UnixTime) -> Result<Arc<Proof>, Refusal> {
        let dead = |reason: Reason, tenant: Option<&Arc<Tenant>>| Refusal {
            reason,
            tenant: tenant.cloned(),
            dead_cookie: candidates.cookie(sealed.cookie).cloned(),
            return_to: None,
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
                Arc::new(Proof::of_session(tenant.clone(), under(&tenant.tokens.ceiling, session), sealed.value))
            }
        };
        let ProofKind::Session(session) = &proof.kind else {
            return Err(dead(SessionError::Sealed.into(), candidates.sole()));
        };
        let rules = &proof.tenant.sessions;
        if rules.cookie_in(session.place).is_none_or(|cookie| cookie.name != sealed.cookie) {
            return Err(dead(SessionError::Tenant.into(), candidates.sole()));
        }
        session.check(rules.lifetime, now).map_err(|e| dead(e.into(), Some(&proof.tenant)))?;
        match self.ledger.find(&proof.subjects, proof.issued()) {
            Ok(None) => {}
            // The browser holds another by now; to clear it would sign out who has just signed in.
            Ok(Some(Extent::Replaced)) => return Err(Refusal::from(Reason::Revoked).of(&proof.tenant)),
            Ok(Some(Extent::Ended | Extent::IssuedUpTo(_))) => return Err(dead(Reason::Revoked, Some(&proof.tenant))),
            Err(e) => return Err(Refusal::from(e).of(&proof.tenant)),
        }
        if is_new {
            self.cache.insert(Kind::Session, candidates.set, sealed.value, proof.clone());
        }
        Ok(proof)
    }

    /// Whether who was admitted by a proof, perhaps under an earlier configuration, would be so still. Idle time does not count: who
    /// listens is no idler.
    pub fn holds(&self, proof: &Proof, now: UnixTime) -> bool {
        let Some(tenant) = self.tenants.alone(&proof.tenant.id).and_then(|candidates| candidates.sole()) else {
            return false;
        };
        let is_in_time = match &proof.kind {
            ProofKind::Token(claims) => {
                let key = tenant.tokens.keys.candidates(Some(&claims.key)).next();
                let before = proof.tenant.tokens.keys.candidates(Some(&claims.key)).next();
                (claims.valid.0..=claims.valid.1).contains(&now)
                    && key.zip(before).is_some_and(|(key, before)| key.is_valid(now) && key.is_same_as(before))
            }
            ProofKind::Session(session) => {
                now < session.ends_at(tenant.sessions.lifetime) && proof.tag.is_some_and(|tag| self.sessions.has(&tag))
            }
        };
        is_in_time && self.ledger.find(&proof.subjects, proof.issued()) == Ok(None)
    }

    fn unrevoked(&self, proof: Arc<Proof>) -> Result<Arc<Proof>, Refusal> {
        match self.ledger.find(&proof.subjects, proof.issued()) {
            Ok(None) => Ok(proof),
            Ok(Some(_)) => Err(Refusal::from(Reason::Revoked).of(&proof.tenant)),
            Err(e) => Err(Refusal::from(e).of(&proof.tenant)),
        }
    }
}

/// A session without the roles that the tenant's ceiling, lowered since it was sealed, does not admit.
fn under(ceiling: &Ceiling, session: Verified<Session>) -> Verified<Session> {
    if session.identity.roles.iter().all(|role| ceiling.admits(role)) {
        return session;
    }
    let mut lowered = (*session).clone();
    lowered.identity.roles.retain(|role| ceiling.admits(role));
    Verified::assertion(lowered)
}
