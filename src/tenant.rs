//! Tenants: each with its keys, its sessions and its manners, and who of them a request may be for.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use url::Url;

use crate::{
    identity::TenantId,
    keyring::Effort,
    origin::Origins,
    session::{Lifetime, Place},
    time::UnixTime,
    token::{Jwt, TokenRules},
};

/// A customer.
#[derive(Debug)]
pub struct Tenant {
    pub id: TenantId,
    pub tokens: TokenRules,
    pub sessions: SessionRules,
    pub exchange: ExchangeRules,
    pub origins: Origins,
    pub login_url: Option<Url>,
    pub logout_url: Option<Url>,
}

/// Sessions may have been begun under another configuration, which gave them longer: that of one dialect is 30 days.
const LONGEST_USUAL: Duration = Duration::from_secs(31 * 86_400);

impl Tenant {
    /// When nothing is left of what was issued up to `at`: no session, and no token that could be exchanged for one.
    pub fn outlived(&self, at: UnixTime) -> UnixTime {
        let token = self.tokens.max_lifetime + 2 * self.tokens.leeway;
        at.plus(self.sessions.lifetime.absolute.max(token).max(LONGEST_USUAL)).plus(Duration::from_secs(61))
    }
}

/// How its sessions live.
#[derive(Debug)]
pub struct SessionRules {
    pub lifetime: Lifetime,
    pub cookie: CookieRules,
    /// For frames in pages of other sites; there is none where no other site is the tenant's.
    pub embedded: Option<CookieRules>,
}

impl SessionRules {
    /// The cookie of a place, where there is one.
    pub fn cookie_in(&self, place: Place) -> Option<&CookieRules> {
        match place {
            Place::Own => Some(&self.cookie),
            Place::Embedded => self.embedded.as_ref(),
        }
    }

    /// Both of them.
    pub fn cookies(&self) -> impl Iterator<Item = &CookieRules> {
        std::iter::once(&self.cookie).chain(&self.embedded)
    }
}

/// How its session cookie is named and set.
#[derive(Clone, Debug)]
pub struct CookieRules {
    pub name: String,
    pub transport: Transport,
    pub place: Place,
}

impl CookieRules {
    /// The same for frames in pages of other sites, under a name of its own.
    pub fn embedded(&self) -> Self {
        Self { name: format!("{}-embedded", self.name), place: Place::Embedded, ..self.clone() }
    }
}

/// Whether the cookie travels over TLS alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Secure,
    /// `insecure_cookie = true`: plain-HTTP labs.
    Plain,
}

/// How a token becomes a session.
#[derive(Debug)]
pub struct ExchangeRules {
    pub uses: Uses,
    pub handoff: Handoff,
    pub on_switch: OnSwitch,
    /// A path the vendor's widgets open for an exchange.
    pub vendor_path: Option<&'static str>,
}

/// How often a token may be exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uses {
    Once,
    Many,
}

/// What a navigation with a token does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handoff {
    /// Exchanges and redirects.
    Redirect,
    /// Shows a page whose form exchanges: link previews spend nothing.
    Confirm,
}

/// What happens when a link would sign in another user than the one signed in (login CSRF).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSwitch {
    Confirm,
    Replace,
    Reject,
}

/// The tenants a request may be for.
#[derive(Debug)]
pub struct Candidates {
    /// Tells one set from another in cache keys.
    pub set: usize,
    tenants: HashMap<TenantId, Arc<Tenant>>,
    claims: HashSet<String>,
    cookies: HashMap<String, CookieRules>,
    origins: Origins,
}

impl Candidates {
    fn new(set: usize, tenants: impl IntoIterator<Item = Arc<Tenant>>) -> Self {
        let tenants: HashMap<_, _> = tenants.into_iter().map(|tenant| (tenant.id.clone(), tenant)).collect();
        Self {
            set,
            claims: tenants.values().filter_map(|tenant| tenant.tokens.claims.tenant.clone()).collect(),
            cookies: tenants
                .values()
                .flat_map(|tenant| tenant.sessions.cookies())
                .map(|cookie| (cookie.name.clone(), cookie.clone()))
                .collect(),
            origins: Origins::new(tenants.values().flat_map(|tenant| tenant.origins.iter().cloned())),
            tenants,
        }
    }

    /// The only one, where there is no choice.
    pub fn sole(&self) -> Option<&Arc<Tenant>> {
        self.tenants.values().next().filter(|_| self.tenants.len() == 1)
    }

    /// The tenant of that id, if it is a candidate.
    pub fn find(&self, id: &TenantId) -> Option<&Arc<Tenant>> {
        self.tenants.get(id)
    }

    /// The one tenant whose own claim names it in the token, which nobody has verified: good for choosing the keys to verify
    /// it with, and for nothing else.
    pub fn claimed(&self, jwt: &Jwt<'_>) -> Option<&Arc<Tenant>> {
        let mut found = None;
        for claim in &self.claims {
            let Some(id) = jwt.text(claim) else { continue };
            let named = self.tenants.get(&TenantId::new(id));
            if let Some(tenant) = named.filter(|tenant| tenant.tokens.claims.tenant.as_ref() == Some(claim)) {
                if found.is_some() {
                    return None;
                }
                found = Some(tenant);
            }
        }
        found
    }

    /// The rules of a cookie that is a session of one of them.
    pub fn cookie(&self, name: &str) -> Option<&CookieRules> {
        self.cookies.get(name)
    }

    /// The origins of all of them.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }
}

/// All tenants, and which of them a host may be for.
#[derive(Clone, Debug)]
pub struct Tenants {
    all: Arc<Candidates>,
    alone: HashMap<TenantId, Arc<Candidates>>,
    by_host: HashMap<String, Arc<Candidates>>,
    hostless: Option<Arc<Candidates>>,
    effort: Arc<Effort>,
}

impl Tenants {
    /// Takes the tenants, each with its hosts in lower case.
    pub fn new(tenants: Vec<(Arc<Tenant>, Vec<String>)>) -> Self {
        let mut sets = 0..;
        let mut set = |tenants: Vec<Arc<Tenant>>| Arc::new(Candidates::new(sets.next().unwrap_or_default(), tenants));
        let mut hosts: HashMap<String, Vec<Arc<Tenant>>> = HashMap::new();
        let mut hostless = Vec::new();
        for (tenant, its_hosts) in &tenants {
            for host in its_hosts {
                hosts.entry(host.clone()).or_default().push(tenant.clone());
            }
            if its_hosts.is_empty() {
                hostless.push(tenant.clone());
            }
        }
        Self {
            alone: tenants.iter().map(|(tenant, _)| (tenant.id.clone(), set(vec![tenant.clone()]))).collect(),
            by_host: hosts.into_iter().map(|(host, tenants)| (host, set(tenants))).collect(),
            hostless: (!hostless.is_empty()).then(|| set(hostless)),
            effort: Arc::new(Effort::of(tenants.iter().map(|(tenant, _)| &tenant.tokens.keys))),
            all: set(tenants.into_iter().map(|(tenant, _)| tenant).collect()),
        }
    }

    /// Those that name the host; else those that name none; else `None`.
    pub fn at_host(&self, host: &str) -> Option<&Arc<Candidates>> {
        self.by_host.get(host).or(self.hostless.as_ref())
    }

    /// A set of that one tenant, for a route that names it.
    pub fn alone(&self, id: &TenantId) -> Option<&Arc<Candidates>> {
        self.alone.get(id)
    }

    /// Every tenant: good for saying to whom a refused token belongs, and for nothing else.
    pub fn all(&self) -> &Candidates {
        &self.all
    }

    /// What each refused token costs, whosever it says it is.
    pub fn effort(&self) -> &Effort {
        &self.effort
    }

    /// One of the hosts that tenants name, if any does.
    pub fn a_host(&self) -> Option<&str> {
        self.by_host.keys().min().map(String::as_str)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.alone.len()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.all.tenants.values()
    }
}
