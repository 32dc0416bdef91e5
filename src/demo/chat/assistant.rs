//! The canned assistant: a few sensible answers, found by words.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::lobby::{Lobby, Saying, Side};
use crate::demo::caller::Caller;

pub const NAME: &str = "Harbour Assistant";
const READING: Duration = Duration::from_millis(450);
const WRITING: Duration = Duration::from_millis(1_300);

/// Answers in a room, after a while, unless somebody else does.
pub fn answer(lobby: Arc<Lobby>, caller: Caller, question: &str) {
    if !lobby.wants_assistant(&caller.id) {
        return;
    }
    let (text, offers) = words(&caller, question);
    tokio::spawn(async move {
        sleep(READING).await;
        lobby.typing(&caller.id, NAME);
        sleep(WRITING).await;
        lobby.answered(&caller.id, &Saying { from: Side::Assistant, author: NAME, text: &text, offers });
    });
}

/// What it says, and the page it offers.
fn words(caller: &Caller, question: &str) -> (String, Option<&'static str>) {
    let question = question.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| question.contains(word));
    if has(&["ticket", "status", "case", "open my"]) {
        let text = "They are in the portal. One click and you are signed in there: no second password.";
        return (text.to_owned(), Some("/tickets"));
    }
    let text = if has(&["who am i", "know me", "my name", "know who"]) {
        let roles = caller.roles.join(", ");
        return (
            format!(
                "You are {}. Vestibule told me so when this chat was opened: X-User-Id: {}, X-Roles: {roles}. \
                 I never saw your token.",
                caller.name, caller.id
            ),
            None,
        );
    } else if has(&["person", "human", "ada", "somebody", "someone"]) {
        "I have let Ada know. She reads along on the staff desk and can answer right here."
    } else if has(&["printer", "label"]) {
        "Labels that come out twice are mostly the driver: Settings, Printers, and switch off “confirm each page”. \
         Did that help?"
    } else if has(&["invoice", "vat", "tax", "refund"]) {
        "For invoices, open a ticket and name the number: Ada can send one again the same morning."
    } else if has(&["thank", "great", "cheers"]) {
        "You are welcome. I am here if anything else comes up."
    } else if has(&["hello", "hi", "good day", "hej", "hey"]) {
        "Hello! Ask me about your tickets, invoices or the label printer. For anything else there is Ada."
    } else {
        "That is beyond me, but Ada reads along. If it can wait, open a ticket and she answers there."
    };
    (text.to_owned(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_offers_the_tickets_and_says_who_you_are() {
        let maya = Caller { id: "maya".into(), name: "Maya Sørensen".into(), roles: vec!["customer".into()] };
        assert_eq!(words(&maya, "Where are my TICKETS?").1, Some("/tickets"));
        assert!(words(&maya, "Who am I to you?").0.contains("X-User-Id: maya"));
        assert_eq!(words(&maya, "???").1, None);
    }
}
