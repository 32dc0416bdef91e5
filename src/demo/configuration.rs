//! All that Vestibule is told here; the helpdesk shows it to the visitor.

use std::net::SocketAddr;

use super::{TENANT, WIDGET_KEY_ID};

/// Where the parts are that have a port before Vestibule has one.
#[derive(Clone, Copy)]
pub struct Around {
    pub shop: SocketAddr,
    pub helpdesk: SocketAddr,
    pub chat: SocketAddr,
}

/// The configuration, as a file would hold it.
pub fn text(Around { shop, helpdesk, chat }: Around) -> String {
    format!(
        r#"[listen]
address = "127.0.0.1:0"        # any free port

[session]
keys = [{{ id = "demo", env = "SESSION_KEY" }}]
lifetime = "1h"

[ledger]
memory = true

[tenants.{TENANT}]
dialect = "gateway"
claims = {{ name = "userName" }}
keys = [{{ id = "{WIDGET_KEY_ID}", env = "WIDGET_KEY" }}]
allow_roles = ["customer", "agent"]
origins = ["http://{shop}"]
on_switch = "confirm"
login_url = "http://{shop}/support"
logout_url = "http://{shop}/?left"

[upstreams.helpdesk]
servers = ["{helpdesk}"]
session_cookies = ["desk_session"]

[upstreams.chat]
servers = ["{chat}"]

[[routes]]
path = "/"
upstream = "helpdesk"
handoff_param = "token"

[[routes]]
path = "/chat"
upstream = "chat"
bearer_param = "bearer"

[[routes]]
path = "/agents"
upstream = "helpdesk"
roles = ["agent"]

[[routes]]
path = "/agents/chat"
upstream = "chat"
roles = ["agent"]

[[routes]]
path = "/public"
auth = "public"
upstream = "helpdesk"

[limits]
failures = {{ count = 30, per = "1m" }}
"#
    )
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, path::Path};

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_configuration_is_right() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let text = text(Around { shop: at(4000), helpdesk: at(4002), chat: at(4003) });
        let secrets = |name: &str| Some(format!("{name} that is long enough to be a secret"));
        let config = Config::parse(Path::new("demo.toml"), &text, &secrets);
        assert_eq!(config.map(|config| config.routes.len()), Ok(5));
    }
}
