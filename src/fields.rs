//! Names of header fields as apps read them, and the one list of those by which a client could claim what it has to prove.
//!
//! CGI, WSGI and PHP do not tell `-`, `_`, `.` and case apart, so names are compared folded: letters and digits in lower case.

/// The folded bytes of a name.
pub fn fold(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase)
}

/// [`fold`], as text.
pub fn folded(name: &[u8]) -> String {
    fold(name).map(char::from).collect()
}

/// The longest folded name that is compared whole, in bytes.
pub const LONGEST_NAME: usize = 256;

/// A folded name, made without allocating. A longer one keeps its beginning: it equals none, and may still be of a family.
pub struct Fold {
    bytes: [u8; LONGEST_NAME],
    length: usize,
    is_whole: bool,
}

impl Fold {
    /// Folds a name.
    pub fn of(name: &str) -> Self {
        let mut fold = Self { bytes: [0; LONGEST_NAME], length: 0, is_whole: true };
        for byte in self::fold(name.as_bytes()) {
            match fold.bytes.get_mut(fold.length) {
                Some(place) => *place = byte,
                None => {
                    fold.is_whole = false;
                    break;
                }
            }
            fold.length += 1;
        }
        fold
    }

    /// The beginning of the folded name.
    pub fn start(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    /// The folded name, where it is not too long to equal any.
    pub fn whole(&self) -> Option<&str> {
        self.is_whole.then(|| self.start())
    }
}

/// What a header claims. None of these is a client's to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Who is calling, by the convention of another proxy or login.
    Caller,
    /// From where, and under which address and scheme.
    Visitor,
    /// That another URL is meant than the one that was decided on.
    Target,
    /// What makes web servers send files of their own.
    Files,
}

/// By the beginning of the folded name; in order, and none begins with another.
const CLAIMS: [(&str, Claim); 91] = [
    ("cfaccess", Claim::Caller),
    ("cfconnectingip", Claim::Visitor),
    ("clientcert", Claim::Caller),
    ("clientip", Claim::Visitor),
    ("fastlyclientip", Claim::Visitor),
    ("forwarded", Claim::Visitor),
    ("frontendhttps", Claim::Visitor),
    ("mellon", Claim::Caller),
    ("oidcaccesstoken", Claim::Caller),
    ("oidcclaim", Claim::Caller),
    ("oidcidtoken", Claim::Caller),
    ("proxyclientip", Claim::Visitor),
    ("remoteaddr", Claim::Visitor),
    ("remotedisplayname", Claim::Caller),
    ("remoteemail", Claim::Caller),
    ("remotegroup", Claim::Caller),
    ("remotehost", Claim::Visitor),
    ("remotename", Claim::Caller),
    ("remoterole", Claim::Caller),
    ("remoteuid", Claim::Caller),
    ("remoteuser", Claim::Caller),
    ("shib", Claim::Caller),
    ("sslcert", Claim::Caller),
    ("sslclient", Claim::Caller),
    ("tailscale", Claim::Caller),
    ("tlsclient", Claim::Caller),
    ("trueclientip", Claim::Visitor),
    ("wlproxyclientip", Claim::Visitor),
    ("xaccel", Claim::Files),
    ("xamznmtls", Claim::Caller),
    ("xamznoidc", Claim::Caller),
    ("xapigatewayapiuserinfo", Claim::Caller),
    ("xarrclientcert", Claim::Caller),
    ("xauthemail", Claim::Caller),
    ("xauthenticated", Claim::Caller),
    ("xauthentik", Claim::Caller),
    ("xauthgroups", Claim::Caller),
    ("xauthrequest", Claim::Caller),
    ("xauthroles", Claim::Caller),
    ("xauthuser", Claim::Caller),
    ("xazureclientip", Claim::Visitor),
    ("xcertificate", Claim::Caller),
    ("xclientcert", Claim::Caller),
    ("xclientdn", Claim::Caller),
    ("xclientip", Claim::Visitor),
    ("xclientverif", Claim::Caller),
    ("xclusterclientip", Claim::Visitor),
    ("xconsumercustomid", Claim::Caller),
    ("xconsumerid", Claim::Caller),
    ("xconsumerusername", Claim::Caller),
    ("xcredentialidentifier", Claim::Caller),
    ("xendpointapiuserinfo", Claim::Caller),
    ("xenvoyexternaladdress", Claim::Visitor),
    ("xenvoyinternal", Claim::Visitor),
    ("xenvoyoriginal", Claim::Target),
    ("xforwarded", Claim::Visitor),
    ("xgoogauthenticated", Claim::Caller),
    ("xgoogiap", Claim::Caller),
    ("xhttphostoverride", Claim::Target),
    ("xlighttpdsendfile", Claim::Files),
    ("xmsclientprincipal", Claim::Caller),
    ("xmstoken", Claim::Caller),
    ("xoriginalfor", Claim::Visitor),
    ("xoriginalhost", Claim::Target),
    ("xoriginalmethod", Claim::Target),
    ("xoriginalpath", Claim::Target),
    ("xoriginalproto", Claim::Visitor),
    ("xoriginaluri", Claim::Target),
    ("xoriginalurl", Claim::Target),
    ("xoriginatingip", Claim::Visitor),
    ("xpomerium", Claim::Caller),
    ("xrealip", Claim::Visitor),
    ("xremoteaddr", Claim::Visitor),
    ("xremoteemail", Claim::Caller),
    ("xremoteextra", Claim::Caller),
    ("xremotegroup", Claim::Caller),
    ("xremoteip", Claim::Visitor),
    ("xremotename", Claim::Caller),
    ("xremoterole", Claim::Caller),
    ("xremoteuid", Claim::Caller),
    ("xremoteuser", Claim::Caller),
    ("xrewriteur", Claim::Target),
    ("xscheme", Claim::Visitor),
    ("xscriptname", Claim::Target),
    ("xsendfile", Claim::Files),
    ("xssl", Claim::Caller),
    ("xtlsclient", Claim::Caller),
    ("xurlscheme", Claim::Visitor),
    ("xuserinfo", Claim::Caller),
    ("xvouch", Claim::Caller),
    ("xwebauth", Claim::Caller),
];

/// What a name claims, by the beginning of its fold.
pub fn claim(fold: &str) -> Option<Claim> {
    let after = CLAIMS.partition_point(|(start, _)| *start <= fold);
    let (start, claim) = CLAIMS.get(after.checked_sub(1)?)?;
    fold.starts_with(start).then_some(*claim)
}

/// Folds of those that are written anew for every request and believed of a trusted proxy, and how it has to spell them.
pub const WRITTEN: [(&str, &str); 4] = [
    ("xforwardedfor", "x-forwarded-for"),
    ("xforwardedhost", "x-forwarded-host"),
    ("xforwardedproto", "x-forwarded-proto"),
    ("xrequestid", "x-request-id"),
];

/// Whether it is one of [`WRITTEN`].
pub fn is_written(fold: &str) -> bool {
    WRITTEN.iter().any(|(written, _)| *written == fold)
}

/// Folds of names by which a client could turn a method that a route admits into one it does not.
pub const OVERRIDES: [&str; 3] = ["xhttpmethod", "xhttpmethodoverride", "xmethodoverride"];

/// Folds of what belongs to a connection or a message and not to a request (RFC 9110 section 7.6.1), or of what CGI hands to the
/// app as the address of its own proxy (`Proxy` as `HTTP_PROXY`, CVE-2016-5385).
pub const OF_THE_HOP: [&str; 11] = [
    "connection",
    "http2settings",
    "keepalive",
    "proxy",
    "proxyauthenticate",
    "proxyauthorization",
    "proxyconnection",
    "te",
    "trailer",
    "transferencoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_as_apps_fold_them() {
        for name in ["X-User-Id", "x_user_id", "X.User.Id", "x-userid", "XUSERID", "x--user-id_"] {
            assert_eq!(Fold::of(name).whole(), Some("xuserid"), "{name}");
        }
        let long = Fold::of(&format!("X-Auth-Request-{}", "a".repeat(300)));
        assert_eq!((long.whole(), claim(long.start())), (None, Some(Claim::Caller)));
    }

    #[test]
    fn the_list_can_be_searched() {
        assert!(CLAIMS.is_sorted_by(|(one, _), (next, _)| one < next && !next.starts_with(one)));
        for (start, wanted) in CLAIMS {
            assert_eq!(claim(start), Some(wanted));
            assert_eq!(claim(&format!("{start}z")), Some(wanted));
            assert_eq!(claim(&start[..start.len() - 1]), None, "{start}");
        }
    }

    #[test]
    fn conventions_of_others_are_in_the_list_and_names_of_apps_are_not() {
        for name in [
            "Remote-User",
            "X-Remote-Groups",
            "X_WEBAUTH_USER",
            "X.Auth.Request.Preferred.Username",
            "X-authentik-username",
            "X-Pomerium-Jwt-Assertion",
            "Tailscale-User-Login",
            "X-MS-CLIENT-PRINCIPAL-NAME",
            "X-Goog-Authenticated-User-Email",
            "Cf-Access-Jwt-Assertion",
            "X-SSL-Client-S-DN",
            "SSL_CLIENT_VERIFY",
            "X-Client-Cert-Subject",
            "Client-Cert-Chain",
        ] {
            assert_eq!(claim(&folded(name.as_bytes())), Some(Claim::Caller), "{name}");
        }
        for (name, wanted) in [
            ("Forwarded", Claim::Visitor),
            ("X-Forwarded-Prefix", Claim::Visitor),
            ("True-Client-IP", Claim::Visitor),
            ("X-Sendfile-Type", Claim::Files),
            ("X-Accel-Mapping", Claim::Files),
            ("X-Original-URL", Claim::Target),
            ("X-Rewrite-URL", Claim::Target),
        ] {
            assert_eq!(claim(&folded(name.as_bytes())), Some(wanted), "{name}");
        }
        for name in [
            "Accept",
            "Authorization",
            "Origin",
            "Referer",
            "traceparent",
            "tracestate",
            "baggage",
            "X-Auth-Token",
            "X-CSRF-Token",
            "X-Requested-With",
            "X-Request-Id",
            "X-API-Key",
            "Sec-Fetch-Site",
            "Sec-WebSocket-Key",
            "Last-Event-ID",
            "User-Agent",
            "X-Remote-Control",
            "Client-Version",
        ] {
            assert_eq!(claim(&folded(name.as_bytes())), None, "{name}");
        }
    }
}
