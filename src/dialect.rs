//! Dialects: how each vendor spells its claims, and the lifetimes that go with it.

use std::time::Duration;

/// The spelling a tenant's tokens come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Gateway,
    Seggwat,
    Productlane,
    Custom,
}

/// Which claim holds what: a claim's name or a dotted path into objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    pub user: String,
    /// `None`: the dialect has no such claim and the host decides.
    pub tenant: Option<String>,
    pub roles: Option<String>,
    pub email: Option<String>,
    pub name: Option<String>,
    pub plan: Option<String>,
    pub picture: Option<String>,
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl Dialect {
    /// All of them, by the name the configuration uses.
    pub const NAMES: [(&str, Self); 4] = [
        ("gateway", Self::Gateway),
        ("seggwat", Self::Seggwat),
        ("productlane", Self::Productlane),
        ("custom", Self::Custom),
    ];

    /// The claims as the vendor spells them; `custom` names none but a placeholder the configuration must replace.
    pub fn claims(self) -> ClaimNames {
        let some = |name: &str| Some(name.to_owned());
        let none = ClaimNames {
            user: String::new(),
            tenant: None,
            roles: None,
            email: None,
            name: None,
            plan: None,
            picture: None,
        };
        match self {
            Self::Gateway => ClaimNames {
                user: "userId".into(),
                tenant: some("tenantId"),
                roles: some("userRoles"),
                email: some("userEmail"),
                plan: some("plan"),
                ..none
            },
            Self::Seggwat => ClaimNames {
                user: "sub".into(),
                tenant: some("project_key"),
                roles: some("roles"),
                email: some("email"),
                name: some("name"),
                ..none
            },
            Self::Productlane => ClaimNames {
                user: "email".into(),
                email: some("email"),
                name: some("name"),
                picture: some("imageUrl"),
                ..none
            },
            Self::Custom => none,
        }
    }

    /// The longest `exp - iat` unless the tenant sets another.
    pub fn max_token_lifetime(self) -> Duration {
        match self {
            Self::Seggwat => DAY,
            Self::Gateway | Self::Productlane | Self::Custom => HOUR,
        }
    }

    /// How long a session lasts where the vendor has a rule of its own; others follow `[session].lifetime`.
    pub fn session_lifetime(self) -> Option<Duration> {
        match self {
            Self::Seggwat => Some(30 * DAY),
            Self::Gateway | Self::Productlane | Self::Custom => None,
        }
    }

    /// The session cookie where the vendor has a name of its own; `{tenant}` stands for the tenant's id.
    pub fn cookie(self) -> Option<&'static str> {
        match self {
            Self::Seggwat => Some("sw_bs_{tenant}"),
            Self::Gateway | Self::Productlane | Self::Custom => None,
        }
    }

    /// Whether `aud` must name the tenant when no other audience is set.
    pub fn audience_is_tenant(self) -> bool {
        self == Self::Seggwat
    }

    /// Whether `tokenValidity`, in minutes, may stand for a missing `exp`.
    pub fn counts_validity_in_minutes(self) -> bool {
        self == Self::Productlane
    }

    /// A path the vendor's widgets open, answered like the exchange.
    pub fn exchange_path(self) -> Option<&'static str> {
        match self {
            Self::Productlane => Some("/api/portal/sso"),
            Self::Gateway | Self::Seggwat | Self::Custom => None,
        }
    }
}
