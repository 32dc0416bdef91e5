//! The chats: a room for each customer, in memory, and who is told of what is said.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::time::Clock;

const MOST_ROOMS: usize = 100;
/// Of each room the last are kept.
const MOST_MESSAGES: usize = 100;
pub const LONGEST_MESSAGE: usize = 1_000;
/// What a slow reader may be behind; then it gets everything anew.
const BACKLOG: usize = 64;
/// For so many seconds after an agent spoke the assistant holds its tongue.
const AGENT_LEADS: i64 = 180;

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Customer,
    Assistant,
    Agent,
}

/// Something said.
#[derive(Clone, Serialize)]
pub struct Message {
    number: u64,
    pub room: String,
    from: Side,
    author: String,
    text: String,
    /// Seconds since 1970.
    at: i64,
    /// A page of the portal to open.
    offers: Option<&'static str>,
}

/// To be said.
pub struct Saying<'a> {
    pub from: Side,
    pub author: &'a str,
    pub text: &'a str,
    pub offers: Option<&'static str>,
}

/// A line for those it concerns: one room and the agents, or everybody.
#[derive(Clone)]
pub struct News {
    pub room: Option<String>,
    pub line: Arc<str>,
}

#[derive(Default)]
struct Room {
    name: String,
    messages: VecDeque<Message>,
    agent_spoke_at: Option<i64>,
    /// One answer at a time.
    assistant_is_busy: bool,
}

impl Room {
    fn agent_leads(&self, now: i64) -> bool {
        self.agent_spoke_at.is_some_and(|then| now - then < AGENT_LEADS)
    }
}

#[derive(Default)]
struct Rooms {
    rooms: BTreeMap<String, Room>,
    said: u64,
    agents: usize,
}

/// All chats.
pub struct Lobby {
    all: Mutex<Rooms>,
    news: broadcast::Sender<News>,
    clock: Clock,
}

impl Lobby {
    /// Nobody is here yet.
    pub fn new(clock: Clock) -> Self {
        Self { all: Mutex::default(), news: broadcast::channel(BACKLOG).0, clock }
    }

    /// What is said from now on.
    pub fn listen(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Opens a customer's room when they first speak, unless there are too many.
    pub fn open(&self, id: &str, name: &str) {
        let mut all = self.all.lock();
        if all.rooms.contains_key(id) || all.rooms.len() < MOST_ROOMS {
            name.clone_into(&mut all.rooms.entry(id.to_owned()).or_default().name);
        }
    }

    /// Everything a room has heard, or with `None` every room.
    pub fn so_far(&self, room: Option<&str>) -> Value {
        let all = self.all.lock();
        let rooms = all.rooms.iter().filter(|(id, _)| room.is_none_or(|room| room == *id));
        let rooms: Vec<Value> =
            rooms.map(|(id, room)| json!({ "id": id, "name": room.name, "messages": room.messages })).collect();
        json!({ "type": "rooms", "rooms": rooms, "agents": all.agents })
    }

    /// Says something in a room; what is empty, or said in no room, is not said.
    pub fn say(&self, room: &str, saying: &Saying<'_>) {
        let text: String = saying.text.trim().chars().take(LONGEST_MESSAGE).collect();
        let mut guard = self.all.lock();
        let all = &mut *guard;
        let Some(place) = all.rooms.get_mut(room).filter(|_| !text.is_empty()) else {
            return;
        };
        all.said += 1;
        let message = Message {
            number: all.said,
            room: room.to_owned(),
            from: saying.from,
            author: saying.author.to_owned(),
            text,
            at: self.clock.now().0,
            offers: saying.offers,
        };
        if saying.from == Side::Agent {
            place.agent_spoke_at = Some(message.at);
        }
        place.messages.push_back(message.clone());
        if place.messages.len() > MOST_MESSAGES {
            place.messages.pop_front();
        }
        let name = place.name.clone();
        drop(guard);
        self.tell(Some(room), &json!({ "type": "message", "name": name, "message": message }));
    }

    /// Whether the assistant is to answer now; then it has to be [`Self::answered`], and until then it is not asked again.
    pub fn wants_assistant(&self, room: &str) -> bool {
        let now = self.clock.now().0;
        let mut all = self.all.lock();
        let Some(room) = all.rooms.get_mut(room) else {
            return false;
        };
        let wanted = !room.agent_leads(now) && !room.assistant_is_busy;
        room.assistant_is_busy |= wanted;
        wanted
    }

    /// The assistant's answer is ready; an agent may have been quicker.
    pub fn answered(&self, room: &str, saying: &Saying<'_>) {
        let now = self.clock.now().0;
        let is_late = self.all.lock().rooms.get_mut(room).is_none_or(|room| {
            room.assistant_is_busy = false;
            room.agent_leads(now)
        });
        if !is_late {
            self.say(room, saying);
        }
    }

    /// Shows that somebody writes.
    pub fn typing(&self, room: &str, author: &str) {
        self.tell(Some(room), &json!({ "type": "typing", "room": room, "author": author }));
    }

    /// An agent came or left.
    pub fn staff(&self, change: isize) {
        let mut all = self.all.lock();
        all.agents = all.agents.saturating_add_signed(change);
        let agents = all.agents;
        drop(all);
        self.tell(None, &json!({ "type": "staff", "agents": agents }));
    }

    fn tell(&self, room: Option<&str>, line: &Value) {
        // Nobody may be listening.
        let _ = self.news.send(News { room: room.map(str::to_owned), line: line.to_string().into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixTime;

    #[test]
    fn a_room_is_bounded_and_the_assistant_leaves_it_to_agents() {
        let lobby = Lobby::new(Clock::reading(|| UnixTime(1000)));
        let say = |from, text: &str| lobby.say("maya", &Saying { from, author: "x", text, offers: None });
        say(Side::Customer, "in no room");
        lobby.open("maya", "Maya");
        for count in 0..MOST_MESSAGES + 5 {
            say(Side::Customer, &"é".repeat(LONGEST_MESSAGE + count));
        }
        say(Side::Customer, "  ");
        let messages = lobby.so_far(Some("maya"))["rooms"][0]["messages"].clone();
        assert_eq!(messages.as_array().map(Vec::len), Some(MOST_MESSAGES));
        assert_eq!(messages[0]["text"].as_str().map(|text| text.chars().count()), Some(LONGEST_MESSAGE));
        let answer = Saying { from: Side::Assistant, author: "x", text: "an answer", offers: None };
        let last = || lobby.so_far(Some("maya"))["rooms"][0]["messages"][MOST_MESSAGES - 1]["text"].clone();
        assert!(lobby.wants_assistant("maya") && !lobby.wants_assistant("maya"));
        lobby.answered("maya", &answer);
        assert_eq!(last(), "an answer");
        assert!(lobby.wants_assistant("maya"));
        say(Side::Agent, "I am here");
        lobby.answered("maya", &answer);
        assert_eq!(last(), "I am here");
        assert!(!lobby.wants_assistant("maya") && !lobby.wants_assistant("tom"));
    }
}
