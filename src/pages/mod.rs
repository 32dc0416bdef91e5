//! The pages a person sees: one template, escaped by its engine, without scripts.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, context};

use crate::{denial::Denial, exchange::Question, identity::Identity, session::Place};

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages.set_auto_escape_callback(|_| AutoEscape::Html);
    pages.add_template("page", include_str!("page.html")).expect("the template is part of the program and tested");
    pages
});

/// Names of the form fields that the exchange reads.
pub struct FormNames<'a> {
    pub token: &'a str,
    pub return_to: &'a str,
}

/// A refusal, with a way to sign in again where there is one.
pub fn denied(denial: Denial, link: Option<&str>, request_id: &str) -> String {
    render(context! { title => denial.spelling().title, text => explanation(denial), link, request_id })
}

/// The question before an exchange.
pub fn question(question: &Question, names: &FormNames<'_>, request_id: &str) -> String {
    let user = called(&question.user);
    let (title, text, button) = match &question.instead_of {
        Some(other) => (
            "Switch user?",
            format!("You are signed in as {}. This link signs you in as {user} instead.", called(other)),
            format!("Continue as {user}"),
        ),
        None => ("Sign in", format!("Continue to the portal as {user}."), format!("Continue as {user}")),
    };
    let form = context! {
        token_name => names.token, token => &question.token, return_name => names.return_to, return_to => &question.return_to, button,
        embedded => question.place == Place::Embedded,
        stay => question.instead_of.as_ref().map(called),
    };
    render(context! { title, text, form, request_id })
}

/// What a refusal means to the person who sees it; no more than its code says.
pub fn explanation(denial: Denial) -> &'static str {
    match denial {
        Denial::TokenMissing => "Please sign in to see this page.",
        Denial::TokenInvalid => "This sign-in is not valid. Please open the page again from where you came.",
        Denial::TokenExpired => "This sign-in has expired. Please open the page again from where you came.",
        Denial::TokenSpent => {
            "This sign-in was used before, and works once. Please open the page again from where you came."
        }
        Denial::SessionExpired | Denial::SessionInvalid => "Your session has ended. Please sign in again.",
        Denial::Revoked => "You have been signed out. Please sign in again.",
        Denial::TenantMismatch => "You are signed in for another organisation.",
        Denial::RoleRequired => "Your role does not allow this.",
        Denial::OriginNotAllowed => "This may not be done from the page you came from.",
        Denial::Forbidden => "This is not allowed.",
        Denial::BadRequest | Denial::CredentialAmbiguous => "The request could not be understood.",
        Denial::NoRoute => "There is no page at this address.",
        Denial::MethodNotAllowed => "This cannot be done at this address.",
        Denial::PayloadTooLarge => "What was sent is too large.",
        Denial::HeadersTooLarge => "Your browser sent too much. Clearing its cookies for this site helps.",
        Denial::RateLimited => "There were too many failed attempts from your address. Please try again in a minute.",
        Denial::UpstreamUnreachable | Denial::UpstreamTimeout => "Please try again in a moment.",
        Denial::LedgerUnavailable | Denial::Overloaded => "Please try again in a moment.",
    }
}

/// A name people know themselves by, and what tells two of the same name apart.
fn called(identity: &Identity) -> String {
    let account = identity.email.as_deref().unwrap_or(&identity.user);
    match identity.name.as_deref().filter(|name| *name != account) {
        Some(name) => format!("{name} ({account})"),
        None => account.to_owned(),
    }
}

fn render(context: minijinja::Value) -> String {
    PAGES
        .get_template("page")
        .and_then(|page| page.render(context))
        .expect("the template renders whatever text it is given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_escape_what_they_are_given() {
        let page = denied(Denial::TokenSpent, Some("https://x.test/?a=\"><script>"), "id");
        assert!(page.contains("Token has already been used") && !page.contains("<script>"));
    }

    #[test]
    fn every_denial_has_a_page() {
        for denial in Denial::ALL {
            assert!(denied(denial, None, "id").contains(denial.spelling().title));
        }
    }
}
