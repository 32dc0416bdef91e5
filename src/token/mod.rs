//! Widget tokens: a JWT (RFC 7519) in compact serialization, verified for one tenant at a given time.
//!
//! The checks stand in [`Check::ALL`] in their order; the first that fails is the error. `jsonwebtoken` verifies the
//! signature; everything else is checked here, because the crate lets a claim of the wrong type or an unknown `crit` pass.

mod error;
mod flaw;
mod order;
mod remedy;
mod shape;

use std::{cell::Cell, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    dialect::ClaimNames,
    identity::{Identity, TenantId, Verified},
    json::Json,
    keyring::{Effort, Key, KeyRing},
    time::UnixTime,
};

pub use error::{Check, TokenError};
pub use flaw::{Held, PartsFlaw, TextFlaw, Unit};
pub use order::{Order, Whom, verify_order};
pub use shape::{has_jwt, is_jwt, redacted, without_tokens};

/// The longest token, in bytes.
pub const LONGEST: usize = 8 * 1024;
const LONGEST_USER: usize = 256;
const LONGEST_ROLE: usize = 128;
const MOST_ROLES: usize = 64;

/// The most leeway a tenant can have: how far its clock may be from ours.
pub const MAX_LEEWAY: Duration = Duration::from_secs(60);

/// For how long after its `exp` a token is remembered: the most leeway there is, whatever it is now, and as long again for whoever
/// waits between one look at the clock and the next.
pub const AFTERLIFE: Duration = Duration::from_secs(2 * MAX_LEEWAY.as_secs());

/// What a tenant demands of its tokens.
#[derive(Debug)]
pub struct TokenRules {
    pub keys: KeyRing,
    pub claims: ClaimNames,
    pub max_lifetime: Duration,
    pub leeway: Duration,
    pub audience: Option<String>,
    pub issuer: Option<String>,
    /// `tokenValidity` minutes may stand for a missing `exp`.
    pub validity_in_minutes: bool,
    pub ceiling: Ceiling,
}

/// Which roles a token may bring.
#[derive(Debug)]
pub enum Ceiling {
    Open,
    /// Others are left out.
    Drop(Vec<String>),
    /// A token with another is refused.
    Reject(Vec<String>),
}

impl Ceiling {
    /// Whether a role is within it.
    pub fn admits(&self, role: &str) -> bool {
        match self {
            Self::Open => true,
            Self::Drop(allowed) | Self::Reject(allowed) => allowed.iter().any(|allowed| allowed == role),
        }
    }
}

/// A token's parts, decoded; nothing is verified yet.
pub struct Parts<'a> {
    signing_input: &'a str,
    signature: &'a str,
    header: Vec<u8>,
    claims: Vec<u8>,
    /// How many verifications were made of it.
    tried: Cell<usize>,
}

/// A token read as JSON; nothing is verified yet.
pub struct Jwt<'a> {
    parts: &'a Parts<'a>,
    header: Json<'a>,
    claims: Json<'a>,
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    pub identity: Identity,
    pub issued_at: UnixTime,
    pub expires_at: UnixTime,
    /// The first and the last second at which all checks of time hold, leeway and the key's dates included.
    pub valid: (UnixTime, UnixTime),
    pub key: String,
}

impl<'a> Parts<'a> {
    /// Splits and decodes compact serialization: three parts of canonical unpadded base64url (RFC 7515 section 7.1).
    pub fn decode(token: &'a str) -> Result<Self, TokenError> {
        let flawed = || TokenError::Parts(PartsFlaw::of(token));
        if token.len() > LONGEST {
            return Err(flawed());
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or_else(flawed)?;
        let (header, claims) = signing_input.split_once('.').ok_or_else(flawed)?;
        // The engine refuses padding, stray bits and any other alphabet, so there is one spelling of each token.
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| flawed());
        decode(signature)?;
        Ok(Self { signing_input, signature, header: decode(header)?, claims: decode(claims)?, tried: Cell::new(0) })
    }

    /// Reads header and claims as strict JSON.
    pub fn read(&'a self) -> Result<Jwt<'a>, TokenError> {
        let object = |what, bytes| Json::object(bytes).map_err(|e| TokenError::Json(what, e));
        Ok(Jwt { parts: self, header: object("header", &self.header)?, claims: object("claims", &self.claims)? })
    }

    /// Makes the verifications that a refusal has to cost and that were not made.
    pub fn complete(&self, effort: &Effort) {
        let header = Json::object(&self.header).ok();
        let alg = header.as_ref().and_then(|header| header.member("alg")).and_then(Json::text);
        effort.complete(alg, self.tried.get(), self.signing_input.as_bytes(), self.signature);
    }

    /// What was signed: names the token whatever spelling of its signature (ECDSA has two) it comes with.
    pub fn signing_input(&self) -> &'a str {
        self.signing_input
    }
}

/// The same for what has no parts to verify.
pub fn complete_garbled(token: &str, effort: &Effort) {
    let message = &token.as_bytes()[..token.len().min(LONGEST)];
    effort.complete(None, 0, message, "");
}

impl Jwt<'_> {
    /// A text claim, whether or not anything is verified yet.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.at(claim)?.text()
    }

    /// Whether a key of the ring signed this, whatever else is wrong with it.
    pub fn is_signed_under(&self, keys: &KeyRing, now: UnixTime) -> bool {
        self.key(keys, now).is_ok()
    }

    /// Algorithm and signature: finds the one key that signed this.
    fn key<'k>(&self, keys: &'k KeyRing, now: UnixTime) -> Result<&'k Key, TokenError> {
        let alg = self.header.member("alg").and_then(Json::text).ok_or(TokenError::AlgorithmMissing)?;
        for name in ["crit", "b64", "zip"] {
            if self.header.member(name).is_some() {
                return Err(TokenError::Extension(name));
            }
        }
        let kid = match self.header.member("kid") {
            None => None,
            Some(kid) => Some(kid.text().ok_or(TokenError::UnknownKey)?),
        };
        let mut error = TokenError::UnknownKey;
        for key in keys.candidates(kid) {
            if key.algorithm_name() != alg {
                error = TokenError::Algorithm;
            } else if !self.signed_by(key) {
                error = TokenError::Signature;
            } else if key.is_valid(now) {
                return Ok(key);
            } else {
                return Err(TokenError::KeyOutOfDate { id: key.id.clone(), when: dates(key, now) });
            }
        }
        Err(error)
    }

    fn signed_by(&self, key: &Key) -> bool {
        self.parts.tried.set(self.parts.tried.get() + 1);
        key.signed(self.parts.signing_input.as_bytes(), self.parts.signature)
    }

    /// A date, or `None` where the claim is missing.
    fn seconds(&self, claim: &'static str) -> Result<Option<i64>, TokenError> {
        let number = self.whole(claim)?;
        match number.and_then(Unit::of) {
            Some(unit) => Err(TokenError::Unit { claim, unit }),
            None => Ok(number),
        }
    }

    fn whole(&self, claim: &'static str) -> Result<Option<i64>, TokenError> {
        match self.claims.member(claim) {
            None => Ok(None),
            Some(Json::Whole(number)) => Ok(Some(*number)),
            held => Err(TokenError::Time { claim, held: Held::of(held) }),
        }
    }
}

/// Verifies a token for a tenant at `now`.
pub fn verify(
    jwt: &Jwt<'_>,
    tenant: &TenantId,
    rules: &TokenRules,
    now: UnixTime,
) -> Result<Verified<Claims>, TokenError> {
    let key = jwt.key(&rules.keys, now)?;
    if jwt.claims.member("revoke").is_some() {
        return Err(TokenError::Revoke);
    }
    let times = times(jwt, rules, now)?;
    let identity = Identity {
        user: user(jwt, &rules.claims)?,
        tenant: tenant.clone(),
        roles: roles(jwt, rules)?,
        email: profile(jwt, "email", &rules.claims.email)?,
        name: profile(jwt, "name", &rules.claims.name)?,
        plan: profile(jwt, "plan", &rules.claims.plan)?,
        picture: profile(jwt, "picture", &rules.claims.picture)?,
    };
    parties(jwt, tenant, rules)?;
    let from = key.not_before.map_or(times.from, |date| date.max(times.from));
    let until = key.not_after.map_or(times.until, |date| date.minus(Duration::from_secs(1)).min(times.until));
    Ok(Verified::assertion(Claims {
        identity,
        issued_at: times.issued_at,
        expires_at: times.expires_at,
        valid: (from, until),
        key: key.id.clone(),
    }))
}

/// Whose token it is, for whom and by whom.
fn parties(jwt: &Jwt<'_>, tenant: &TenantId, rules: &TokenRules) -> Result<(), TokenError> {
    if let Some(claim) = &rules.claims.tenant {
        match jwt.text(claim) {
            Some(named) if named == tenant.as_str() => {}
            Some(_) => return Err(TokenError::Tenant),
            None => return Err(TokenError::TenantMissing),
        }
    }
    match (jwt.claims.member("aud"), &rules.audience) {
        (None, None) => {}
        (Some(aud), wanted) if names_audience(aud, wanted.as_deref()) => {}
        _ => return Err(TokenError::Audience),
    }
    match (jwt.claims.member("iss"), &rules.issuer) {
        (None, None) => Ok(()),
        (Some(Json::Text(iss)), wanted) if wanted.as_deref().is_none_or(|wanted| wanted == iss) => Ok(()),
        _ => Err(TokenError::Issuer),
    }
}

struct Times {
    issued_at: UnixTime,
    expires_at: UnixTime,
    from: UnixTime,
    until: UnixTime,
}

/// RFC 7519 sections 4.1.4 to 4.1.6, with whole seconds only.
fn times(jwt: &Jwt<'_>, rules: &TokenRules, now: UnixTime) -> Result<Times, TokenError> {
    let missing = |claim| TokenError::Time { claim, held: Held::Nothing };
    let issued_at = UnixTime(jwt.seconds("iat")?.ok_or_else(|| missing("iat"))?);
    let expires_at = match jwt.seconds("exp")? {
        Some(seconds) => UnixTime(seconds),
        None if rules.validity_in_minutes => {
            let minutes = jwt.whole("tokenValidity")?.unwrap_or(15);
            UnixTime(issued_at.0.saturating_add(minutes.saturating_mul(60)))
        }
        None => return Err(missing("exp")),
    };
    let lived = expires_at.since(issued_at);
    if u64::try_from(lived).is_ok_and(|lived| lived > rules.max_lifetime.as_secs()) {
        return Err(TokenError::TooLong { lived, most: rules.max_lifetime });
    }
    let from = issued_at.minus(rules.leeway);
    if from > now {
        return Err(TokenError::FromTheFuture(issued_at.since(now)));
    }
    let end = expires_at.plus(rules.leeway);
    if end <= now {
        return Err(TokenError::Expired(now.since(expires_at)));
    }
    let not_before = jwt.seconds("nbf")?.map(|seconds| UnixTime(seconds).minus(rules.leeway));
    if let Some(not_before) = not_before
        && not_before > now
    {
        return Err(TokenError::NotYet(not_before.since(now)));
    }
    Ok(Times {
        issued_at,
        expires_at,
        from: not_before.map_or(from, |not_before| from.max(not_before)),
        until: UnixTime(end.0.saturating_sub(1)),
    })
}

/// Refuses a user that no token could name.
pub fn check_user(user: &str) -> Result<(), TokenError> {
    TextFlaw::of(user, LONGEST_USER).map_or(Ok(()), |flaw| Err(TokenError::User(flaw)))
}

fn user(jwt: &Jwt<'_>, claims: &ClaimNames) -> Result<String, TokenError> {
    let held = jwt.claims.at(&claims.user);
    let Some(user) = held.and_then(Json::text) else {
        return Err(TokenError::UserClaim { claim: claims.user.clone(), held: Held::of(held) });
    };
    check_user(user).map(|()| user.to_owned())
}

fn roles(jwt: &Jwt<'_>, rules: &TokenRules) -> Result<Vec<String>, TokenError> {
    let Some(claim) = &rules.claims.roles else { return Ok(Vec::new()) };
    let list = match jwt.claims.at(claim) {
        None => return Ok(Vec::new()),
        Some(Json::List(list)) if list.len() <= MOST_ROLES => list,
        Some(Json::List(list)) => return Err(TokenError::RoleCount(list.len())),
        held => return Err(TokenError::RolesClaim { claim: claim.clone(), held: Held::of(held) }),
    };
    let mut roles = Vec::with_capacity(list.len());
    for item in list {
        let role = item.text().ok_or_else(|| TokenError::RoleClaim(Held::of(Some(item))))?;
        if let Some(flaw) = TextFlaw::of(role, LONGEST_ROLE) {
            return Err(TokenError::Role(flaw));
        }
        match &rules.ceiling {
            ceiling if ceiling.admits(role) => roles.push(role.to_owned()),
            Ceiling::Reject(_) => return Err(TokenError::ExcessRole),
            Ceiling::Drop(_) | Ceiling::Open => {}
        }
    }
    Ok(roles)
}

/// An optional text; `null` and `""` are what backends send for "not known".
fn profile(jwt: &Jwt<'_>, what: &'static str, claim: &Option<String>) -> Result<Option<String>, TokenError> {
    match claim.as_deref().and_then(|claim| jwt.claims.at(claim)) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Text(text)) if text.chars().any(char::is_control) => Err(TokenError::Profile(what)),
        Some(Json::Text(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Some(_) => Err(TokenError::Profile(what)),
    }
}

/// A string or an array of strings (RFC 7519 section 4.1.3); of those one must be `wanted`, if any is.
fn names_audience(aud: &Json<'_>, wanted: Option<&str>) -> bool {
    let is_wanted = |text: &str| wanted.is_none_or(|wanted| wanted == text);
    match aud {
        Json::Text(text) => is_wanted(text),
        Json::List(list) => {
            list.iter().all(|item| item.text().is_some()) && list.iter().filter_map(Json::text).any(is_wanted)
        }
        _ => false,
    }
}

fn dates(key: &Key, now: UnixTime) -> String {
    match (key.not_before, key.not_after) {
        (Some(from), _) if now < from => format!("starts on {from}"),
        (_, Some(end)) => format!("ended on {end}"),
        _ => "is out of date".to_owned(),
    }
}
