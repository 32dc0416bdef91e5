//! The handoff: a verified token in, a session out. Also who is signed in, and signing out.
//!
//! 1. One token by one carrier: bearer, form, JSON or query; a navigation that only looks (HEAD, prefetch, subresource)
//!    spends nothing.
//! 2. The request comes from our own origin, from one of the tenants', or from no page at all; a link may be anywhere.
//! 3. The token verifies as anywhere else ([`Gate::verify`]), and the page is not another tenant's.
//! 4. Where another user is signed in, `on_switch` decides; `handoff = "confirm"` asks in any case.
//! 5. The ledger lets each token through once.
//! 6. A fresh session is sealed; a session id a client brought is never taken over, and another user's session in the same
//!    browser ends.

mod asker;
mod carrier;
mod ending;

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;

use crate::{
    cache::{Proof, ProofKind},
    client, cookies,
    credential::{self, Credential, CredentialError, Sealed},
    denial::{Reason, Refusal},
    gate::{Gate, Presenter},
    head::Head,
    identity::{Identity, TenantId},
    ledger::{Extent, Handle, Revocation, Spend, Subjects, Token, TokenId},
    query,
    route::Route,
    secret::random,
    session::{Place, Session, SessionError},
    tenant::{Candidates, CookieRules, Handoff, OnSwitch, Tenant, Uses},
    time::UnixTime,
    token::{Parts, Whom},
    visitor::Visitor,
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
    pub now: UnixTime,
}

/// What came out.
pub enum Outcome {
    /// Signed in: the session, its `Set-Cookie` if it is new and those of others that end, what the caller wants to hear, and
    /// whether somebody else was signed in before.
    SignedIn { who: Who, set_cookies: Vec<String>, answer: Answer, is_switch: bool },
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
        let mut tokens = query::values(query, |name| name == param);
        let token = tokens.next()?.into_owned();
        if tokens.next().is_some() {
            return Some(Err(CredentialError::Ambiguous("token").into()));
        }
        let page = match query::without(query, |name| name == param) {
            Some(rest) => format!("{}?{rest}", self.head.path),
            None => self.head.path.to_owned(),
        };
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
        let proof = self.gate.verify(&credential, candidates, self.presenter(candidates), self.now)?;
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
        // Whoever signs in again is to come to the same page.
        let returning = |refusal| Refusal { return_to: Some(return_to), ..refusal };
        self.exchanged(candidates, presented).await.map_err(returning)
    }

    async fn exchanged(&self, candidates: &Candidates, presented: Presented) -> Result<Outcome, Refusal> {
        // Before anything is verified: a foreign page must not have our work, nor spend the failures of its visitor's network.
        self.check_origin(candidates.origins())?;
        let credential = Credential::Token(presented.token.as_str().into());
        let proof = self.gate.verify(&credential, candidates, self.presenter(candidates), self.now)?;
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
                instead_of: others.first().map(|other| other.identity.clone()),
            }));
        }
        let cookie = tenant.sessions.cookie_in(self.place(&cookies, candidates)).unwrap_or(&tenant.sessions.cookie);
        let (lifetime, issued_at) = (tenant.sessions.lifetime, proof.issued_at());
        let session = Session::start(identity.clone(), cookie.place, issued_at, lifetime, self.now);
        // Sealed before the token is spent: an identity too large for a cookie must not cost it.
        let set_cookie =
            self.sealed(&session, cookie).ok_or_else(|| Refusal::from(Reason::IdentityTooLarge).of(tenant))?;
        if tenant.exchange.uses == Uses::Once {
            let token = self.token(&presented.token, &proof)?;
            let spent = self.gate.ledger.spend(&token, self.now).await?;
            if spent == Spend::Again {
                let (who, set_cookie) = match &same {
                    Some(same) if others.is_empty() => (who(same), None),
                    _ => self
                        .repeated(token.id, &presented, tenant)
                        .ok_or_else(|| Refusal::from(Reason::Spent).of(tenant))?,
                };
                return Ok(Outcome::SignedIn {
                    who,
                    set_cookies: set_cookie.into_iter().collect(),
                    answer: presented.answer(),
                    is_switch: false,
                });
            }
            if let Some(attempt) = &presented.attempt {
                self.gate.repeats.insert(token.id, attempt.clone(), session.clone(), self.now);
            }
        }
        // Whoever was signed in before has left this browser.
        for other in &others {
            self.gate.ledger.revoke(Revocation::of_session(other, Extent::Replaced), self.now).await?;
        }
        // The same user, who has lost a role: nobody goes on with it under the old cookie.
        if let Some(old) = same.as_ref().and_then(|same| has_lost_a_role(same, &session.identity)) {
            self.gate.ledger.revoke(Revocation::of_session(old, Extent::Replaced), self.now).await?;
        }
        let replaced = cookies.iter().filter(|sealed| sealed.cookie != cookie.name);
        let cleared = replaced.filter_map(|sealed| candidates.cookie(sealed.cookie)).map(cookies::clear);
        Ok(Outcome::SignedIn {
            who: started(&session),
            set_cookies: std::iter::once(set_cookie).chain(cleared).collect(),
            answer: presented.answer(),
            is_switch: !others.is_empty(),
        })
    }

    fn presenter(&self, candidates: &Candidates) -> Presenter {
        Presenter::of(self.head, self.visitor, candidates)
    }

    /// Whether a person has to agree: always where the tenant says so for links, and where another user is signed in.
    fn must_ask(&self, tenant: &Tenant, presented: &Presented, others: &[Session]) -> bool {
        let confirms = presented.style == Style::Navigation && tenant.exchange.handoff == Handoff::Confirm;
        confirms || (!others.is_empty() && tenant.exchange.on_switch == OnSwitch::Confirm)
    }

    /// The live sessions in the browser: that of the same user, and those of others.
    fn live_sessions(
        &self,
        cookies: &[Sealed<'_>],
        candidates: &Candidates,
        user: &Identity,
    ) -> (Option<Arc<Proof>>, Vec<Session>) {
        let (mut same, mut others) = (None, Vec::new());
        for sealed in cookies {
            let session = Credential::Session(*sealed);
            let verified = self.gate.verify(&session, candidates, self.presenter(candidates), self.now);
            let Ok(proof) = verified else { continue };
            match &proof.kind {
                ProofKind::Session(session) if !session.identity.is_same_user(user) => others.push((**session).clone()),
                ProofKind::Session(_) => same = Some(proof),
                ProofKind::Token(_) => {}
            }
        }
        (same, others)
    }

    fn sealed(&self, session: &Session, cookie: &CookieRules) -> Option<String> {
        let value = self.gate.sessions.seal(session)?;
        cookies::set(cookie, value, session.expires_at.since(self.now))
    }

    fn token(&self, text: &str, proof: &Proof) -> Result<Token, Refusal> {
        let ProofKind::Token(claims) = &proof.kind else {
            return Err(SessionError::Sealed.into());
        };
        let id = TokenId::of(&proof.tenant.id, Parts::decode(text)?.signing_input());
        Ok(Token { id, issued_at: claims.issued_at, expires_at: claims.expires_at })
    }

    /// What a second click gets: the session of the first, sealed anew, for that browser alone that knows the attempt.
    fn repeated(&self, token: TokenId, presented: &Presented, tenant: &Tenant) -> Option<(Who, Option<String>)> {
        let session = self.gate.repeats.find(token, presented.attempt.as_deref()?, self.now)?;
        if self.gate.ledger.find(&Subjects::of_session(&session), session.started_at) != Ok(None) {
            return None;
        }
        let set_cookie = self.sealed(&session, tenant.sessions.cookie_in(session.place)?)?;
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

fn has_lost_a_role<'a>(old: &'a Proof, new: &Identity) -> Option<&'a Session> {
    match &old.kind {
        ProofKind::Session(session) => {
            session.identity.roles.iter().any(|role| !new.roles.contains(role)).then_some(session)
        }
        ProofKind::Token(_) => None,
    }
}
