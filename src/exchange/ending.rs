//! Ways out: a person signs out, a tenant revokes.

use http::Method;

use super::{
    Answer, Outcome, Request,
    carrier::{accepts_json, body_fields, has_json_body},
    started,
};
use crate::{
    cookies,
    credential::{self, Credential},
    denial::{Reason, Refusal},
    fetch,
    ledger::{Ordered, Spend, Token},
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
            Method::GET if self.is_own_navigation(candidates.origins()) => {}
            Method::GET => return Err(Reason::CrossSite.into()),
            Method::POST => fields.extend(body_fields(self.head.headers, body)?.1),
            _ => return Err(Reason::EndpointMethod("GET, POST").into()),
        }
        self.check_origin(candidates.origins())?;
        let return_to = self.one_return(&fields)?;
        let mut tenant = candidates.sole();
        let mut ended = None;
        let mut cleared: Vec<&CookieRules> = tenant.map(|tenant| &tenant.sessions.cookie).into_iter().collect();
        for sealed in credential::sessions_to_end(self.head, candidates) {
            let Some(rules) = candidates.cookie(sealed.cookie) else { continue };
            if !cleared.iter().any(|other| other.name == rules.name) {
                cleared.push(rules);
            }
            let Ok(session) = self.gate.sessions.open(sealed.value) else { continue };
            // Whose key opened it is a tenant of ours.
            let Some(of) = self.gate.tenants.alone(&session.identity.tenant).and_then(|alone| alone.sole()) else {
                continue;
            };
            let ended_there = self.gate.ledger.sign_out(&session, of, self.now()).await;
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
            match tenant.and_then(|tenant| tenant.logout_url.as_ref()) {
                Some(logout_url) => Answer::Redirect(logout_url.to_string()),
                None => Answer::Farewell { login_url: tenant.and_then(|tenant| tenant.login_url.clone()) },
            }
        };
        let set_cookies = cleared.into_iter().flat_map(|rules| cookies::clear(rules, self.visitor.host())).collect();
        Ok(Outcome::SignedOut { who: ended, set_cookies, answer })
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
        let ledger = &self.gate.ledger;
        let (tenant, order) = self.gate.verify_order(&text, candidates, self.presenter(), self.now())?;
        let signed = Parts::decode(&text)?.signing_input();
        let token = Token::new(&tenant.id, signed, order.issued_at, order.expires_at);
        let spent = ledger.spend(&token, self.now()).await;
        match spent {
            // Perhaps because the first time failed, perhaps by whoever saw it.
            Ok(Spend::Again) => ledger.order_again(&tenant, &order.whom, order.issued_at, self.now()).await,
            // Where it cannot be noted as spent it holds here all the same, and the caller is told that it may not elsewhere.
            Ok(Spend::First) | Err(_) => {
                ledger.order(&tenant, Ordered::People(&order.whom), Some(&token), self.now()).await
            }
        }?;
        spent?;
        Ok(Outcome::Revoked { tenant: tenant.id.clone(), whom: order.whom.clone() })
    }
}
