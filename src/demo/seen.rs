//! The last requests as the apps behind Vestibule received them.

use std::collections::VecDeque;

use http::{HeaderMap, Method};
use parking_lot::Mutex;
use serde::Serialize;

use super::{caller::text, web};
use crate::time::Clock;

const MOST: usize = 12;
const LONGEST: usize = 120;

/// A request, as far as the log shows it. How its sender proved who they are, the app is not told.
#[derive(Clone, Serialize)]
pub struct Line {
    time: String,
    method: String,
    path: String,
    user: Option<String>,
    roles: Option<String>,
}

/// The log of both apps.
pub struct Seen {
    lines: Mutex<(u64, VecDeque<Line>)>,
    clock: Clock,
}

impl Seen {
    /// Nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self { lines: Mutex::default(), clock }
    }

    /// Notes a request. Stylesheets and the log itself are left out, or it would show nothing else.
    pub fn note(&self, method: &Method, path: &str, headers: &HeaderMap) {
        if path.starts_with("/public/") {
            return;
        }
        let short = |text: String| text.chars().take(LONGEST).collect::<String>();
        let mut lines = self.lines.lock();
        lines.0 += 1;
        let line = Line {
            time: web::time_of_day(self.clock.now()),
            method: method.to_string(),
            path: short(path.to_owned()),
            user: text(headers, "x-user-id").map(short),
            roles: text(headers, "x-roles").map(short),
        };
        lines.1.push_front(line);
        lines.1.truncate(MOST);
    }

    /// The latest number, and all lines, newest first.
    pub fn lines(&self) -> (u64, Vec<Line>) {
        let lines = self.lines.lock();
        (lines.0, lines.1.iter().cloned().collect())
    }
}
