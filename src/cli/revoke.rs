//! Ends sessions and tokens through the admin listener of a running Vestibule.

use std::{path::Path, process::ExitCode};

use zeroize::Zeroizing;

use super::{ask::ask, errors, reach, say};
use crate::{admin::Order, config::Reach};

/// Sends the order to the Vestibule that runs with this configuration.
pub fn revoke(file: &Path, order: &Order) -> Result<ExitCode, String> {
    let Some(admin) = reach(file)?.admin else {
        return Err("revocations go through the admin listener; add admin = \"127.0.0.1:9901\" to [listen]".into());
    };
    let body = serde_json::to_string(order).map_err(|e| e.to_string())?;
    let mut headers = Zeroizing::new(format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    if let Some(token) = Reach::admin_token(file).map_err(|problems| errors(&problems))? {
        let token = std::str::from_utf8(token.expose()).map_err(|_| "listen.admin_token is no text")?;
        headers.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    let answer =
        ask(admin, "POST /revocations", &headers, &body).map_err(|e| format!("{admin} does not answer: {e}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 204 ") {
        return say(&format!("revoked: {}", whom(order)));
    }
    let text = if body.is_empty() { head.lines().next().unwrap_or_default() } else { body.trim_end() };
    Err(format!("not revoked: {text}"))
}

/// Whose sessions and tokens have ended. Whether there were any, nobody knows: a session is in its cookie alone.
fn whom(order: &Order) -> String {
    let tenant = &order.tenant;
    match (&order.user, &order.session) {
        (Some(user), _) => format!(
            "user {user} of {tenant}; sessions and tokens issued until now have ended, if there were any (no list of users is kept: check the spelling)"
        ),
        (None, Some(session)) => {
            format!("session {session} of {tenant}, if there was one (no list of sessions is kept)")
        }
        (None, None) => format!("everyone of {tenant}; sessions and tokens issued until now have ended"),
    }
}
