//! `[session]` and `[tenants]`.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{
    cookies::{check_note, check_session_cookie},
    hosts::host_name,
    keys::{self, Holders},
    problem::instead,
    reader::{Reader, Section},
    secrets::{Owners, Purpose, secret},
    server::Listen,
    urls::{url, warn_of_plain_http},
};
use crate::{
    dialect::{ClaimNames, Dialect},
    identity::TenantId,
    origin::{Origins, parse_origin},
    secret::Secret,
    session::{Lifetime, Place},
    tenant::{CookieRules, ExchangeRules, Handoff, OnSwitch, SessionRules, Tenant, Tenants, Transport, Uses},
    token::{Ceiling, MAX_LEEWAY, TokenRules},
};

/// `[session]`: what tenants share.
pub struct Session {
    pub keys: Vec<Secret>,
    has_keys: bool,
    cookie: String,
    lifetime: Lifetime,
    transport: Transport,
    /// Where its name was chosen, and the lack of `Secure`.
    cookie_at: usize,
    insecure_at: usize,
}

impl Session {
    /// Whether its cookies may travel as they would.
    pub fn check(&self, reader: &Reader<'_>, listen: &Listen) {
        if self.transport == Transport::Plain && !listen.address.ip().to_canonical().is_loopback() {
            reader.warn(
                self.insecure_at,
                "session.insecure_cookie sends sessions over networks in the clear, where anyone on the way can take them; \
                 serve over TLS and remove it, or listen on 127.0.0.1",
            );
        }
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// Reads `[session]`.
pub fn session(root: &Section<'_>, owners: &mut Owners) -> Session {
    let section = root.section("session");
    let (mut secrets, mut ids) = (Vec::new(), HashSet::new());
    let mut session = Session {
        keys: Vec::new(),
        has_keys: false,
        cookie: "__Host-vestibule".into(),
        lifetime: Lifetime { absolute: 12 * HOUR, idle: None },
        transport: Transport::Secure,
        cookie_at: 0,
        insecure_at: 0,
    };
    let Some(section) = section else { return session };
    for key in section.sections("keys") {
        session.has_keys = true;
        keys::key_id(&key, &mut ids);
        if let Some(secret) = secret(&key) {
            owners.claim(&key, &secret, "session", Purpose::Sessions);
            secrets.push(secret);
        }
    }
    session.cookie_at = section.place("cookie");
    session.insecure_at = section.place("insecure_cookie");
    session.lifetime.absolute = section.lasting("lifetime").unwrap_or(session.lifetime.absolute);
    session.lifetime.idle = section.lasting("idle");
    if section.flag("insecure_cookie") == Some(true) {
        session.transport = Transport::Plain;
    }
    if let Some(cookie) = section.text("cookie") {
        check_session_cookie(&section, cookie, session.transport);
        session.cookie = cookie.value.to_owned();
    } else if session.transport == Transport::Plain {
        section.problem(
            "insecure_cookie",
            "the cookie's default name starts with __Host-, which needs Secure; add cookie = \"vestibule\"",
        );
    }
    session.keys = secrets;
    session
}

/// Reads `[tenants]`.
pub fn tenants(root: &Section<'_>, session: &Session, owners: &mut Owners) -> Tenants {
    let (mut tenants, mut holders) = (Vec::new(), Holders::default());
    for (name, section) in root.named("tenants") {
        let is_id = |id: &str| {
            !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        if !is_id(name.value) {
            section
                .reader
                .report(name.at, format!("tenant {:?} is no id; use up to 64 letters, digits, _ and -", name.value));
        }
        let tenant = tenant(&section, TenantId::new(name.value), session, owners);
        holders.claim(&section, &tenant.0);
        tenants.push(tenant);
    }
    if !tenants.is_empty() && !session.has_keys {
        root.problem(
            "session",
            "session.keys is missing; add [session] keys = [{ id = \"2026-11\", env = \"VESTIBULE_SESSION_KEY\" }]",
        );
    }
    Tenants::new(tenants)
}

fn tenant(section: &Section<'_>, id: TenantId, session: &Session, owners: &mut Owners) -> (Arc<Tenant>, Vec<String>) {
    let dialect = section.choice("dialect", &Dialect::NAMES).unwrap_or_else(|| {
        if !section.has("dialect") {
            section.problem(
                "dialect",
                format!(
                    "{} has no dialect; add dialect = \"gateway\", \"seggwat\", \"productlane\" or \"custom\"",
                    section.name
                ),
            );
        }
        Dialect::Custom
    });
    let cookie = CookieRules {
        name: dialect.cookie().unwrap_or(&session.cookie).replace("{tenant}", id.as_str()),
        transport: session.transport,
        place: Place::Own,
    };
    check_note(section, session.cookie_at, &cookie);
    let origins = origins(section);
    let tenant = Tenant {
        tokens: token_rules(section, &id, dialect, owners),
        sessions: SessionRules {
            lifetime: Lifetime {
                absolute: section
                    .lasting("session_lifetime")
                    .or(dialect.session_lifetime())
                    .unwrap_or(session.lifetime.absolute),
                idle: session.lifetime.idle,
            },
            embedded: (!origins.is_empty()).then(|| cookie.embedded()),
            cookie,
        },
        exchange: ExchangeRules {
            uses: if section.flag("single_use") == Some(false) { Uses::Many } else { Uses::Once },
            handoff: section
                .choice("handoff", &[("redirect", Handoff::Redirect), ("confirm", Handoff::Confirm)])
                .unwrap_or(Handoff::Redirect),
            on_switch: section
                .choice(
                    "on_switch",
                    &[("confirm", OnSwitch::Confirm), ("replace", OnSwitch::Replace), ("reject", OnSwitch::Reject)],
                )
                .unwrap_or(OnSwitch::Confirm),
            vendor_path: dialect.exchange_path(),
        },
        origins,
        login_url: url(section, "login_url"),
        logout_url: url(section, "logout_url"),
        id,
    };
    (Arc::new(tenant), hosts(section))
}

fn token_rules(section: &Section<'_>, id: &TenantId, dialect: Dialect, owners: &mut Owners) -> TokenRules {
    let leeway = section.grace("leeway", MAX_LEEWAY).unwrap_or(Duration::from_secs(30));
    let max_lifetime = section.lasting("max_token_lifetime").unwrap_or(dialect.max_token_lifetime());
    let audience = section.text("audience").map(|text| text.value.to_owned());
    TokenRules {
        keys: keys::tenant_keys(section, owners),
        claims: claims(section, dialect),
        max_lifetime,
        leeway,
        audience: audience.or_else(|| dialect.audience_is_tenant().then(|| id.as_str().to_owned())),
        issuer: section.text("issuer").map(|text| text.value.to_owned()),
        validity_in_minutes: dialect.counts_validity_in_minutes(),
        ceiling: ceiling(section),
    }
}

fn claims(section: &Section<'_>, dialect: Dialect) -> ClaimNames {
    let mut claims = dialect.claims();
    if let Some(names) = section.section("claims") {
        let set = |key: &'static str, claim: &mut Option<String>| {
            let Some(name) = names.text(key) else { return };
            if name.value.split('.').any(str::is_empty) {
                names.problem(key, format!("{:?} names no claim; write \"uid\" or \"realm.roles\"", name.value));
            }
            *claim = Some(name.value.to_owned());
        };
        let mut user = Some(claims.user);
        set("user", &mut user);
        claims.user = user.unwrap_or_default();
        set("tenant", &mut claims.tenant);
        set("roles", &mut claims.roles);
        set("email", &mut claims.email);
        set("name", &mut claims.name);
        set("plan", &mut claims.plan);
        set("picture", &mut claims.picture);
    }
    if claims.user.is_empty() && section.is_text("dialect", "custom") {
        section.problem(
            "claims",
            format!("{} does not say which claim is the user; add claims = {{ user = \"sub\" }}", section.name),
        );
    }
    claims
}

fn ceiling(section: &Section<'_>) -> Ceiling {
    let allowed = section.texts("allow_roles");
    super::routes::warn_of_any_role(section, allowed.iter().flatten());
    let allowed = allowed.map(|roles| roles.iter().map(|role| role.value.to_owned()).collect());
    let rejects = section.choice("on_excess_role", &[("drop", false), ("reject", true)]);
    match allowed {
        None => {
            if rejects.is_some() {
                section.problem("on_excess_role", "on_excess_role says nothing without allow_roles; add it");
            }
            Ceiling::Open
        }
        Some(allowed) if rejects == Some(true) => Ceiling::Reject(allowed),
        Some(allowed) => Ceiling::Drop(allowed),
    }
}

fn hosts(section: &Section<'_>) -> Vec<String> {
    section.texts("hosts").unwrap_or_default().into_iter().filter_map(|host| host_name(section, host)).collect()
}

fn origins(section: &Section<'_>) -> Origins {
    let mut origins = Vec::new();
    for given in section.texts("origins").unwrap_or_default() {
        match parse_origin(given.value) {
            Ok(origin) => {
                warn_of_plain_http(section, given.at, &origin);
                origins.push(origin);
            }
            Err(meant) => {
                let remedy = match &meant {
                    Some(meant) => instead(given.value, std::iter::once(meant.as_str())),
                    None if given.value.contains('*') => {
                        "; one label may be left open, as in https://*.acme.example".to_owned()
                    }
                    None => "; write https://app.acme.example".to_owned(),
                };
                section.reader.report(given.at, format!("{:?} is not an origin{remedy}", given.value));
            }
        }
    }
    Origins::new(origins)
}
