//! An operator's templates, tried before they are used: with every refusal and both questions, in every language.

use std::collections::BTreeSet;

use minijinja::Environment;

use super::{
    DENIED, FormNames, LAYOUT, Link, LinkKind, Notice, Own, Pages, QUESTION, TEMPLATES,
    variables::{VARIABLES, asked, denied, noticed},
};
use crate::{
    denial::Denial,
    exchange::Question,
    identity::{Identity, TenantId},
    session::Place,
};

/// What is wrong with a template, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub template: String,
    pub line: usize,
    pub text: String,
}

/// Adds a template that parses and names what there is.
pub(super) fn added(environment: &mut Environment<'static>, name: String, text: String) -> Result<(), Fault> {
    environment.add_template_owned(name.clone(), text).map_err(|e| fault(&name, &e))?;
    let template = environment.get_template(&name).map_err(|e| fault(&name, &e))?;
    let is_global = |name: &str| {
        ["super", "self", "loop", "caller"].contains(&name) || environment.globals().any(|(global, _)| global == name)
    };
    let unknown = template.undeclared_variables(false);
    match unknown.iter().filter(|name| !VARIABLES.contains(&name.as_str()) && !is_global(name)).min() {
        Some(unknown) => Err(Fault {
            line: line_of(template.source(), unknown),
            text: format!("{unknown} is no variable; use one of {}", VARIABLES.join(", ")),
            template: name,
        }),
        None => Ok(()),
    }
}

/// What is wrong with the templates of an operator's, each thing once.
pub(super) fn faults(pages: &Pages) -> Vec<Fault> {
    let mut faults = BTreeSet::new();
    let Some(own) = &pages.own else { return Vec::new() };
    let links = [
        Vec::new(),
        vec![Link::to(LinkKind::SignIn, "https://app.acme.example/login")],
        vec![Link::to(LinkKind::Retry, "")],
        vec![
            Link { kind: LinkKind::OpenInTab, href: String::new(), target: Some("_blank") },
            Link::to(LinkKind::Home, "/"),
        ],
    ];
    let tenant = TenantId::new("ten_acme");
    for texts in pages.languages.iter() {
        if own.makes(DENIED) {
            for notice in Notice::ALL {
                let made = own.render(DENIED, noticed(texts, notice, Some(&tenant), &links[1], REQUEST_ID));
                faults.extend(made.err().map(|e| fault(DENIED, &e)));
            }
            for denial in Denial::ALL {
                for (links, tenant) in links.iter().zip([None, Some(&tenant), None, Some(&tenant)]) {
                    let made = own.render(DENIED, denied(texts, denial, tenant, links, REQUEST_ID));
                    faults.extend(made.err().map(|e| fault(DENIED, &e)));
                }
            }
        }
        if own.makes(QUESTION) {
            for question in [question(None), question(Some(identity("Maya Fischer", OTHER)))] {
                match own.render(QUESTION, asked(texts, &question, &NAMES, REQUEST_ID)) {
                    Ok(html) => faults.extend(missing(&html, &question).map(|text| at_form(own, text))),
                    Err(e) => {
                        faults.insert(fault(QUESTION, &e));
                    }
                }
            }
        }
    }
    faults.into_iter().collect()
}

const REQUEST_ID: &str = "55e4e675de4964670000000000000000";
const NAMES: FormNames<'_> = FormNames { token: "token-name", return_to: "return-name" };
const TOKEN: &str = "a-token";
const RETURN_TO: &str = "a-page";
const USER: &str = "zoe@acme.example";
const OTHER: &str = "maya@acme.example";

/// Somebody invented.
pub(super) fn identity(name: &str, email: &str) -> Identity {
    Identity {
        user: email.into(),
        tenant: TenantId::new("ten_acme"),
        roles: Vec::new(),
        email: Some(email.into()),
        name: Some(name.into()),
        plan: None,
        picture: None,
    }
}

fn question(instead_of: Option<Identity>) -> Question {
    Question {
        token: TOKEN.into(),
        return_to: RETURN_TO.into(),
        user: identity("Zoe", USER),
        place: Place::Own,
        attempt: String::new(),
        instead_of,
    }
}

/// What a question lacks without which nobody could agree, or would not know to what.
fn missing(html: &str, question: &Question) -> Option<&'static str> {
    let tags = tags(html);
    let posts = |tag: &&Tag| {
        tag.has("method", "post")
            && tag.value("action").is_some_and(|to| to.replace("&#x2f;", "/") == "/_auth/exchange")
    };
    let is_field = |name: &str, value: &str| {
        tags.iter().any(|tag| tag.name == "input" && tag.has("name", name) && tag.has("value", value))
    };
    let is_sent = |tag: &Tag| tag.name == "button" || tag.name == "input" && tag.has("type", "submit");
    let referrer = |tag: &Tag| tag.name == "meta" && tag.has("name", "referrer") && tag.has("content", "strict-origin");
    let fields = [(NAMES.token, TOKEN), (NAMES.return_to, RETURN_TO), ("agreed", "yes")];
    let what = if !tags.iter().filter(|tag| tag.name == "form").any(|tag| posts(&tag)) {
        "has no form that posts; add <form method=\"post\" action=\"{{ form.action }}\">"
    } else if !fields.iter().all(|(name, value)| is_field(name, value)) {
        "lacks fields of the form; add <input type=\"hidden\" name=\"{{ field.name }}\" value=\"{{ field.value }}\"> for each field in form.fields"
    } else if !tags.iter().any(is_sent) {
        "has no button; add <button>{{ form.button }}</button>"
    } else if !tags.iter().any(referrer) {
        "hides from where it is posted, and would be refused; add <meta name=\"referrer\" content=\"strict-origin\"> to its head"
    } else if !html.contains(USER) || question.instead_of.is_some() && !html.contains(OTHER) {
        "does not say who is signed in and who would be; add {{ text }}, or {{ user.account }} and {{ other.account }}"
    } else {
        return None;
    };
    Some(what)
}

fn at_form(own: &Own, text: &str) -> Fault {
    let template = TEMPLATES.into_iter().rev().find(|name| own.names.contains(*name) && *name != DENIED);
    let template = template.unwrap_or(LAYOUT);
    let source = own.environment.get_template(template).map(|found| line_of(found.source(), "<form"));
    Fault { template: template.to_owned(), line: source.unwrap_or(1), text: format!("the question {text}") }
}

fn fault(template: &str, error: &minijinja::Error) -> Fault {
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    let named = error.name().filter(|name| TEMPLATES.contains(name));
    Fault {
        template: named.unwrap_or(template).to_owned(),
        line: error.line().filter(|_| error.name().is_none() || named.is_some()).unwrap_or(1),
        text: format!("{}{}; mend the template", error.kind(), detail.replace('\n', " ")),
    }
}

fn line_of(source: &str, what: &str) -> usize {
    source.lines().position(|line| line.contains(what)).map_or(1, |line| line + 1)
}

/// A tag of a page, its attributes as they are written.
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(attribute, _)| attribute == name).map(|(_, value)| value.as_str())
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.value(name).is_some_and(|found| found.eq_ignore_ascii_case(value))
    }
}

/// The tags of a page that open something. Comments are none.
fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let name: String = after.chars().take_while(char::is_ascii_alphanumeric).collect();
        rest = &after[name.len()..];
        let mut attributes = Vec::new();
        while !name.is_empty() {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(rest.len());
            let (attribute, after) = rest.split_at(end);
            let after_name = after.trim_start();
            let (value, after) = match after_name.strip_prefix('=').map(str::trim_start) {
                Some(value) => match value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
                    Some(quote) => value[1..].split_once(quote).unwrap_or((value, "")),
                    None => value.split_at(value.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(value.len())),
                },
                None => ("", after),
            };
            if attribute.is_empty() && after.len() == rest.len() {
                break;
            }
            attributes.push((attribute.to_ascii_lowercase(), value.to_owned()));
            rest = after;
        }
        if !name.is_empty() {
            tags.push(Tag { name: name.to_ascii_lowercase(), attributes });
        }
    }
    tags
}
