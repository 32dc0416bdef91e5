//! The pages a person sees: refusals, notices, and the question before an exchange. In the language they read, without scripts, and
//! with an operator's own templates where there are some.

mod check;
mod language;
mod links;
mod names;
mod texts;
mod variables;

use std::{
    collections::BTreeSet,
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

use http::HeaderMap;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use crate::{denial::Denial, exchange::Question, identity::TenantId};

pub use check::Fault;
pub use language::is_tag;
pub use links::{Link, LinkKind};
pub use texts::{DIRECTIONS, Texts, built_in, english, placeholders};

use variables::{asked, denied, noticed};

/// The templates: the layout, and what stands in it. An operator's have the same names.
pub const TEMPLATES: [&str; 3] = [LAYOUT, DENIED, QUESTION];
const LAYOUT: &str = "page.html";
const DENIED: &str = "denied.html";
const QUESTION: &str = "question.html";

/// What is part of the program. An operator's template can extend these by the names with `builtin/`.
const BUILT_IN: [(&str, &str); 4] = [
    ("builtin/page.css", include_str!("page.css")),
    ("builtin/page.html", include_str!("page.html")),
    ("builtin/denied.html", include_str!("denied.html")),
    ("builtin/question.html", include_str!("question.html")),
];

static HOUSE: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// The pages of a configuration.
pub struct Pages {
    languages: Vec<Texts>,
    own: Option<Own>,
    /// Whether it was said that an operator's template failed.
    is_told: AtomicBool,
}

/// An operator's templates.
struct Own {
    environment: Environment<'static>,
    names: BTreeSet<String>,
}

/// A page, ready to be sent.
#[derive(Debug)]
pub struct Page {
    pub html: String,
    pub language: String,
    pub maker: Maker,
}

/// Whose template a page was made with: it decides what the page may load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Nothing, and it has a style of its own.
    House,
    /// Pictures, styles and fonts.
    Operator,
}

impl Maker {
    /// What may be loaded, for `Content-Security-Policy`; never a script.
    pub fn sources(self) -> &'static str {
        match self {
            Self::House => "style-src 'unsafe-inline'",
            Self::Operator => "img-src 'self' data: https:; style-src 'self' 'unsafe-inline'; font-src 'self'",
        }
    }
}

/// What a page says that is not a refusal with a code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `forbidden`, because another user is signed in: with a button to sign out.
    SignedInAsAnother,
    /// The end of a sign-out, where the tenant has no page for it.
    SignedOut,
    /// After an exchange whose cookie the browser drops.
    CookieLost,
}

impl Notice {
    /// Every notice.
    pub const ALL: [Self; 3] = [Self::SignedInAsAnother, Self::SignedOut, Self::CookieLost];

    /// The section of its texts.
    pub fn section(self) -> &'static str {
        match self {
            Self::SignedInAsAnother => "signed_in_as_another",
            Self::SignedOut => "signed_out",
            Self::CookieLost => "cookie_lost",
        }
    }

    /// The code and status that a template is told.
    fn code(self) -> (&'static str, u16) {
        match self {
            Self::SignedInAsAnother => {
                let spelling = Denial::Forbidden.spelling();
                (spelling.code, spelling.status)
            }
            Self::SignedOut | Self::CookieLost => (self.section(), 200),
        }
    }
}

/// Names of the form fields that the exchange reads.
pub struct FormNames<'a> {
    pub token: &'a str,
    pub return_to: &'a str,
}

/// Whom a page is for.
#[derive(Clone, Copy)]
pub struct Addressee<'a> {
    pub pages: &'a Pages,
    pub headers: &'a HeaderMap,
    pub request_id: &'a str,
}

impl Addressee<'_> {
    /// A refusal, with the ways on from it, the most helpful first.
    pub fn denied(&self, denial: Denial, tenant: Option<&TenantId>, links: &[Link]) -> Page {
        let texts = self.pages.language(self.headers);
        self.pages.render(DENIED, texts, denied(texts, denial, tenant, links, self.request_id))
    }

    /// A notice, with the ways on from it.
    pub fn notice(&self, notice: Notice, tenant: Option<&TenantId>, links: &[Link]) -> Page {
        let texts = self.pages.language(self.headers);
        self.pages.render(DENIED, texts, noticed(texts, notice, tenant, links, self.request_id))
    }

    /// The question before an exchange.
    pub fn question(&self, question: &Question, names: &FormNames<'_>) -> Page {
        let texts = self.pages.language(self.headers);
        self.pages.render(QUESTION, texts, asked(texts, question, names, self.request_id))
    }
}

/// Without templates of an operator's.
impl Default for Pages {
    fn default() -> Self {
        Self { languages: built_in().to_vec(), own: None, is_told: AtomicBool::new(false) }
    }
}

impl Pages {
    /// With the languages, English first, and an operator's templates by name; or what is wrong with those.
    pub fn new(languages: Vec<Texts>, templates: Vec<(String, String)>) -> Result<Self, Vec<Fault>> {
        let mut pages = Self { languages, ..Self::default() };
        if !templates.is_empty() {
            let mut environment = environment();
            let names: BTreeSet<String> = templates.iter().map(|(name, _)| name.clone()).collect();
            let add = |(name, text)| check::added(&mut environment, name, text).err();
            let faults: Vec<Fault> = templates.into_iter().filter_map(add).collect();
            if !faults.is_empty() {
                return Err(faults);
            }
            pages.own = Some(Own { environment, names });
        }
        let faults = check::faults(&pages);
        if faults.is_empty() { Ok(pages) } else { Err(faults) }
    }

    fn language(&self, headers: &HeaderMap) -> &Texts {
        let available: Vec<&str> = self.languages.iter().map(|texts| texts.language.as_str()).collect();
        &self.languages[language::preferred(headers, &available)]
    }

    fn render(&self, template: &str, texts: &Texts, variables: Value) -> Page {
        let page = |html, maker| Page { html, language: texts.language.clone(), maker };
        if let Some(own) = self.own.as_ref().filter(|own| own.makes(template)) {
            match own.render(template, variables.clone()) {
                Ok(html) => return page(html, Maker::Operator),
                Err(e) if !self.is_told.swap(true, Ordering::Relaxed) => {
                    tracing::warn!(target: "vestibule", "a template of pages.templates failed, the built-in page was shown: {e}");
                }
                Err(_) => {}
            }
        }
        let html = HOUSE.get_template(template).and_then(|page| page.render(variables));
        page(html.expect("the templates render whatever text they are given"), Maker::House)
    }
}

impl Own {
    /// Whether a page is made with a template of the operator's.
    fn makes(&self, template: &str) -> bool {
        self.names.contains(template) || self.names.contains(LAYOUT)
    }

    fn render(&self, template: &str, variables: Value) -> Result<String, minijinja::Error> {
        self.environment.get_template(template)?.render(variables)
    }
}

/// The built-in templates, under both their names.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = environment.syntax().to_builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the usual marks, without the lines they stand on"));
    for (name, text) in BUILT_IN {
        for name in [name, name.trim_start_matches("builtin/")] {
            environment.add_template(name, text).expect("the template is part of the program and tested");
        }
    }
    environment
}

/// What a refusal means, for scripts: in English, no more than its code says.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::{HeaderValue, Method, header::ACCEPT_LANGUAGE};

    use super::{check::identity, variables::VARIABLES, *};
    use crate::{identity::Identity, session::Place};

    fn headers(language: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static(language))])
    }

    fn question(instead_of: Option<Identity>) -> Question {
        let user = identity("Zoë \u{645}\u{64a}\u{627}", "zoe@acme.example");
        Question {
            token: "eyJ".repeat(150),
            return_to: "/tickets/17".into(),
            user,
            place: Place::Own,
            attempt: "a".repeat(22),
            instead_of,
        }
    }

    /// Every page there is, by a name for a file.
    fn all() -> BTreeMap<String, Page> {
        let pages = Pages::default();
        let mut all = BTreeMap::new();
        let login = url::Url::parse("https://app.acme.example/login").expect("a URL");
        for language in ["en", "ar", "de", "es", "fr"] {
            let headers = headers(language);
            let to = Addressee { pages: &pages, headers: &headers, request_id: "55e4e675de4964670000000000000001" };
            for denial in Denial::ALL {
                let mut links = Link::from(denial, Some(&login), &Method::GET, "/tickets/17");
                if denial == Denial::TokenMissing {
                    let href = String::new();
                    links.insert(0, Link { kind: LinkKind::OpenInTab, href, target: Some("_blank") });
                }
                all.insert(format!("{language}-{}", denial.spelling().code), to.denied(denial, None, &links));
            }
            for notice in Notice::ALL {
                let links = [Link::to(LinkKind::Continue, "/tickets/17")];
                all.insert(format!("{language}-{}", notice.section()), to.notice(notice, None, &links));
            }
            let names = FormNames { token: "token", return_to: "return_to" };
            all.insert(format!("{language}-confirm"), to.question(&question(None), &names));
            let other = identity("Maya Fischer", "maya.fischer@acme.example");
            all.insert(format!("{language}-switch"), to.question(&question(Some(other)), &names));
        }
        all
    }

    #[test]
    fn every_page_is_small_and_in_its_language() {
        let all = all();
        assert_eq!(all.len(), 5 * (Denial::ALL.len() + Notice::ALL.len() + 2));
        for (name, page) in &all {
            let html = &page.html;
            assert!(name.starts_with(&page.language), "{name}");
            assert!(html.len() < 6_000, "{name} has {} bytes", html.len());
            let direction = if page.language == "ar" { "rtl" } else { "ltr" };
            assert!(html.contains(&format!("<html lang=\"{}\" dir=\"{direction}\">", page.language)), "{html}");
            assert!(!html.contains("<script") && !html.contains("{{") && !html.contains("{user}"), "{html}");
            assert_eq!((html.matches("<h1>").count(), html.matches("<main>").count()), (1, 1), "{html}");
            let title = html.split("<title>").nth(1).and_then(|rest| rest.split('<').next()).expect("a title");
            assert!(html.contains(&format!("<h1>{title}</h1>")), "{html}");
        }
        // For eyes and checkers: PAGES_TO=/tmp/pages cargo test every_page_is_small
        if let Ok(folder) = std::env::var("PAGES_TO") {
            for (name, page) in all {
                std::fs::write(format!("{folder}/{name}.html"), page.html).expect("the folder is there");
            }
        }
    }

    #[test]
    fn names_are_isolated_and_cannot_leave_their_isolation() {
        let pages = Pages::default();
        let evil = "\u{202e}<b>root\u{2069}\u{2066}\u{200b}\"'\u{7f}&";
        let mut question = question(Some(identity(evil, "\u{2067}m@x.test")));
        question.user = identity(evil, evil);
        question.return_to = "/\"><script>".into();
        question.token = "\"><script>".into();
        for language in ["en", "ar"] {
            let headers = headers(language);
            let to = Addressee { pages: &pages, headers: &headers, request_id: "\"><script>" };
            let html = to.question(&question, &FormNames { token: "<t>", return_to: "<r>" }).html;
            let name = "<bdi>&lt;b&gt;root&quot;&#39;&amp;</bdi>";
            assert!(html.contains(&format!("{name} (<bdi>m@x.test</bdi>)")), "{html}");
            assert!(html.matches(name).count() >= 4, "{html}");
            assert!(!html.contains("<script") && !html.contains("<b>") && !html.contains("<t>"), "{html}");
            assert!(!html.contains(['\u{202e}', '\u{2066}', '\u{2067}', '\u{2069}', '\u{200b}', '\u{7f}']), "{html}");
        }
    }

    #[test]
    fn the_variables_are_those_that_are_documented() {
        let texts = &built_in()[0];
        let names = FormNames { token: "token", return_to: "return_to" };
        for variables in [
            denied(texts, Denial::TokenSpent, None, &[], "id"),
            noticed(texts, Notice::SignedOut, None, &[], "id"),
            asked(texts, &question(None), &names, "id"),
        ] {
            let found: BTreeSet<String> = variables.try_iter().expect("a map").map(|name| name.to_string()).collect();
            assert_eq!(found, VARIABLES.map(str::to_owned).into());
        }
        let readme = include_str!("../../README.md");
        let table =
            readme.split("### `[pages]`").nth(1).and_then(|rest| rest.split("\n### ").next()).expect("a section");
        for name in VARIABLES {
            assert!(table.contains(&format!("`{name}")), "{name}");
        }
    }

    #[test]
    #[allow(clippy::panic, reason = "a test fails by panicking")]
    fn a_template_that_fails_gives_way_to_the_built_in_page() {
        let pages =
            Pages::new(built_in().to_vec(), vec![("denied.html".into(), "{{ 1 // (request_id|length - 2) }}".into())]);
        let pages = pages.unwrap_or_else(|faults| panic!("{faults:?}"));
        let headers = HeaderMap::new();
        let page =
            |request_id| Addressee { pages: &pages, headers: &headers, request_id }.denied(Denial::NoRoute, None, &[]);
        assert_eq!((page("abc").html.as_str(), page("abc").maker), ("1", Maker::Operator));
        let built_in = page("ab");
        assert_eq!(built_in.maker, Maker::House);
        assert!(built_in.html.contains("<h1>There is nothing here</h1>"));
    }
}
