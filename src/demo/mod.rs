//! `vestibule demo`: a customer's app, Vestibule, and a helpdesk with a chat behind it, in one process, on loopback, without a
//! file.

mod caller;
mod chat;
mod configuration;
mod desk_sessions;
mod helpdesk;
mod people;
mod seen;
mod shop;
mod streams;
mod tickets;
mod tokens;
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

use configuration::Around;
use desk_sessions::DeskSessions;
use helpdesk::Helpdesk;
use seen::Seen;
use shop::Shop;
use streams::Serving;
use tickets::Tickets;
use tokens::Signer;
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

/// Runs all of it until Ctrl-C or SIGTERM. `open_at` is the port of the customer's app, 0 for any.
pub async fn run(open_at: u16) -> Result<(), DemoError> {
    let clock = Clock::system();
    // Bound before Vestibule starts, because its configuration names them.
    let (shop, shop_address) = bind(open_at)?;
    let (helpdesk, helpdesk_address) = bind(0)?;
    let (chat, chat_address) = bind(0)?;
    let (session_key, widget_key) = (secret::generate(), secret::generate());
    let around = Around { shop: shop_address, helpdesk: helpdesk_address, chat: chat_address };
    let configuration = configuration::text(around);
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
        // Another name, so that browsers see two sites, and one for which they take `Secure` cookies over plain HTTP.
        portal: format!("http://localhost:{}", vestibule.address.port()),
        helpdesk: format!("http://{helpdesk_address}"),
    };
    let url = places.shop.clone();
    let seen = Arc::new(Seen::new(clock.clone()));
    let (ended, until_end) = watch::channel(false);
    let nordwind = Shop {
        places: places.clone(),
        signer: Signer { secret: widget_key, clock: clock.clone(), vestibule: vestibule.address },
    };
    let harbour = Helpdesk {
        places,
        tickets: Tickets::invented(),
        sessions: DeskSessions::default(),
        seen: seen.clone(),
        configuration: Arc::from(configuration),
    };
    let manner = live::manner(&config.listen);
    let apps = [
        listener::serve(
            Reception::lasting(HttpServer::new_app(nordwind), manner.clone()),
            shop,
            Hours::until(until_end.clone()),
        ),
        listener::serve(Reception::lasting(Serving::new(harbour), manner), helpdesk, Hours::until(until_end)),
        tokio::spawn(chat::serve(chat, seen, clock)),
    ];
    println!(
        "{url}\n\nOpen it in a browser, choose who you are, and ask in the chat in the corner.\n\
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
