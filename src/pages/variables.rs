//! What a page is made of: the variables that templates name.

use minijinja::{Value, context};

use super::{FormNames, Link, LinkKind, Notice, Texts, names::Name, texts::filled};
use crate::{
    denial::Denial,
    exchange::Question,
    identity::{Identity, TenantId},
    session::Place,
};

/// What every template can name; a test holds that these are all.
pub const VARIABLES: [&str; 17] = [
    "lang",
    "dir",
    "code",
    "status",
    "title",
    "text",
    "advice",
    "embedded",
    "links",
    "tenant",
    "user",
    "other",
    "form",
    "stay",
    "request_id",
    "reference",
    "own",
];

/// Of a refusal.
pub fn denied(texts: &Texts, denial: Denial, tenant: Option<&TenantId>, links: &[Link], request_id: &str) -> Value {
    let spelling = denial.spelling();
    said(texts, spelling.code, (spelling.code, spelling.status), tenant, links, request_id)
}

/// Of a notice.
pub fn noticed(texts: &Texts, notice: Notice, tenant: Option<&TenantId>, links: &[Link], request_id: &str) -> Value {
    let said = said(texts, notice.section(), notice.code(), tenant, links, request_id);
    match notice {
        Notice::SignedInAsAnother => {
            let button = texts.of("links", "sign_out");
            context! { form => context! { action => "/_auth/logout", fields => Vec::<Value>::new(), button }, ..said }
        }
        Notice::SignedOut | Notice::CookieLost => said,
    }
}

/// What happened, what to do, and the ways on.
fn said(
    texts: &Texts,
    section: &str,
    (code, status): (&str, u16),
    tenant: Option<&TenantId>,
    links: &[Link],
    request_id: &str,
) -> Value {
    let text = |key| texts.of(section, key);
    let is_embedded = links.iter().any(|link| link.kind == LinkKind::OpenInTab);
    let links: Vec<Value> = links
        .iter()
        .map(|link| {
            let kind = link.kind.name();
            context! { kind, href => link.href.as_str(), target => link.target, label => texts.of("links", kind) }
        })
        .collect();
    context! {
        code, status, title => text("title"), text => text("text"), advice => text("advice"),
        embedded => is_embedded.then(|| texts.of("page", "embedded")), links, tenant => tenant.map(TenantId::as_str),
        user => (), other => (), form => (), stay => (), ..of_all(texts, request_id)
    }
}

/// Of the question before an exchange.
pub fn asked(texts: &Texts, question: &Question, names: &FormNames<'_>, request_id: &str) -> Value {
    let code = if question.instead_of.is_some() { "switch" } else { "confirm" };
    let name = |identity: &Identity| Name::of(identity);
    let (user, other) = (name(&question.user), question.instead_of.as_ref().map(name));
    let mut html = vec![("user", user.html())];
    html.extend(other.as_ref().map(|other| ("other", other.html())));
    let text = |key| filled(texts.of(code, key), &html);
    let action = match question.place {
        Place::Own => "/_auth/exchange",
        Place::Embedded => "/_auth/exchange?embed=true",
    };
    let field = |name, value| context! { name => name, value => value };
    let fields = [
        field(names.token, &*question.token),
        field(names.return_to, &*question.return_to),
        field("attempt", &*question.attempt),
        field("agreed", "yes"),
    ];
    context! {
        code, status => 200, title => texts.of(code, "title"), text => text("text"), advice => text("advice"),
        embedded => (), links => Vec::<Value>::new(), tenant => question.user.tenant.as_str(),
        user => user.value(), other => other.as_ref().map(Name::value),
        form => context! { action, fields, button => text("continue") },
        stay => other.is_some().then(|| context! { href => question.return_to.as_str(), label => text("stay") }),
        ..of_all(texts, request_id)
    }
}

fn of_all(texts: &Texts, request_id: &str) -> Value {
    context! {
        lang => texts.language.as_str(), dir => texts.direction, own => texts.own.clone(), request_id,
        reference => texts.of("page", "reference"),
    }
}
