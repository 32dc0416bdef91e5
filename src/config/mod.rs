//! The configuration: what is needed to serve, made in one step from what was written, every problem told at once.

mod identity;
mod keys;
mod ledger;
mod pages;
mod proxies;
mod reader;
mod redis;
mod routes;
mod server;
mod sources;
mod tenants;
mod tls;

use std::{path::Path, sync::Arc};

use crate::{
    exchange::ExchangeNames,
    limits::FailureRule,
    pages::Pages,
    route::{Refusals, Route, RouteTable},
    secret::Secret,
    session::SessionKeys,
    tenant::Tenants,
};

pub use identity::{Encoding, IdentityHeaders, LONGEST_NAME, fold, folded};
pub use reader::{Environment, Problem, Severity};
pub use server::{Balance, Listen, LogFormat, MAX_CONNECTIONS, MOST_SERVERS, ServerAddress, Upstream};
pub use sources::{ANY, Sources};

use reader::{Reader, Section};

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
    pub fn load(file: &Path) -> Result<Self, Vec<Problem>> {
        Self::load_noting(file).0
    }

    /// Loads a file, and says what was read for it, be it right or wrong.
    pub fn load_noting(file: &Path) -> (Result<Self, Vec<Problem>>, Sources) {
        let bytes = std::fs::read(file);
        let mut sources = Sources::default();
        sources.note(file, bytes.as_deref().ok());
        let text = bytes.and_then(|bytes| {
            String::from_utf8(bytes).map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e.utf8_error()))
        });
        match text {
            Ok(text) => {
                let env = |name: &str| std::env::var(name).ok();
                let reader = Reader::new(file, &text, &env);
                let config = read(&reader);
                sources.extend(reader.sources());
                (judged(config, reader), sources)
            }
            Err(e) => {
                let problem = Problem {
                    severity: Severity::Error,
                    file: file.display().to_string(),
                    line: 1,
                    column: 1,
                    text: format!("cannot be read: {e}; name another with -c, or write one with `vestibule init`"),
                };
                (Err(vec![problem]), sources)
            }
        }
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
    let mut session = tenants::session(&root);
    let tenants = tenants::tenants(&root, &mut session);
    let (upstreams, names) = server::upstreams(&root);
    let routes = routes::routes(&root, &tenants, &names);
    let exchange = routes::exchange(&root, &tenants);
    Some(Config {
        listen: server::listen(&root),
        session_keys: session.keys,
        exchange,
        identity: identity::identity(&root),
        upstreams,
        routes,
        failures: server::failures(&root),
        ledger: ledger::ledger(&root),
        log: server::log(&root),
        pages: pages::pages(&root),
        warnings: Vec::new(),
        tenants,
    })
}
