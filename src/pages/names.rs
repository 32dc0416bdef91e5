//! Names of people, as they may stand on a page: in any script, and of anybody's choosing.

use minijinja::{Value, context};

use super::texts::escaped;
use crate::identity::Identity;

/// What a person is called, and what tells two of the same name apart.
pub struct Name {
    name: Option<String>,
    account: String,
}

impl Name {
    /// The name of an account.
    pub fn of(identity: &Identity) -> Self {
        let account = identity.email.as_deref().unwrap_or(&identity.user);
        let name = identity.name.as_deref().filter(|name| *name != account).map(plain);
        Self { name: name.filter(|name| !name.trim().is_empty()), account: plain(account) }
    }

    /// For a sentence: each part isolated, because it may be written in the other direction.
    pub fn html(&self) -> String {
        let account = escaped(&self.account);
        match &self.name {
            Some(name) => format!("<bdi>{}</bdi> (<bdi>{account}</bdi>)", escaped(name)),
            None => format!("<bdi>{account}</bdi>"),
        }
    }

    /// For a template.
    pub fn value(&self) -> Value {
        context! { name => self.name.as_deref(), account => self.account.as_str() }
    }
}

/// Without what is not seen but turns, hides or breaks what is: it could end the isolation, and make one account look like another.
fn plain(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    text.chars().filter(|c| !is_hidden(*c)).collect()
}
