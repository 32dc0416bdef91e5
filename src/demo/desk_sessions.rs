//! The helpdesk's own sessions, as old apps have them beside any proxy: a cookie, and whom it was opened for. It would show the
//! next person at a browser what the one before left open; Vestibule's `session_cookies` sees to it that it does not come back.

use std::collections::VecDeque;

use http::HeaderMap;
use parking_lot::Mutex;
use serde::Serialize;

use super::caller::{self, Caller};
use crate::secret;

/// Its name in Vestibule's configuration.
pub const COOKIE: &str = "desk_session";
const MOST: usize = 200;

/// A session of the helpdesk's own.
#[derive(Clone, Serialize)]
pub struct DeskSession {
    pub id: String,
    pub opened_for: String,
    /// Whether it came with this request.
    pub came: bool,
}

/// All of them.
#[derive(Default)]
pub struct DeskSessions(Mutex<VecDeque<DeskSession>>);

impl DeskSessions {
    /// The session that a request brings, whosever it is, else a new one for who is calling.
    pub fn of(&self, headers: &HeaderMap, caller: &Caller) -> DeskSession {
        let mut all = self.0.lock();
        let brought = caller::cookie(headers, COOKIE).and_then(|id| all.iter().find(|one| one.id == id));
        if let Some(session) = brought {
            return DeskSession { came: true, ..session.clone() };
        }
        let id = secret::generate()[..12].to_owned();
        let session = DeskSession { id, opened_for: caller.name.clone(), came: false };
        all.push_front(session.clone());
        all.truncate(MOST);
        session
    }
}
