//! What becomes of a request: the head is read, own endpoints and handoffs are answered, everything else is admitted or refused.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use pingora::{http::RequestHeader, proxy::Session as Downstream};

use super::{Context, Door};
use crate::{
    body,
    connection::Connection,
    denial::{Reason, Refusal},
    exchange::{Endpoint, Outcome, Request},
    head::Head,
    leftovers,
    origin::{Preflight, Source},
    pages::{Addressee, FormNames},
    reply::{Audience, Manner, Reply},
    request_id,
    route::{Policy, Refusals},
    stamp,
    tenant::Candidates,
    visitor::{Via, Visitor},
    wire,
};

impl Door {
    /// Reads the head, answers own endpoints and handoffs, and admits the rest: `Ok(None)` leaves a permit.
    pub(super) async fn receive(
        &self,
        downstream: &mut Downstream,
        context: &mut Context,
    ) -> Result<Option<Reply>, Refused> {
        if let Some(reason) = Connection::of(downstream).and_then(Connection::refused) {
            return Err(reason.clone().into());
        }
        wire::check(downstream)?;
        let head = wire::head(downstream.req_header(), downstream.is_http2())?;
        let visitor = Visitor::read(&head, wire::peer(downstream), wire::scheme(downstream), &self.trusted_proxies);
        context.meet(&head, &visitor);
        let endpoint = self.names.endpoint(head.path);
        context.here = self.gate.candidates(None, &head).ok().cloned();
        if let Some(preflight) = Preflight::of(&head, &visitor) {
            // By the method that is asked about, and not by OPTIONS; and readable where there is nothing, too.
            let route = self.gate.routes.find(&head.host.name, &preflight.method, head.path).ok();
            context.concern(route.filter(|_| endpoint.is_none()).and_then(|route| route.tenant.as_ref()));
            let origins = context.origins();
            if origins.contains(preflight.origin) {
                return Ok(Some(Reply::preflight(&preflight)));
            } else if !origins.is_empty() {
                return Err(Reason::Origin.into());
            }
        }
        if let Some(endpoint) = endpoint {
            return Ok(Some(self.answer(endpoint, downstream, context, &visitor).await?));
        }
        let request =
            Request { gate: &self.gate, names: &self.names, head: &head, visitor: &visitor, now: context.now };
        let route = self.gate.find(&head)?;
        context.concern(route.tenant.as_ref());
        context.in_flight = Some(self.places.app.take()?);
        match request.handoff(route).await {
            Some(Ok(outcome)) => return Ok(Some(self.outcome(&outcome, head.headers, context))),
            // A report_only route shows the page all the same; who comes without a session is reported below.
            Some(Err(refusal)) if route.refusals == Refusals::Reported => {
                context.entry.refused(refusal, Refusals::Reported);
            }
            Some(Err(refusal)) => return Err(Refused::exchange(refusal)),
            None => {}
        }
        if let Some(target) = stamp::without_tokens(&context.target, route) {
            context.target = target;
        }
        let permit = self.gate.admit(route, &head, &visitor, context.now)?;
        if let (Some(most), Some(length)) = (route.max_body, body::length(head.headers))
            && length > most
        {
            return Err(Reason::BodyTooLarge.into());
        }
        // Who is refused in a report alone is nobody to us, and somebody to the app.
        if route.policy != Policy::Public && permit.reported().is_none() {
            let names = self.pools.get(permit.upstream().0).map_or(&[][..], |pool| &pool.config.session_cookies);
            context.app_cookies = self.leftovers.judge(head.headers, names, permit.caller());
        }
        context.permit = Some(permit);
        Ok(None)
    }

    async fn answer(
        &self,
        endpoint: Endpoint,
        downstream: &mut Downstream,
        context: &mut Context,
        visitor: &Visitor,
    ) -> Result<Reply, Refused> {
        let body = body::read(downstream, &self.places.bodies).await.map_err(Refused::exchange)?;
        // Now, and not before: who waits for a body takes no place from who has sent it.
        context.in_flight = Some(self.places.own.take()?);
        let head = wire::head(downstream.req_header(), downstream.is_http2())?;
        let request = Request { gate: &self.gate, names: &self.names, head: &head, visitor, now: context.now };
        let outcome = match endpoint {
            Endpoint::Exchange => request.exchange(&body).await,
            Endpoint::Session => request.who(),
            Endpoint::Logout => request.log_out(&body).await,
            Endpoint::Revoke => request.revoke().await,
            Endpoint::Client(text) => request.client(text),
            Endpoint::Nothing => Err(Reason::NoEndpoint.into()),
        };
        let outcome = outcome.map_err(Refused::exchange)?;
        let mut reply = self.outcome(&outcome, head.headers, context);
        if let Outcome::SignedOut { .. } = outcome {
            let names = self.pools.iter().flat_map(|pool| &pool.config.session_cookies);
            reply.headers.extend(leftovers::expired(head.headers, names).map(|line| ("Set-Cookie", line)));
        }
        Ok(reply)
    }

    fn outcome(&self, outcome: &Outcome, headers: &HeaderMap, context: &mut Context) -> Reply {
        context.entry.did(outcome);
        context.tenant = outcome.tenant().and_then(|id| self.gate.tenants.alone(id)?.sole()).cloned();
        let first = |names: &[String]| names.first().cloned().unwrap_or_default();
        let (token, return_to) = (first(&self.names.token_params), first(&self.names.return_params));
        let reader = Addressee { pages: &self.pages, headers, request_id: &context.entry.request_id };
        Reply::outcome(outcome, &FormNames { token: &token, return_to: &return_to }, &reader)
    }

    /// Makes the answer to a refusal, and notes it.
    pub(super) fn refuse(
        &self,
        Refused { refusal, manner }: Refused,
        request: &RequestHeader,
        context: &mut Context,
    ) -> Reply {
        let audience = Audience {
            method: &request.method,
            headers: &request.headers,
            visitor: context.visitor.as_ref(),
            target: &context.target,
            manner,
            request_id: &context.entry.request_id,
            pages: &self.pages,
        };
        let reply = Reply::refusal(&refusal, &audience);
        context.tenant.clone_from(&refusal.tenant);
        context.entry.refused(refusal, Refusals::Enforced);
        reply
    }
}

/// A refusal, and whether an exchange was refused.
pub(super) struct Refused {
    refusal: Refusal,
    manner: Manner,
}

impl Refused {
    fn exchange(refusal: Refusal) -> Self {
        Self { refusal, manner: Manner::Exchange }
    }
}

impl<R: Into<Refusal>> From<R> for Refused {
    fn from(refusal: R) -> Self {
        Self { refusal: refusal.into(), manner: Manner::Request }
    }
}

impl Context {
    fn meet(&mut self, head: &Head<'_>, visitor: &Visitor) {
        if visitor.via == Via::TrustedProxy
            && let Some(id) = head.single(REQUEST_ID).filter(|id| request_id::is_plausible(id))
        {
            self.entry.request_id = id.to_owned();
        }
        self.entry.client = Some(visitor.client);
        self.entry.path = head.path.to_owned();
        if let Source::Other(origin) = Source::of(head, visitor) {
            self.asking = Some(origin.to_owned());
        }
        self.target = head.target().into_owned();
        self.visitor = Some(visitor.clone());
    }

    /// A route may be for another tenant than the host.
    fn concern(&mut self, of_route: Option<&Arc<Candidates>>) {
        if let Some(candidates) = of_route {
            self.here = Some(candidates.clone());
        }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
