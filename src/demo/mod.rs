//! `vestibule demo`: a customer's app, Vestibule and a helpdesk behind it, in one process, on loopback, without a file.

mod helpdesk;
mod people;
mod shop;
mod tickets;
mod web;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use pingora::apps::http_app::HttpServer;
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    config::{Config, Problem},
    listener::{self, Hours, Reception},
    live, secret,
    server::{self, StartError},
    signals::{Ask, Signals},
    time::Clock,
};

use helpdesk::Helpdesk;
use shop::Shop;
use tickets::Tickets;
use web::Places;

/// Nordwind as Vestibule's configuration names it.
const TENANT: &str = "nordwind";
const WIDGET_KEY_ID: &str = "widget";
const GRACE: Duration = Duration::from_secs(2);

/// Why the demo cannot run.
#[derive(Debug, Error)]
pub enum DemoError {
    #[error("{address} cannot be listened on: {error}; stop what listens there, or choose another with --port")]
    Bind { address: SocketAddr, error: io::Error },
    #[error("configuration of the demo is wrong: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Config(Vec<Problem>),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("signals cannot be received: {0}")]
    Signals(io::Error),
}

/// Runs all three until Ctrl-C or SIGTERM. `open_at` is the port of the customer's app, 0 for any.
pub async fn run(open_at: u16) -> Result<(), DemoError> {
    let clock = Clock::system();
    // Bound before Vestibule starts, because its configuration names both.
    let (shop, shop_address) = bind(open_at)?;
    let (helpdesk, helpdesk_address) = bind(0)?;
    let (session_key, widget_key) = (secret::generate(), secret::generate());
    let configuration = configuration(shop_address, helpdesk_address);
    let secrets = |name: &str| match name {
        "SESSION_KEY" => Some(session_key.to_string()),
        "WIDGET_KEY" => Some(widget_key.to_string()),
        _ => None,
    };
    let config = Config::parse(Path::new("demo.toml"), &configuration, &secrets).map_err(DemoError::Config)?;
    let mut signals = Signals::receive().map_err(DemoError::Signals)?;
    let vestibule = server::start(&config, clock.clone()).await?;
    let places = Places {
        shop: format!("http://{shop_address}"),
        portal: format!("http://{}", vestibule.address),
        helpdesk: format!("http://{helpdesk_address}"),
    };
    let url = places.shop.clone();
    let (ended, until_end) = watch::channel(false);
    let apps = [
        listener::serve(
            Reception::lasting(
                HttpServer::new_app(Shop { places: places.clone(), secret: widget_key, clock }),
                live::manner(&config.listen),
            ),
            shop,
            Hours::until(until_end.clone()),
        ),
        listener::serve(
            Reception::lasting(
                HttpServer::new_app(Helpdesk {
                    places,
                    tickets: Tickets::invented(),
                    configuration: Arc::from(configuration),
                }),
                live::manner(&config.listen),
            ),
            helpdesk,
            Hours::until(until_end),
        ),
    ];
    println!(
        "{url}\n\nOpen it in a browser, choose who you are, and open your tickets from the chat in the corner.\n\
         Everything is in memory and on this machine alone; Ctrl-C ends it."
    );
    // There is nothing to reload, and nobody to hand over to.
    while signals.next().await == Ask::Reload {}
    vestibule.stop(GRACE).await;
    // Last, so that requests in flight through Vestibule find the helpdesk to the end.
    let _ = ended.send(true);
    for app in apps {
        app.abort();
    }
    Ok(())
}

fn bind(port: u16) -> Result<(TcpListener, SocketAddr), DemoError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|error| DemoError::Bind { address, error })
}

/// All that Vestibule is told; the helpdesk shows it to the visitor.
fn configuration(shop: SocketAddr, helpdesk: SocketAddr) -> String {
    format!(
        r#"[listen]
address = "127.0.0.1:0"        # any free port

[session]
keys = [{{ id = "demo", env = "SESSION_KEY" }}]
lifetime = "1h"
cookie = "vestibule"           # plain HTTP here, so not __Host-…
insecure_cookie = true

[ledger]
memory = true

[tenants.{TENANT}]
dialect = "gateway"
claims = {{ name = "userName" }}
keys = [{{ id = "{WIDGET_KEY_ID}", env = "WIDGET_KEY" }}]
allow_roles = ["customer", "agent"]
origins = ["http://{shop}"]
login_url = "http://{shop}/support"
logout_url = "http://{shop}/?left"

[upstreams.helpdesk]
servers = ["{helpdesk}"]

[[routes]]
path = "/"
upstream = "helpdesk"
handoff_param = "token"

[[routes]]
path = "/agents"
upstream = "helpdesk"
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
    use super::*;

    #[test]
    fn the_configuration_is_right() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 4000));
        let secrets = |name: &str| Some(format!("{name} that is long enough to be a secret"));
        let config = Config::parse(Path::new("demo.toml"), &configuration(address, address), &secrets);
        assert_eq!(config.map(|config| config.routes.len()), Ok(3));
    }
}
