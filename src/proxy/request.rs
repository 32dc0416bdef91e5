//! What becomes of a request: the head is read, own endpoints and handoffs are answered, everything else is admitted or refused.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use pingora::{http::RequestHeader, proxy::Session as Downstream};

use super::{Context, Door};
use crate::{
    answer::Shown,
    body,
    connection::Connection,
    cookies,
    denial::{Reason, Refusal},
    exchange::{Endpoint, Outcome, Request},
    head::{Head, HeadError},
    loops,
    origin::{ForeignOrigin, Preflight, Source},
    pages::{Addressee, FormNames},
    reply::{Audience, Manner, Reply},
    request_id,
    route::{Policy, Refusals},
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
        let request = downstream.req_header();
        let head = wire::head(request, downstream.is_http2())
            .inspect_err(|_| context.entry.asked_for(&shown_path(request)))?;
        let visitor = Visitor::read(&head, wire::peer(downstream), wire::scheme(downstream), &self.trusted_proxies)?;
        context.meet(&head, &visitor);
        if let Some(target) = self.stamp.without_tokens(&context.target) {
            context.target = target;
        }
        let endpoint = self.names.endpoint(head.path);
        if let (Some(fault), Some(_)) = (head.slashes, endpoint) {
            return Err(HeadError::from(fault).into());
        }
        context.here = self.gate.candidates(None, &head).ok().cloned();
        if let Some(preflight) = Preflight::of(&head, &visitor) {
            // By the method that is asked about, and not by OPTIONS; and readable where there is nothing, too.
            let route = self.gate.routes.find(&head.host.name, &preflight.method, head.path).ok();
            context.concern(route.filter(|_| endpoint.is_none()).and_then(|route| route.tenant.as_ref()));
            let origins = context.origins();
            if origins.contains(preflight.origin) {
                return Ok(Some(Reply::preflight(&preflight)));
            } else if !origins.is_empty() {
                return Err(ForeignOrigin::of(&head, &visitor).into());
            }
        }
        if let Some(endpoint) = endpoint {
            self.look_for_planted(&head, &visitor, context);
            return Ok(Some(self.answer(endpoint, downstream, context, &visitor).await?));
        }
        let request =
            Request { gate: &self.gate, names: &self.names, head: &head, visitor: &visitor, clock: &self.clock };
        let route = self.gate.find(&head)?;
        context.concern(route.tenant.as_ref());
        context.in_flight = Some(self.places.app.take()?);
        if route.policy != Policy::Public {
            self.look_for_planted(&head, &visitor, context);
        }
        match request.handoff(route).await {
            Some(Ok(outcome)) => return Ok(Some(self.outcome(&outcome, head.headers, context))),
            // A report_only route shows the page all the same; who comes without a session is reported below.
            Some(Err(refusal)) if route.refusals == Refusals::Reported => {
                context.entry.refused(refusal, Refusals::Reported);
            }
            Some(Err(refusal)) => return Err(Refused::exchange(refusal)),
            None => {}
        }
        let permit = self.gate.admit(route, &head, &visitor, self.clock.now())?;
        if let Err(looping) = loops::check(head.headers) {
            context.entry.upstream = self.pools.get(permit.upstream().0).map(|pool| pool.name.clone());
            return Err(looping.into());
        }
        if let (Some(most), Some(length)) = (route.max_body, body::length(head.headers))
            && length > most
        {
            return Err(Reason::BodyTooLarge.into());
        }
        // Who is refused in a report alone is nobody to us, and somebody to the app.
        if route.policy != Policy::Public && permit.reported().is_none() {
            let pool = self.pools.get(permit.upstream().0);
            context.app_cookies = pool.and_then(|pool| {
                self.leftovers.judge(head.headers, head.path, &pool.config.session_cookies, permit.caller())
            });
        }
        context.has_session = route.policy == Policy::Public
            && context.here.as_ref().is_some_and(|here| {
                let of_session = |name: &[u8]| std::str::from_utf8(name).is_ok_and(|name| here.cookie(name).is_some());
                cookies::pairs(head.headers).any(|pair| of_session(pair.name))
            });
        context.permit = Some(permit);
        Ok(None)
    }

    /// Beside our cookies in the browser.
    fn look_for_planted(&self, head: &Head<'_>, visitor: &Visitor, context: &mut Context) {
        let of_session = |name: &str| context.here.as_ref().and_then(|here| here.cookie(name));
        let rules = |name: &str| of_session(name).or_else(|| self.leftovers.rules(name));
        context.planted = cookies::planted(head.headers, rules, visitor.host(), head.path);
    }

    async fn answer(
        &self,
        endpoint: Endpoint,
        downstream: &mut Downstream,
        context: &mut Context,
        visitor: &Visitor,
    ) -> Result<Reply, Refused> {
        let body = if endpoint.takes_body() {
            body::read(downstream, &self.places.bodies).await.map_err(Refused::exchange)?
        } else {
            Vec::new()
        };
        // Now, and not before: who waits for a body takes no place from who has sent it.
        context.in_flight = Some(self.places.own.take()?);
        let head = wire::head(downstream.req_header(), downstream.is_http2())?;
        let request = Request { gate: &self.gate, names: &self.names, head: &head, visitor, clock: &self.clock };
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
            let names = self.pools.iter().map(|pool| &pool.config.session_cookies);
            let lines = self.leftovers.expired(head.headers, names);
            reply.headers.extend(lines.into_iter().map(|line| ("Set-Cookie", line)));
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
            // A link that begins with two slashes leads to another host.
            target: if context.target.starts_with("//") { "/" } else { &context.target },
            planted: &context.planted,
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
        self.entry.asked_for(head.path);
        if let Source::Other(origin) = Source::of(head, visitor) {
            self.asking = Some(origin.to_owned());
        }
        if head.single("sec-fetch-mode") == Some("navigate") {
            self.shown = Shown::AsPage;
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

/// The path of a request whose head is refused, for the log: as it came, without the query.
fn shown_path(request: &RequestHeader) -> String {
    const LONGEST: usize = 1 << 10;
    let path = request.raw_path().split(|byte| *byte == b'?').next().unwrap_or_default();
    path[..path.len().min(LONGEST)].escape_ascii().to_string()
}
