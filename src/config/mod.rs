//! The configuration: what is needed to serve, made in one step from what was written, every problem told at once.

mod addresses;
mod around;
mod bounds;
mod cookies;
mod coverage;
mod hosts;
mod identity;
mod keys;
mod ledger;
mod pages;
mod problem;
mod proxies;
mod reach;
mod reader;
mod redis;
mod routes;
mod secrets;
mod server;
mod sources;
mod tenants;
mod tls;
mod urls;

use std::{io::ErrorKind, path::Path, sync::Arc};

use crate::{
    exchange::ExchangeNames,
    limits::FailureRule,
    pages::Pages,
    route::{Refusals, Route, RouteTable},
    secret::Secret,
    session::SessionKeys,
    tenant::Tenants,
    time::UnixTime,
};

pub use hosts::host_remedy;
pub use identity::{Encoding, IdentityHeaders};
pub use problem::{Problem, Severity};
pub use reach::Reach;
pub use reader::Environment;
pub use server::{Balance, Listen, LogFormat, MAX_CONNECTIONS, MOST_SERVERS, ServerAddress, Upstream};
pub use sources::{ANY, Sources};

use reader::{Occasion, Reader, Section};
use secrets::Owners;

/// A whole configuration, checked.
pub struct Config {
    pub listen: Listen,
    pub session_keys: Vec<Secret>,
    pub tenants: Tenants,
    pub exchange: ExchangeNames,
    pub identity: IdentityHeaders,
    pub upstreams: Vec<Upstream>,
    pub routes: Vec<Arc<Route>>,
    pub failures: Option<FailureRule>,
    pub ledger: crate::ledger::Settings,
    pub log: LogFormat,
    pub pages: Arc<Pages>,
    /// What works and is unwise.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Loads a file, with the secrets and keys it names. Where it is wrong, its warnings are among the problems.
    pub fn load(file: &Path, now: UnixTime) -> Result<Self, Vec<Problem>> {
        load(file, Occasion::Run, now).0
    }

    /// Loads a file, and looks at what a server would meet besides.
    pub fn check(file: &Path, now: UnixTime) -> Result<Self, Vec<Problem>> {
        load(file, Occasion::Check, now).0
    }

    /// Loads a file, and says what was read for it, be it right or wrong.
    pub fn load_noting(file: &Path, now: UnixTime) -> (Result<Self, Vec<Problem>>, Sources) {
        load(file, Occasion::Run, now)
    }

    /// Checks a text as if it stood in `file`, whose folder is where its relative paths start. `env` is what
    /// `{ env = "NAME" }` finds.
    pub fn parse(file: &Path, text: &str, env: Environment<'_>) -> Result<Self, Vec<Problem>> {
        let reader = Reader::new(file, text, env);
        judged(read(&reader), reader)
    }

    /// What it does, for a person to read: a line for each tenant and each route.
    pub fn summary(&self) -> String {
        let mut lines = vec![format!("listens on {}", self.listen.address), format!("ledger {}", self.ledger.store)];
        let mut tenants: Vec<_> = self.tenants.iter().collect();
        tenants.sort_by(|a, b| a.id.cmp(&b.id));
        for tenant in tenants {
            let keys: Vec<&str> = tenant.tokens.keys.0.iter().map(|key| key.id.as_str()).collect();
            lines.push(format!(
                "tenant {}: keys {}, cookie {}",
                tenant.id,
                keys.join(" "),
                tenant.sessions.cookie.name
            ));
        }
        for route in &self.routes {
            let host = route.pattern.host.as_deref().unwrap_or("*");
            let upstream =
                route.upstream.and_then(|id| self.upstreams.get(id.0)).map_or("nowhere", |up| up.name.as_str());
            let only = if route.refusals == Refusals::Reported { " (report_only: lets everyone through)" } else { "" };
            lines.push(format!("route {host}{}: {}{only}, to {upstream}", route.pattern.path, route.policy));
        }
        lines.join("\n")
    }

    /// The keys that seal sessions, one for each tenant.
    pub fn sessions(&self) -> SessionKeys {
        SessionKeys::new(&self.session_keys, self.tenants.iter().map(|tenant| &tenant.id))
    }

    /// The route table.
    pub fn route_table(&self) -> RouteTable {
        RouteTable::new(self.routes.iter().cloned())
    }
}

fn load(file: &Path, occasion: Occasion, now: UnixTime) -> (Result<Config, Vec<Problem>>, Sources) {
    let mut sources = Sources::default();
    let text = match text_of(file, &mut sources) {
        Ok(text) => text,
        Err(problem) => return (Err(vec![problem]), sources),
    };
    let env = |name: &str| std::env::var(name).ok();
    let reader = Reader::new(file, &text, &env).on(occasion, now);
    let config = read(&reader);
    sources.extend(reader.sources());
    (judged(config, reader), sources)
}

/// What the configuration's file holds.
fn text_of(file: &Path, sources: &mut Sources) -> Result<String, Problem> {
    let bytes = std::fs::read(file);
    sources.note(file, bytes.as_deref().ok());
    let problem =
        |line, text| Problem { severity: Severity::Error, file: file.display().to_string(), line, column: 1, text };
    let bytes = bytes.map_err(|e| {
        let remedy = match e.kind() {
            ErrorKind::NotFound => "name another with -c, or write one with `vestibule init`",
            _ => secrets::remedy(&e),
        };
        problem(1, format!("cannot be read: {e}; {remedy}"))
    })?;
    if around::is_utf16(&bytes) {
        return Err(problem(1, "is UTF-16 text, as PowerShell's > writes it; save it as UTF-8".to_owned()));
    }
    String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        problem(
            before.iter().filter(|byte| **byte == b'\n').count() + 1,
            "is not UTF-8 text here; save it as UTF-8".to_owned(),
        )
    })
}

/// What was read, with its warnings; or all problems, warnings too, where one of them is an error.
fn judged(config: Option<Config>, reader: Reader<'_>) -> Result<Config, Vec<Problem>> {
    let config = config.filter(|_| reader.is_clean());
    let problems = reader.into_problems();
    match config {
        Some(config) => Ok(Config { warnings: problems, ..config }),
        None => Err(problems),
    }
}

fn read(reader: &Reader<'_>) -> Option<Config> {
    let table = reader.parse();
    if !reader.is_clean() {
        return None;
    }
    let root = Section::root(reader, &table);
    let mut owners = Owners::default();
    let session = tenants::session(&root, &mut owners);
    let tenants = tenants::tenants(&root, &session, &mut owners);
    let identity = identity::identity(&root);
    let listen = server::listen(&root, &identity, &mut owners);
    session.check(reader, &listen);
    let (upstreams, names) = server::upstreams(&root, &listen, &tenants);
    let routes = routes::routes(&root, &tenants, &names);
    let exchange = routes::exchange(&root, &tenants);
    Some(Config {
        listen,
        session_keys: session.keys,
        exchange,
        identity,
        upstreams,
        routes,
        failures: server::failures(&root),
        ledger: ledger::ledger(&root, &mut owners),
        log: server::log(&root),
        pages: pages::pages(&root),
        warnings: Vec::new(),
        tenants,
    })
}
