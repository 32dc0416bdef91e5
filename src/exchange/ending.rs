//! Ways out: a person signs out, a tenant revokes.

use http::Method;

use super::{
    Answer, Outcome, Request,
    carrier::{accepts_json, body_fields, has_json_body},
    started,
};
use crate::{
    cookies,
    credential::Credential,
    denial::{Reason, Refusal},
    fetch,
    ledger::{Extent, Revocation, Spend, Token, TokenId},
    tenant::CookieRules,
    token::Parts,
};

impl Request<'_> {
    /// `/_auth/logout`: ends the session if there is one; the answer is the same if there is none.
    pub async fn log_out(&self, body: &[u8]) -> Result<Outcome, Refusal> {
        let candidates = self.gate.candidates(None, self.head)?;
        let mut fields = self.query_fields();
        match *self.head.method {
            Method::GET if fetch::is_prefetch(self.head) => self.check_prefetch()?,
            Method::GET if self.is_same_site_navigation() => {}
            Method::GET => return Err(Reason::CrossSite.into()),
            Method::POST => fields.extend(body_fields(self.head.headers, body)?.1),
            _ => return Err(Reason::EndpointMethod("GET, POST").into()),
        }
        self.check_origin(candidates.origins())?;
        let return_to = self.one_return(&fields)?;
        let mut tenant = candidates.sole();
        let mut ended = None;
        let mut cleared: Vec<&CookieRules> = tenant.map(|tenant| &tenant.sessions.cookie).into_iter().collect();
        for pair in cookies::pairs(self.head.headers) {
            let name = std::str::from_utf8(pair.name).unwrap_or_default();
            let Some(rules) = candidates.cookie(name) else { continue };
            if !cleared.iter().any(|other| other.name == rules.name) {
                cleared.push(rules);
            }
            let opened = self.gate.sessions.open(std::str::from_utf8(pair.value).unwrap_or_default());
            let Ok(session) = opened else { continue };
            let revocation = Revocation::of_session(&session, Extent::Ended);
            let ended_there = self.gate.ledger.revoke(revocation, self.now).await;
            // Not signed out everywhere, and said so; out of this browser all the same.
            ended_there.map_err(|e| Refusal { dead_cookie: Some(rules.clone()), ..e.into() })?;
            tenant = candidates.find(&session.identity.tenant).or(tenant);
            ended = Some(started(&session));
        }
        // A POST without a body is a button's as likely as a script's: only one that speaks JSON gets data.
        let speaks_json =
            *self.head.method == Method::POST && (has_json_body(self.head.headers) || accepts_json(self.head.headers));
        let answer = if speaks_json {
            Answer::Data
        } else if let Some(wanted) = return_to {
            Answer::Redirect(self.return_path(Some(&wanted)))
        } else {
            Answer::Redirect(tenant.and_then(|t| t.logout_url.as_ref()).map_or_else(|| "/".into(), ToString::to_string))
        };
        Ok(Outcome::SignedOut { who: ended, set_cookies: cleared.into_iter().map(cookies::clear).collect(), answer })
    }

    /// `/_auth/revoke`: the tenant, by a token that says so, ends what was issued up to now.
    pub async fn revoke(&self) -> Result<Outcome, Refusal> {
        if *self.head.method != Method::POST {
            return Err(Reason::EndpointMethod("POST").into());
        }
        let candidates = self.gate.candidates(None, self.head)?;
        let Some(Credential::Token(text)) = self.gate.presented(self.head, self.visitor, None, candidates)? else {
            return Err(Reason::NothingPresented.into());
        };
        let (tenant, order) = self.gate.verify_order(&text, candidates, self.presenter(candidates), self.now)?;
        let id = TokenId::of(&tenant.id, Parts::decode(&text)?.signing_input());
        let token = Token { id, issued_at: order.issued_at, expires_at: order.expires_at };
        let spent = self.gate.ledger.spend(&token, self.now).await;
        let up_to = match spent {
            // Sent again, perhaps because the first time failed, perhaps by whoever saw it: it ends nothing that was issued since.
            Ok(Spend::Again) => order.issued_at.min(self.now),
            // A clock ahead of ours may have issued tokens in what is the future here.
            Ok(Spend::First) | Err(_) => order.issued_at.max(self.now),
        };
        // Where it cannot be noted as spent it holds here all the same, and the caller is told that it may not elsewhere.
        self.gate.ledger.order(Revocation::of_people(&tenant, &order.whom, up_to)).await?;
        spent?;
        Ok(Outcome::Revoked { tenant: tenant.id.clone(), whom: order.whom.clone() })
    }
}
