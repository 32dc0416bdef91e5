//! The helpdesk's tickets, in memory, a few of them invented.

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

/// What somebody asked.
#[derive(Clone, Serialize)]
pub struct Ticket {
    pub number: usize,
    /// The user's id.
    pub owner: String,
    pub subject: String,
    pub text: String,
    pub state: &'static str,
    pub reply: Option<String>,
}

/// All tickets, oldest first.
pub struct Tickets {
    all: Mutex<Vec<Ticket>>,
    /// How often they changed.
    changes: watch::Sender<u64>,
}

const FIRST: usize = 1041;
/// A demo left running must not grow for ever.
const MOST: usize = 500;
const LONGEST_SUBJECT: usize = 120;
const LONGEST_TEXT: usize = 2_000;

impl Tickets {
    /// The invented ones.
    pub fn invented() -> Self {
        let tickets = INVENTED.into_iter().enumerate();
        let ticket = |(position, (owner, subject, text, state, reply)): (usize, Invented)| Ticket {
            number: FIRST + position,
            owner: owner.to_owned(),
            subject: subject.to_owned(),
            text: text.to_owned(),
            state,
            reply: reply.map(str::to_owned),
        };
        Self { all: Mutex::new(tickets.map(ticket).collect()), changes: watch::channel(0).0 }
    }

    /// Wakes whoever shows them when one is new or answered.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A user's, newest first.
    pub fn of(&self, user: &str) -> Vec<Ticket> {
        let mut tickets = self.all();
        tickets.retain(|ticket| ticket.owner == user);
        tickets
    }

    /// Everyone's, newest first.
    pub fn all(&self) -> Vec<Ticket> {
        self.all.lock().iter().rev().cloned().collect()
    }

    /// Adds one; without a subject, or beyond the most, there is nothing to add.
    pub fn add(&self, user: &str, subject: &str, text: &str) {
        let subject = shortened(subject, LONGEST_SUBJECT);
        let mut tickets = self.all.lock();
        if subject.is_empty() || tickets.len() >= MOST {
            return;
        }
        let number = FIRST + tickets.len();
        tickets.push(Ticket {
            number,
            owner: user.to_owned(),
            subject,
            text: shortened(text, LONGEST_TEXT),
            state: "new",
            reply: None,
        });
        drop(tickets);
        self.changed();
    }

    /// Answers one; there is nothing to say without a text.
    pub fn reply(&self, number: usize, text: &str) {
        let text = shortened(text, LONGEST_TEXT);
        let mut tickets = self.all.lock();
        let Some(ticket) = tickets.iter_mut().find(|ticket| ticket.number == number && !text.is_empty()) else {
            return;
        };
        ticket.reply = Some(text);
        ticket.state = "answered";
        drop(tickets);
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

fn shortened(text: &str, longest: usize) -> String {
    text.trim().chars().take(longest).collect()
}

type Invented = (&'static str, &'static str, &'static str, &'static str, Option<&'static str>);

const INVENTED: [Invented; 6] = [
    (
        "maya",
        "VAT is missing on two invoices",
        "Invoices 2207 and 2209 went out without the VAT line.",
        "solved",
        Some("Thank you for telling us. Both were sent again this morning, with the line."),
    ),
    (
        "tom",
        "Can I import stock from a spreadsheet?",
        "I have 340 parts in one table and would rather not type.",
        "answered",
        Some("You can: Stock, Import, and choose the file. Columns are matched by their titles."),
    ),
    (
        "maya",
        "Label printer prints every label twice",
        "Since Monday. It is the small one in the roastery.",
        "open",
        None,
    ),
    ("ada", "Holiday message for the chat", "Please have it on from the 24th to the 26th.", "open", None),
    (
        "tom",
        "Card terminal loses its connection",
        "Twice yesterday afternoon, both times during a payment.",
        "open",
        None,
    ),
    (
        "maya",
        "How do I add a second warehouse?",
        "We moved the green beans across the street.",
        "answered",
        Some("Under Settings, Places. The pro plan has room for five."),
    ),
];
