//! Proxies behind the door, which obey `Connection` (RFC 9110 section 7.6.1): what a client nominates must not cost the app the
//! identity.

use super::peers::{Behind, Peers};
use crate::support::{Door, Issuer, Upstream, one_tenant};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_nominate_identity_away_at_a_proxy_behind() {
    let app = Upstream::start().await;
    let peers = Peers::start(&[Behind { nginx: app.address, haproxy: app.address }]);
    for behind in [peers.nginx(0), peers.haproxy(0)] {
        let door = Door::start(&one_tenant(&format!("unix:{}", behind.display()), "acme", "gateway", "")).await;
        for nominated in ["close, X-User-Id", "x-user-id", "X-Roles,X-Tenant", "keep-alive, x-user-email"] {
            let request = door.get("/").header("Connection", nominated).bearer(Issuer::ACME.token("maya"));
            assert_eq!(request.send().await.status, 200, "{nominated} through {}", behind.display());
            assert_eq!(app.last().identity(), ("maya", "acme", "agent"), "{nominated} through {}", behind.display());
        }
    }
}
