//! The log: one line a request, one for each exchange, sign-out and refusal; never a token, cookie, secret or session id.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use http::StatusCode;
use tracing::{info, warn};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, Layer, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    cache::Proof,
    config::LogFormat,
    denial::Refusal,
    exchange::{Outcome, Question},
    identity::{Identity, TenantId},
    ledger::Handle,
    route::Refusals,
    token::{self, Whom},
    visitor::Keeps,
};

/// Who complains of what clients send, so that anyone could fill the log; what matters of it is in our own lines.
const ABOUT_CLIENTS: [&str; 4] = ["h2", "pingora_core::apps", "pingora_core::protocols", "pingora_proxy"];

/// What an operator sees whose first try is on another machine.
const COOKIE_LOST: &str = "over plain HTTP a browser drops the Secure cookie unless the host is loopback, and the visitor has to \
    sign in again; set listen.tls, or name the proxy that ends TLS in listen.trusted_proxies, or for a lab set \
    session.insecure_cookie = true";

/// Starts logging to standard error. `filter` is in the form of `RUST_LOG`.
///
/// Whatever it says, only our own lines are shown below a warning: libraries print heads and bodies there.
pub fn start(filter: &str, format: LogFormat) -> Result<Logging, String> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|e| format!("log filter {filter:?} is wrong: {e}; write info, or vestibule=debug"))?;
    let ours = filter_fn(|meta| {
        let is_of = |name: &str| meta.target().starts_with(name);
        is_of("vestibule") || (*meta.level() <= tracing::Level::WARN && !ABOUT_CLIENTS.into_iter().any(is_of))
    });
    // Lossy: a reader of the log that stalls must not stall requests.
    let (writer, guard) = NonBlockingBuilder::default().lossy(true).finish(std::io::stderr());
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let layer = match format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(ours).with_filter(filter))
        .try_init()
        .map_err(|e| e.to_string())?;
    // Libraries need not put into words what is not shown; of some headers Pingora could not.
    ::log::set_max_level(::log::LevelFilter::Warn);
    Ok(Logging { _guard: guard })
}

/// Writes out what is still to be written when dropped.
#[must_use]
pub struct Logging {
    _guard: WorkerGuard,
}

/// What is known of a request by its end.
pub struct Entry {
    pub request_id: String,
    pub started: Instant,
    pub client: Option<IpAddr>,
    method: String,
    path: String,
    pub user: Option<Caller>,
    pub refusal: Option<Refusal>,
    pub upstream: Option<Arc<str>>,
    /// When the head had gone to the upstream, and when its answer began.
    pub upstream_times: (Option<Instant>, Option<Instant>),
}

/// Who called, for the log.
pub enum Caller {
    /// As proved; held, not copied, because every request has one.
    Proved(Arc<Proof>),
    /// As an endpoint of ours found.
    Named(Box<Identity>),
}

impl Caller {
    fn identity(&self) -> &Identity {
        match self {
            Self::Proved(proof) => proof.identity(),
            Self::Named(identity) => identity,
        }
    }
}

impl Entry {
    /// A request that begins.
    pub fn new(request_id: String) -> Self {
        Self {
            request_id,
            started: Instant::now(),
            client: None,
            method: String::new(),
            path: String::new(),
            user: None,
            refusal: None,
            upstream: None,
            upstream_times: (None, None),
        }
    }

    /// Notes the method. It may be any text before it is checked, a token too.
    pub fn asked_by(&mut self, method: &str) {
        self.method = token::redacted(method).into_owned();
    }

    /// Notes the path, without query, which is where tokens travel, and without what else in it is shaped like a token.
    pub fn asked_for(&mut self, path: &str) {
        self.path = token::redacted(path).into_owned();
    }

    /// Method and path, for what others write.
    pub fn summary(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Writes the request's line. `status` is `None` when nothing was answered, `error` what broke off an answer.
    pub fn write(&self, status: Option<StatusCode>, error: Option<&str>) {
        let upstream_ms = match self.upstream_times {
            (Some(sent), Some(answered)) => Some(millis(answered.duration_since(sent))),
            _ => None,
        };
        info!(
            target: "vestibule::access",
            request_id = self.request_id,
            client = self.client.map(tracing::field::display),
            tenant = self.user.as_ref().map(|user| user.identity().tenant.as_str()),
            user = self.user.as_ref().map(|user| user.identity().user.as_str()),
            method = self.method,
            path = self.path,
            status = status.map(|status| status.as_u16()),
            code = self.refusal.as_ref().map(|refusal| refusal.reason.denial().spelling().code),
            error,
            upstream = self.upstream.as_deref(),
            upstream_ms,
            ms = millis(self.started.elapsed()),
            "request"
        );
    }

    /// Notes why a request is refused, or on a `report_only` route would have been. What is the app's fault is a warning.
    pub fn refused(&mut self, refusal: Refusal, refusals: Refusals) {
        macro_rules! line {
            ($level:ident, $what:literal) => {
                $level!(
                    target: "vestibule::audit",
                    request_id = self.request_id,
                    client = self.client.map(tracing::field::display),
                    tenant = refusal.tenant.as_ref().map(|tenant| tenant.id.as_str()),
                    upstream = self.upstream.as_deref(),
                    code = refusal.reason.denial().spelling().code,
                    reason = refusal.reason.to_string(),
                    enforced = refusals == Refusals::Enforced,
                    $what
                )
            };
        }
        if refusal.reason.denial().spelling().status >= 500 {
            line!(warn, "failed");
        } else {
            line!(info, "denied");
        }
        self.refusal = Some(refusal);
    }

    /// Notes what an own endpoint did.
    pub fn did(&mut self, outcome: &Outcome) {
        let (what, user, session) = match outcome {
            Outcome::SignedIn { who, set_cookies, .. } if set_cookies.is_empty() => {
                ("continued", &who.identity, who.session)
            }
            Outcome::SignedIn { who, .. } => ("exchanged", &who.identity, who.session),
            Outcome::Ask(Question { user, .. }) => ("asked", user, None),
            Outcome::SignedOut { who: Some(who), .. } => ("signed out", &who.identity, who.session),
            Outcome::Known(who) => {
                self.user = Some(Caller::Named(Box::new(who.identity.clone())));
                return;
            }
            Outcome::Revoked { tenant, whom } => {
                revoked(Some(&self.request_id), tenant, whom.into(), self.client);
                return;
            }
            Outcome::SignedOut { who: None, .. } | Outcome::Client(_) | Outcome::Nothing => return,
        };
        let is_lost = matches!(outcome, Outcome::SignedIn { keeps: Keeps::Doubtful | Keeps::Nothing, .. });
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    target: "vestibule::audit",
                    request_id = self.request_id,
                    client = self.client.map(tracing::field::display),
                    tenant = user.tenant.as_str(),
                    user = user.user.as_str(),
                    // Not the id in the cookie.
                    session = session.map(tracing::field::display),
                    caution = is_lost.then_some(COOKIE_LOST),
                    "{what}"
                )
            };
        }
        if is_lost {
            line!(warn);
        } else {
            line!(info);
        }
        self.user = Some(Caller::Named(Box::new(user.clone())));
    }
}

/// Whose sessions a revocation ended.
#[derive(Clone, Copy)]
pub enum Ended<'a> {
    User(&'a str),
    Session(Handle),
    Everyone,
}

impl<'a> From<&'a Whom> for Ended<'a> {
    fn from(whom: &'a Whom) -> Self {
        match whom {
            Whom::User(user) => Self::User(user),
            Whom::Everyone => Self::Everyone,
        }
    }
}

/// Notes a revocation by the tenant, or by an operator.
pub fn revoked(request_id: Option<&str>, tenant: &TenantId, ended: Ended<'_>, client: Option<IpAddr>) {
    let (user, session) = match ended {
        Ended::User(user) => (Some(user), None),
        Ended::Session(session) => (None, Some(session)),
        Ended::Everyone => (None, None),
    };
    info!(
        target: "vestibule::audit",
        request_id,
        client = client.map(tracing::field::display),
        tenant = tenant.as_str(),
        user,
        session = session.map(tracing::field::display),
        everyone = (user.is_none() && session.is_none()).then_some(true),
        "revoked"
    );
}

/// Says that it serves.
pub fn serving(address: SocketAddr, tenants: usize, routes: usize) {
    info!(target: "vestibule", %address, tenants, routes, "serving");
}

/// Says that another configuration is in force.
pub fn reloaded(tenants: usize, routes: usize) {
    info!(target: "vestibule", tenants, routes, "reloaded");
}

/// Says that another configuration is wrong; what is, was said.
pub fn not_reloaded(problems: usize) {
    warn!(target: "vestibule", problems, "not reloaded, the configuration before holds on");
}

/// Says that another process serves.
pub fn handed_over(process: u32) {
    info!(target: "vestibule", process, "handed over");
}

/// Says that it stops.
pub fn stopping(in_flight: usize) {
    info!(target: "vestibule", in_flight, "stopping");
}

/// Says that it has stopped.
pub fn stopped(in_flight: usize) {
    if in_flight == 0 {
        info!(target: "vestibule", "stopped");
    } else {
        warn!(target: "vestibule", in_flight, "stopped at the end of shutdown_grace, requests in flight are cut off");
    }
}

/// Says what an operator should know.
pub fn caution(text: &str) {
    warn!(target: "vestibule", "{text}");
}

fn millis(span: std::time::Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}
