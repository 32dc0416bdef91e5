//! The handoff: a verified token in, a session out. Also who is signed in, and signing out.
//!
//! 1. One token by one carrier: bearer, form, JSON or query; a navigation that only looks (HEAD, prefetch, subresource)
//!    spends nothing.
//! 2. The request comes from our own origin, from one of the tenants', or from no page at all; a link may be anywhere.
//! 3. The token verifies as anywhere else ([`Gate::verify`]), and the page is not another tenant's.
//! 4. Where another user is signed in, `on_switch` decides, but a page of the tenant's that posts the token is not asked;
//!    `handoff = "confirm"` asks about links in any case.
//! 5. There is room to end another user's session in the same browser: a refusal costs nothing.
//! 6. The ledger lets each token through once. That may take its time, so the token is verified again after it.
//! 7. A fresh session is sealed; a session id a client brought is never taken over, and another user's session ends.

mod asker;
mod carrier;
mod ending;

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use url::Url;

use crate::{
    cache::{Proof, ProofKind},
    client, cookies,
    credential::{self, Credential, Sealed},
    denial::{Reason, Refusal},
    gate::{Gate, Presenter},
    head::Head,
    identity::{Identity, TenantId},
    ledger::{Handle, Issued, LedgerError, Revocation, Spend, Subjects, Token, TokenId},
    origin::Source,
    query,
    route::Route,
    secret::random,
    session::{Place, Session, SessionError},
    tenant::{Candidates, CookieRules, Handoff, OnSwitch, Tenant, Transport, Uses},
    time::{Clock, UnixTime},
    token::{self, Parts, Whom},
    visitor::{Keeps, Visitor},
};
use carrier::{Presented, Style};

/// The most bytes of a body on our own endpoints.
pub const MAX_BODY: usize = 16 * 1024;

/// `[exchange]`: other paths and names for the same thing.
#[derive(Clone, Debug)]
pub struct ExchangeNames {
    pub paths: Vec<String>,
    pub token_params: Vec<String>,
    pub return_params: Vec<String>,
}

/// Our own endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Exchange,
    Session,
    Logout,
    Revoke,
    /// The browser client, as a script or as a module.
    Client(&'static str),
    /// Under `/_auth/`, and nothing there.
    Nothing,
}

impl Endpoint {
    /// Whether it reads a body; elsewhere one is read away after the answer.
    pub fn takes_body(self) -> bool {
        matches!(self, Self::Exchange | Self::Logout | Self::Revoke)
    }
}

impl ExchangeNames {
    /// The endpoint at a path; `None` for the app's own paths.
    pub fn endpoint(&self, path: &str) -> Option<Endpoint> {
        match path {
            "/_auth/exchange" => Some(Endpoint::Exchange),
            "/_auth/session" => Some(Endpoint::Session),
            "/_auth/logout" => Some(Endpoint::Logout),
            "/_auth/revoke" => Some(Endpoint::Revoke),
            "/_auth/client.js" => Some(Endpoint::Client(client::SCRIPT)),
            "/_auth/client.mjs" => Some(Endpoint::Client(client::MODULE)),
            path if self.paths.iter().any(|own| own == path) => Some(Endpoint::Exchange),
            path => crate::head::is_own(path).then_some(Endpoint::Nothing),
        }
    }
}

/// A request to one of our endpoints, or a page opened with a token.
pub struct Request<'a> {
    pub gate: &'a Gate,
    pub names: &'a ExchangeNames,
    pub head: &'a Head<'a>,
    pub visitor: &'a Visitor,
    /// Read anew after each wait: for a body, for the ledger.
    pub clock: &'a Clock,
}

/// What came out.
pub enum Outcome {
    /// Signed in: the session, its `Set-Cookie` if it is new and those of others that end, what the caller wants to hear, and
    /// whether the browser keeps that cookie.
    SignedIn { who: Who, set_cookies: Vec<String>, answer: Answer, keeps: Keeps },
    /// A person has to agree first.
    Ask(Question),
    /// Who is calling.
    Known(Who),
    /// Signed out.
    SignedOut { who: Option<Who>, set_cookies: Vec<String>, answer: Answer },
    /// A tenant ended what it had issued.
    Revoked { tenant: TenantId, whom: Whom },
    /// The text of the browser client.
    Client(&'static str),
    /// Nothing was asked for, nothing was spent.
    Nothing,
}

impl Outcome {
    /// The tenant it concerns, as far as there is one.
    pub fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::SignedIn { who, .. } | Self::Known(who) | Self::SignedOut { who: Some(who), .. } => {
                Some(&who.identity.tenant)
            }
            Self::Ask(question) => Some(&question.user.tenant),
            Self::Revoked { tenant, .. } => Some(tenant),
            Self::SignedOut { who: None, .. } | Self::Client(_) | Self::Nothing => None,
        }
    }
}

/// Who is signed in and until when.
pub struct Who {
    pub identity: Identity,
    pub expires_at: UnixTime,
    /// The handle of the session.
    pub session: Option<Handle>,
}

/// How an answer is given.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// As data: the session object, or 204.
    Data,
    /// As a redirect to a path of this origin, or to a URL of the tenant's.
    Redirect(String),
    /// A sign-out that leads nowhere: a page says so, with the way to sign in again where there is one.
    Farewell { login_url: Option<Url> },
}

/// The page that asks before an exchange.
pub struct Question {
    pub token: String,
    pub return_to: String,
    /// Where the session would live: of the answer to a form in a frame the browser does not tell.
    pub place: Place,
    /// What the form names, so that a second click is no second exchange.
    pub attempt: String,
    /// Who would be signed in.
    pub user: Identity,
    /// Who is signed in now, when that is another.
    pub instead_of: Option<Identity>,
}

impl Request<'_> {
    /// `/_auth/exchange` and its other paths. `body` is at most [`MAX_BODY`] bytes.
    pub async fn exchange(&self, body: &[u8]) -> Result<Outcome, Refusal> {
        let presented = match *self.head.method {
            Method::GET | Method::HEAD => {
                let presented = self.presented_in_url()?;
                if let Some(outcome) = self.only_looks()? {
                    return Ok(outcome);
                }
                presented
            }
            Method::POST => self.presented_in_body(body)?,
            _ => return Err(Reason::EndpointMethod("GET, HEAD, POST").into()),
        };
        self.sign_in(self.gate.candidates(None, self.head)?, presented).await
    }

    /// A page opened with a token in the route's `handoff_param`; `None` when this is no such request.
    pub async fn handoff(&self, route: &Route) -> Option<Result<Outcome, Refusal>> {
        let (param, query) = (route.handoff_param.as_deref()?, self.head.query?);
        if !matches!(*self.head.method, Method::GET | Method::HEAD) {
            return None;
        }
        let token = match credential::parameter(query, param, "token") {
            Ok(token) => token?.into_owned(),
            Err(ambiguous) => return Some(Err(ambiguous.into())),
        };
        let page = match query::without(query, |name, _| name == param) {
            Some(rest) => format!("{}?{rest}", self.head.path),
            None => self.head.path.to_owned(),
        };
        let page = token::without_tokens(&page).into_owned();
        // Where a route passes slashes: two at the start name another host.
        let page = if page.starts_with("//") { "/".to_owned() } else { page };
        let presented = Presented { token, return_to: page, style: Style::Navigation, agreed: false, attempt: None };
        Some(match (self.only_looks(), self.gate.candidates(Some(route), self.head)) {
            (Ok(Some(outcome)), _) => Ok(outcome),
            (Ok(None), Ok(candidates)) => self.sign_in(candidates, presented).await,
            (Err(refusal), _) | (_, Err(refusal)) => Err(refusal),
        })
    }

    /// `/_auth/session`: who is calling, by bearer or session.
    pub fn who(&self) -> Result<Outcome, Refusal> {
        if !matches!(*self.head.method, Method::GET | Method::HEAD) {
            return Err(Reason::EndpointMethod("GET, HEAD").into());
        }
        let candidates = self.gate.candidates(None, self.head)?;
        let credential = self.gate.presented(self.head, self.visitor, None, candidates)?;
        let credential = credential.ok_or(Reason::NothingPresented)?;
        let proof = self.gate.verify(&credential, candidates, self.presenter(), self.now())?;
        Ok(Outcome::Known(who(&proof)))
    }

    /// `/_auth/client.js` and `/_auth/client.mjs`: the same for everybody.
    pub fn client(&self, text: &'static str) -> Result<Outcome, Refusal> {
        match *self.head.method {
            Method::GET | Method::HEAD => Ok(Outcome::Client(text)),
            _ => Err(Reason::EndpointMethod("GET, HEAD").into()),
        }
    }

    async fn sign_in(&self, candidates: &Candidates, presented: Presented) -> Result<Outcome, Refusal> {
        let return_to = presented.return_to.clone();
        // Whoever signs in again is to come to the same page, by way of the tenant's login also where the token is not readable:
        // a link that was cut off.
        let returning = |refusal: Refusal| Refusal {
            tenant: refusal.tenant.or_else(|| candidates.sole().cloned()),
            return_to: Some(return_to),
            ..refusal
        };
        self.exchanged(candidates, presented).await.map_err(returning)
    }

    async fn exchanged(&self, candidates: &Candidates, presented: Presented) -> Result<Outcome, Refusal> {
        // Before anything is verified: a foreign page must not have our work, nor spend the failures of its visitor's network.
        self.check_origin(candidates.origins())?;
        let credential = Credential::Token(presented.token.as_str().into());
        let before = self.now();
        let proof = self.gate.verify(&credential, candidates, self.presenter(), before)?;
        let (tenant, identity) = (&proof.tenant, proof.identity());
        self.check_origin(&tenant.origins).map_err(|refusal| refusal.of(tenant))?;
        let cookies = credential::sessions(self.head, candidates)?;
        let (same, others) = self.live_sessions(&cookies, candidates, identity);
        if !others.is_empty() && tenant.exchange.on_switch == OnSwitch::Reject {
            return Err(Refusal::from(Reason::Switch).of(tenant));
        }
        if presented.style.is_for_people() && !presented.agreed && self.must_ask(tenant, &presented, &others) {
            return Ok(Outcome::Ask(Question {
                token: presented.token,
                return_to: presented.return_to,
                place: self.place(&cookies, candidates),
                attempt: attempt(),
                user: identity.clone(),
                instead_of: others.first().map(|other| other.identity().clone()),
            }));
        }
        let cookie = tenant.sessions.cookie_in(self.place(&cookies, candidates)).unwrap_or(&tenant.sessions.cookie);
        let token = token(&presented.token, &proof)?;
        let start = |now| {
            let lifetime = tenant.sessions.lifetime;
            let session = Session::start(identity.clone(), cookie.place, token.issued_at, lifetime, now);
            match self.sealed(&session, cookie, now) {
                Some(set_cookie) => Ok((session, set_cookie)),
                None => Err(Refusal::from(Reason::IdentityTooLarge).of(tenant)),
            }
        };
        // Before the token is spent: an identity too large for a cookie must not cost it, nor one who was signed in before and
        // for whose end there is no room.
        let (mut session, mut set_cookie) = start(before)?;
        let endings = self.endings(same.as_deref(), &others, &session, before)?;
        if tenant.exchange.uses == Uses::Once {
            let spent = self.gate.ledger.spend(&token, before).await?;
            if spent == Spend::Again {
                let (who, set_cookie) = match &same {
                    Some(same) if others.is_empty() && self.gate.holds(same, self.now()) => (who(same), None),
                    _ => self
                        .repeated(token.id, &presented, tenant)
                        .ok_or_else(|| Refusal::from(Reason::Spent).of(tenant))?,
                };
                return Ok(Outcome::SignedIn {
                    who,
                    set_cookies: set_cookie.into_iter().collect(),
                    answer: presented.answer(),
                    keeps: self.keeps(cookie, &cookies),
                });
            }
            // It may have expired meanwhile, or have been revoked.
            let now = self.now();
            self.gate.verify(&credential, candidates, self.presenter(), now)?;
            (session, set_cookie) = start(now)?;
            if let Some(attempt) = &presented.attempt {
                self.gate.repeats.insert(token.id, attempt.clone(), session.clone(), now);
            }
        }
        for ending in endings {
            // What cannot be written now holds here and is written later. To refuse now would sign one out and nobody in, for a
            // token that is spent.
            let _ = self.gate.ledger.replace(ending).await;
        }
        Ok(Outcome::SignedIn {
            who: started(&session),
            set_cookies: std::iter::once(set_cookie).chain(self.cleared(&cookies, cookie, candidates)).collect(),
            answer: presented.answer(),
            keeps: self.keeps(cookie, &cookies),
        })
    }

    /// The `Set-Cookie` values that clear what came beside the cookie of a session that begins: those of other names, and what a
    /// sibling host may have planted under its own.
    fn cleared(&self, came: &[Sealed<'_>], fresh: &CookieRules, candidates: &Candidates) -> Vec<String> {
        let names: BTreeSet<&str> = came.iter().map(|sealed| sealed.cookie).collect();
        let rules = names.into_iter().filter_map(|name| candidates.cookie(name));
        let lines = rules.flat_map(|rules| match rules.name == fresh.name {
            true => cookies::clear_planted(rules, self.visitor.host(), "/"),
            false => cookies::clear(rules, self.visitor.host()),
        });
        lines.collect()
    }

    fn presenter(&self) -> Presenter<'_> {
        Presenter { head: self.head, visitor: self.visitor }
    }

    /// Whether a person has to agree: always where the tenant says so for links, and where another user is signed in. A page of
    /// the tenant's own that posts the token knows who sits there, and needs no answer about another of its users; a link may
    /// be anybody's.
    fn must_ask(&self, tenant: &Tenant, presented: &Presented, others: &[Arc<Proof>]) -> bool {
        let confirms = presented.style == Style::Navigation && tenant.exchange.handoff == Handoff::Confirm;
        let is_vouched_for = || {
            presented.style == Style::Form
                && matches!(Source::of(self.head, self.visitor), Source::Other(origin) if tenant.origins.contains(origin))
                && others.iter().all(|other| other.identity().tenant == tenant.id)
        };
        confirms || (!others.is_empty() && tenant.exchange.on_switch == OnSwitch::Confirm && !is_vouched_for())
    }

    /// Whether the browser keeps the session's cookie. One that sent such a cookie keeps them.
    fn keeps(&self, cookie: &CookieRules, came: &[Sealed<'_>]) -> Keeps {
        match (cookie.transport, cookie.place) {
            _ if !came.is_empty() => Keeps::Cookie,
            (Transport::Plain, Place::Own) => Keeps::Cookie,
            // In frames it is `Secure` in any case.
            (Transport::Secure, _) | (Transport::Plain, Place::Embedded) => {
                self.visitor.keeps_secure(self.head.headers)
            }
        }
    }

    /// The live sessions in the browser: that of the same user, and those of others.
    fn live_sessions(
        &self,
        cookies: &[Sealed<'_>],
        candidates: &Candidates,
        user: &Identity,
    ) -> (Option<Arc<Proof>>, Vec<Arc<Proof>>) {
        let (mut same, mut others) = (None, Vec::new());
        for sealed in cookies {
            let session = Credential::Session(*sealed);
            let verified = self.gate.verify(&session, candidates, self.presenter(), self.now());
            let Ok(proof) = verified else { continue };
            match &proof.kind {
                ProofKind::Session(session) if !session.identity.is_same_user(user) => others.push(proof),
                ProofKind::Session(_) => same = same.or(Some(proof)),
                ProofKind::Token(_) => {}
            }
        }
        (same, others)
    }

    /// What ends when a session begins: those of other users, who have left this browser, and that of the same user who has lost a
    /// role, under which nobody goes on.
    fn endings(
        &self,
        same: Option<&Proof>,
        others: &[Arc<Proof>],
        new: &Session,
        now: UnixTime,
    ) -> Result<Vec<Revocation>, Refusal> {
        let old = same.filter(|same| has_lost_a_role(same, &new.identity));
        let mut endings = Vec::new();
        for proof in others.iter().map(Arc::as_ref).chain(old) {
            let ProofKind::Session(session) = &proof.kind else { continue };
            let ending = self.gate.ledger.plan(session, &proof.tenant, now)?;
            // Where all there is room for is the end of all that the user has, the new one must not be among it.
            if old.is_some() && ending.ends(new) {
                return Err(LedgerError::Full.into());
            }
            endings.push(ending);
        }
        Ok(endings)
    }

    /// The time now, which is another after each wait.
    fn now(&self) -> UnixTime {
        self.clock.now()
    }

    fn sealed(&self, session: &Session, cookie: &CookieRules, now: UnixTime) -> Option<String> {
        let value = self.gate.sessions.seal(session)?;
        cookies::set(cookie, value, session.expires_at.since(now))
    }

    /// What a second click gets: the session of the first, sealed anew, for that browser alone that knows the attempt.
    fn repeated(&self, token: TokenId, presented: &Presented, tenant: &Tenant) -> Option<(Who, Option<String>)> {
        let now = self.now();
        let session = self.gate.repeats.find(token, presented.attempt.as_deref()?, now)?;
        let found = self.gate.ledger.find(&Subjects::of_session(&session), Issued::of_session(&session));
        if found != Ok(None) || session.check(tenant.sessions.lifetime, now).is_err() {
            return None;
        }
        let set_cookie = self.sealed(&session, tenant.sessions.cookie_in(session.place)?, now)?;
        Some((started(&session), Some(set_cookie)))
    }
}

/// Something nobody can guess.
fn attempt() -> String {
    URL_SAFE_NO_PAD.encode(random::<16>())
}

fn who(proof: &Proof) -> Who {
    match &proof.kind {
        ProofKind::Token(claims) => {
            Who { identity: claims.identity.clone(), expires_at: claims.expires_at, session: None }
        }
        ProofKind::Session(session) => {
            Who { expires_at: session.ends_at(proof.tenant.sessions.lifetime), ..started(session) }
        }
    }
}

fn started(session: &Session) -> Who {
    Who { identity: session.identity.clone(), expires_at: session.expires_at, session: Some(Handle::of(session)) }
}

fn token(text: &str, proof: &Proof) -> Result<Token, Refusal> {
    let ProofKind::Token(claims) = &proof.kind else {
        return Err(SessionError::Sealed.into());
    };
    Ok(Token::new(&proof.tenant.id, Parts::decode(text)?.signing_input(), claims.issued_at, claims.expires_at))
}

fn has_lost_a_role(old: &Proof, new: &Identity) -> bool {
    old.identity().roles.iter().any(|role| !new.roles.contains(role))
}
