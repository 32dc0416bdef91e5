//! Shows the decision about a token, check by check, with the remedy for the one that fails.

use std::{borrow::Cow, net::Ipv4Addr, process::ExitCode, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, header};

use super::say;
use crate::{
    config::{Config, host_remedy},
    denial::{Reason, Refusal},
    gate::{Caller, Gate, Permit},
    head::{Head, HeadError},
    ledger::Ledger,
    route::{Policy, RouteError},
    server,
    tenant::Candidates,
    time::UnixTime,
    token::{self, Check, Parts, TokenError},
    visitor::Visitor,
};

/// Prints each step in order; exits 0 when the request would pass. Never prints the token.
pub fn explain(
    config: &Config,
    host: Option<&str>,
    path: &str,
    method: &str,
    token: &str,
    now: UnixTime,
) -> Result<ExitCode, String> {
    if token.is_empty() {
        return Err("there is no token; pipe one in, or give --token-file".into());
    }
    if config.exchange.endpoint(path.split('?').next().unwrap_or_default()).is_some() {
        return Err(format!("{path} is Vestibule's own and goes through no route; ask for a path of the app"));
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("{method:?} is no method"))?;
    let host = host.map_or_else(|| likely_host(config), str::to_owned);
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_str(&host).map_err(|_| format!("{host:?} is no host"))?);
    // What no header can hold in one piece, such as a line end, is refused here as the exchange would refuse it in a body.
    let unfit = Parts::decode(token).err().filter(|_| !token.bytes().all(|b| b.is_ascii_graphic()));
    if unfit.is_none()
        && let Ok(bearer) = HeaderValue::from_str(&format!("Bearer {token}"))
    {
        headers.insert(header::AUTHORIZATION, bearer);
    }
    let gate = server::gate(config, Arc::new(Ledger::in_memory(1)));
    let decided = match Head::parse(&method, path.as_bytes(), None, &headers) {
        Ok(head) => decide(&gate, &head, (token, unfit), now),
        Err(error) => Decided { steps: Vec::new(), verdict: Err(error.into()) },
    };
    say(&decided.text(&method, &host, path))?;
    Ok(if decided.verdict.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The steps with what each says when it passed, and how it ended.
struct Decided {
    steps: Vec<(Step, String)>,
    verdict: Result<String, Reason>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Head,
    Route,
    Tenant,
    Credential,
    Token(Check),
    Revocation,
    Roles,
}

fn decide(gate: &Gate, head: &Head<'_>, (token, unfit): (&str, Option<TokenError>), now: UnixTime) -> Decided {
    let decision = Visitor::read(head, Ipv4Addr::LOCALHOST.into(), "http", &[])
        .map_err(Refusal::from)
        .and_then(|visitor| gate.decide(head, &visitor, now));
    let mut steps = vec![(Step::Head, "the head is read in one way only".to_owned())];
    let route = match gate.find(head) {
        Ok(route) => route,
        Err(refusal) => {
            return Decided { steps, verdict: Err(refusal.reason) };
        }
    };
    steps.push((Step::Route, format!("route {:?}, auth {}", route.pattern.path, route.policy)));
    let is_open = matches!(route.policy, Policy::Public | Policy::Deny);
    if let Some(candidates) = gate.candidates(Some(route), head).ok().filter(|_| !is_open) {
        steps.push((Step::Tenant, tenant_step(candidates, token)));
        steps.push((Step::Credential, "one credential, a bearer".into()));
        steps.extend(Check::ALL.map(|(check, says)| (Step::Token(check), says.to_owned())));
        steps.push((Step::Revocation, "nothing known here revokes it; a running Vestibule may know more".into()));
        if matches!(&route.policy, Policy::Require(roles) if !roles.is_empty()) {
            steps.push((Step::Roles, "it brings a role the route asks for".into()));
        }
    }
    if let Some(error) = unfit.filter(|_| !is_open) {
        return Decided { steps, verdict: Err(error.into()) };
    }
    // A report_only route forwards what it refuses; here the refusal is what is asked for.
    let verdict = match decision {
        Ok(permit) => match permit.reported() {
            Some(refusal) => Err(refusal.reason.clone()),
            None => Ok(allowed(&permit)),
        },
        Err(refusal) => Err(refusal.reason),
    };
    Decided { steps, verdict }
}

fn allowed(permit: &Permit) -> String {
    match permit.caller() {
        Caller::Nobody { .. } => "allowed, without identity".into(),
        Caller::Known(proof) => {
            let identity = proof.identity();
            format!("allowed as {:?} of {}, roles {:?}", identity.user, identity.tenant, identity.roles)
        }
    }
}

fn tenant_step(candidates: &Candidates, token: &str) -> String {
    let parts = Parts::decode(token);
    let claimed = parts.as_ref().ok().and_then(|parts| candidates.claimed(&parts.read().ok()?).cloned());
    match candidates.sole().cloned().or(claimed) {
        Some(tenant) => format!("tenant {}", tenant.id),
        None => "several tenants serve this host and the token names none of them".into(),
    }
}

impl Decided {
    fn text(&self, method: &Method, host: &str, path: &str) -> String {
        let mut lines = vec![format!("{method} {host}{}", token::redacted(path))];
        let failed = self.verdict.as_ref().err().map(|reason| (step_of(reason), reason));
        for (step, says) in &self.steps {
            if failed.as_ref().is_some_and(|(failed, _)| failed == step) {
                break;
            }
            lines.push(format!("  ok    {says}"));
        }
        match &self.verdict {
            Ok(allowed) => lines.push(allowed.clone()),
            Err(reason) => {
                lines.push(format!("  FAIL  {reason}"));
                lines.push(format!("        remedy: {}", remedy(reason, host)));
                lines.push(format!("denied: {}", reason.denial().spelling().code));
            }
        }
        lines.join("\n")
    }
}

fn step_of(reason: &Reason) -> Step {
    match reason {
        Reason::Head(_) => Step::Head,
        Reason::Route(_) | Reason::RouteDenies => Step::Route,
        Reason::NoTenant | Reason::ForeignToken | Reason::Unclaimed => Step::Tenant,
        Reason::Token(error) => Step::Token(error.check()),
        Reason::Revoked => Step::Revocation,
        Reason::Role => Step::Roles,
        _ => Step::Credential,
    }
}

fn remedy(reason: &Reason, host: &str) -> Cow<'static, str> {
    let text = match reason {
        Reason::Token(error) => return error.remedy(),
        Reason::Head(HeadError::Method) => "use another method",
        Reason::Head(HeadError::HostInvalid) => return host_remedy(host).into(),
        Reason::Head(HeadError::Path(error)) if error.fault.is_of_slashes() => {
            "ask for a plain path, or add encoded_slashes = true to the route if its app takes such paths"
        }
        Reason::Head(_) => "ask for a plain path of a plain host",
        Reason::Route(RouteError::None) => "add a [[routes]] entry for this host and path, or give --host",
        Reason::Route(RouteError::Method(_)) => "add the method to the route's methods",
        Reason::Route(RouteError::Ambiguous) => {
            "ask for the path as the route spells it, or add a [[routes]] entry with this very path"
        }
        Reason::RouteDenies => "the route says auth = \"deny\"; change it, or ask for another path",
        Reason::NoTenant => "add the host to a tenant's hosts, or tenant = \"…\" to the route",
        Reason::Unclaimed => {
            "sign with the tenant claim, give each tenant its own hosts, or name the tenant on the route"
        }
        Reason::ForeignToken => "open a host or route of the tenant the token is for",
        Reason::Credential(_) => "pass the token alone, without \"Bearer\"",
        Reason::Role => "sign with one of the route's roles, and see that allow_roles lets it through",
        _ => "look at the log line of the refusal",
    };
    text.into()
}

fn likely_host(config: &Config) -> String {
    let of_route =
        config.routes.iter().find_map(|route| route.pattern.host.as_deref().filter(|host| !host.starts_with('*')));
    of_route.or_else(|| config.tenants.a_host()).unwrap_or("localhost").to_owned()
}
