//! The body of a request on its way to the app: how large it may be, how long it may take, and who may send the rest of it.

use bytes::Bytes;
use pingora::{Error, ErrorType, Result, proxy::Session as Downstream};

use super::{Context, Door};
use crate::{
    denial::Reason,
    gate::{Admitted, Sharing},
    session::SessionError,
    underway::{self, Begun, Why},
    wire,
};

impl Door {
    /// Puts a request that was admitted and has a body on the list of those that may end early.
    pub(super) fn expect_body(&self, downstream: &mut Downstream, context: &mut Context) -> Result<()> {
        if !downstream.as_downstream_mut().is_body_empty() {
            self.list(downstream, context, Begun::Upload(self.body_timeout))?;
        }
        Ok(())
    }

    /// Puts a request on that list, if it is not there.
    pub(super) fn list<'c>(
        &self,
        downstream: &Downstream,
        context: &'c mut Context,
        begun: Begun,
    ) -> Result<&'c mut underway::Request> {
        if context.underway.is_none() {
            let (Some(permit), Some(visitor)) = (&context.permit, &context.visitor) else {
                return Err(Error::explain(ErrorType::InternalError, "no permit, no request"));
            };
            let request = downstream.req_header();
            let authority = request.uri.authority().filter(|_| downstream.is_http2());
            let sharing =
                wire::head(request, downstream.is_http2()).map(|head| self.gate.sharing(&head, visitor, permit));
            let admitted = Admitted {
                method: request.method.clone(),
                target: request.raw_path().to_vec(),
                authority: authority.map(ToString::to_string),
                headers: request.headers.clone(),
                visitor: visitor.clone(),
                caller: permit.caller().clone(),
                upstream: self.pool(context)?.name.clone(),
                readers: sharing.unwrap_or(Sharing::AsTheAppSays),
                at: self.clock.now(),
            };
            context.underway = self.underway.begin(admitted, self.number, begun);
        }
        context.underway.as_mut().ok_or_else(|| Error::explain(ErrorType::InternalError, "nothing could end it"))
    }

    /// Looks at each piece of a body before the app gets it: the last one makes the request whole, and whoever was admitted for
    /// the first may be signed out by then.
    pub(super) fn request_body_filter(&self, body: Option<&Bytes>, is_end: bool, context: &mut Context) -> Result<()> {
        let Some(underway) = &context.underway else { return Ok(()) };
        context.body_bytes += body.map_or(0, |piece| piece.len() as u64);
        let permit = context.permit.as_ref();
        if permit.and_then(|permit| permit.route().max_body).is_some_and(|most| context.body_bytes > most) {
            return Err(cut(context, Reason::BodyTooLarge));
        }
        let ended = || permit.and_then(|permit| self.why_ended(permit.caller(), self.clock.now()));
        if let Some(why) = underway.why_ended().or_else(ended) {
            let reason = match why {
                Why::SignedOut => Reason::Revoked,
                Why::SlowBody => Reason::Request("body took too long"),
                Why::SessionEnded | Why::Stopping => SessionError::Expired.into(),
            };
            return Err(cut(context, reason));
        }
        if is_end {
            underway.is_whole();
        }
        Ok(())
    }
}

/// Notes why a body goes no further: the app sees its connection end.
fn cut(context: &mut Context, reason: Reason) -> Box<Error> {
    context.cut = Some(reason);
    Error::explain(ErrorType::Custom("body is cut"), "a body goes no further")
}
