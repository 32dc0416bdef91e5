//! The helpdesk's chat: WebSockets behind Vestibule. Like the helpdesk it has no sign-in, and believes the identity headers.

mod assistant;
mod lobby;

use std::{net::TcpListener as StdListener, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Method, StatusCode, header::SEC_WEBSOCKET_PROTOCOL};
use serde::Deserialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, broadcast::error::RecvError},
    time::{interval, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::WebSocketConfig,
    },
};

use super::{caller::Caller, seen::Seen};
use crate::{log, time::Clock};
use lobby::{LONGEST_MESSAGE, Lobby, News, Saying, Side};

const PROTOCOL: &str = "chat";
/// Where agents hear all rooms; Vestibule asks for their role there.
const STAFF: &str = "/agents/chat";
const MOST_CONNECTIONS: usize = 64;
/// A letter has four bytes at most.
const LONGEST_FRAME: usize = 4 * LONGEST_MESSAGE + 256;
const PATIENCE: Duration = Duration::from_secs(10);
const HEARTBEAT: Duration = Duration::from_secs(20);

/// What a page sends.
#[derive(Deserialize)]
struct Spoken {
    text: String,
    /// For agents, who are in every room.
    room: Option<String>,
}

/// Who sits at a connection.
struct Seat {
    caller: Caller,
    side: Side,
}

impl Seat {
    /// The one room that is heard; agents hear all.
    fn room(&self) -> Option<&str> {
        (self.side == Side::Customer).then_some(&*self.caller.id)
    }
}

/// Serves chats until it is dropped.
pub async fn serve(listener: StdListener, seen: Arc<Seen>, clock: Clock) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(e) => return log::caution(&format!("the chat of the demo is lost: {e}")),
    };
    let (lobby, places) = (Arc::new(Lobby::new(clock)), Arc::new(Semaphore::new(MOST_CONNECTIONS)));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Perhaps the system has no file descriptor left.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (lobby, seen) = (lobby.clone(), seen.clone());
        tokio::spawn(async move {
            if let Some((socket, seat)) = greet(stream, &seen).await {
                let is_agent = seat.side == Side::Agent;
                if is_agent {
                    lobby.staff(1);
                }
                // Whatever ended it, the browser comes again.
                let _ = converse(socket, &seat, &lobby).await;
                if is_agent {
                    lobby.staff(-1);
                }
            }
            drop(place);
        });
    }
}

/// The handshake. Nothing is checked but that somebody is named.
// The library's type for what it answers is large.
#[allow(clippy::result_large_err)]
async fn greet(stream: TcpStream, seen: &Seen) -> Option<(WebSocketStream<TcpStream>, Seat)> {
    let mut seat = None;
    let read = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let headers = request.headers();
        seen.note(&Method::GET, request.uri().path(), headers);
        let Some(caller) = Caller::of(headers) else {
            let mut refusal = ErrorResponse::new(Some("nobody said who is calling\n".to_owned()));
            *refusal.status_mut() = StatusCode::UNAUTHORIZED;
            return Err(refusal);
        };
        let side = if request.uri().path() == STAFF { Side::Agent } else { Side::Customer };
        seat = Some(Seat { caller, side });
        let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
        if offered.flat_map(|value| value.split(',')).any(|name| name.trim() == PROTOCOL) {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
        }
        Ok(response)
    };
    let config = WebSocketConfig::default().max_message_size(Some(LONGEST_FRAME)).max_frame_size(Some(LONGEST_FRAME));
    let socket = timeout(PATIENCE, accept_hdr_async_with_config(stream, read, Some(config))).await.ok()?.ok()?;
    Some((socket, seat?))
}

/// Until one side has enough.
async fn converse(mut socket: WebSocketStream<TcpStream>, seat: &Seat, lobby: &Arc<Lobby>) -> Option<()> {
    let mut news = lobby.listen();
    let mut heartbeat = interval(HEARTBEAT);
    send(&mut socket, Message::text(lobby.so_far(seat.room()).to_string())).await?;
    loop {
        tokio::select! {
            heard = news.recv() => match heard {
                Ok(News { room, line }) if room.is_none() || seat.room().is_none() || room.as_deref() == seat.room() => {
                    send(&mut socket, Message::text(&*line)).await?;
                }
                Ok(_) => {}
                // It has missed some: all of it once more.
                Err(RecvError::Lagged(_)) => {
                    send(&mut socket, Message::text(lobby.so_far(seat.room()).to_string())).await?;
                }
                Err(RecvError::Closed) => return None,
            },
            message = socket.next() => match message?.ok()? {
                Message::Text(text) => hear(&text, seat, lobby),
                Message::Close(_) => {
                    // The answer to it was made by the library, and leaves with this.
                    let _ = timeout(PATIENCE, socket.flush()).await;
                    return None;
                }
                _ => {}
            },
            _ = heartbeat.tick() => send(&mut socket, Message::Ping(Default::default())).await?,
        }
    }
}

fn hear(text: &str, seat: &Seat, lobby: &Arc<Lobby>) {
    let Ok(spoken) = serde_json::from_str::<Spoken>(text) else { return };
    let room = seat.room().or(spoken.room.as_deref()).unwrap_or_default();
    if seat.side == Side::Customer && !spoken.text.trim().is_empty() {
        lobby.open(&seat.caller.id, &seat.caller.name);
    }
    lobby.say(room, &Saying { from: seat.side, author: &seat.caller.name, text: &spoken.text, offers: None });
    if seat.side == Side::Customer {
        assistant::answer(lobby.clone(), seat.caller.clone(), &spoken.text);
    }
}

async fn send(socket: &mut WebSocketStream<TcpStream>, message: Message) -> Option<()> {
    timeout(PATIENCE, socket.send(message)).await.ok()?.ok()
}
