//! What people see: pages in their language that say what to do, and an operator's own.

use std::{fs, path::Path};

use serde_json::json;
use tempfile::TempDir;
use vestibule::config::Config;

use crate::support::{Answer, Door, Issuer, Secrets, Served, Upstream, config, token_of_now, two_tenants};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "__Host-vestibule";

/// What a page calls itself, which is also its title.
fn heading(page: &Answer) -> String {
    let text = page.text();
    let between = |begin: &str, end: &str| text.split(begin).nth(1).unwrap().split(end).next().unwrap().to_owned();
    assert_eq!(between("<h1>", "</h1>"), between("<title>", "</title>"));
    between("<h1>", "</h1>")
}

/// A configuration with a folder of templates.
fn with_templates(upstream: &Upstream, files: &[(&str, &str)]) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let text = format!("[pages]\ntemplates = {:?}\n{}", folder.path(), config(upstream));
    (folder, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_in_the_language_its_reader_asks_for() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let giant = format!("{}, fr", "x-".repeat(8_000));
    for (accept, language, title) in [
        ("", "en", "Please sign in"),
        ("de-AT, en;q=0.5", "de", "Bitte melden Sie sich an"),
        ("nl, es;q=0.8, fr;q=0.7", "es", "Es necesario iniciar sesión"),
        ("en;q=0.1, fr-CA;q=0.9", "fr", "Connexion nécessaire"),
        ("ar", "ar", "يلزم تسجيل الدخول"),
        ("de;q=0, *;q=0.1", "en", "Please sign in"),
        ("\u{fc}, fr", "en", "Please sign in"),
        (";q=;,,<script>, de;q=2, fr;q=0.001", "fr", "Connexion nécessaire"),
        (giant.as_str(), "fr", "Connexion nécessaire"),
    ] {
        let page = door.get("/").navigating().header("Accept-Language", accept).send().await;
        assert_eq!((page.status, heading(&page).as_str()), (401, title), "{accept}");
        assert_eq!(page.header("content-language"), Some(language));
        assert_eq!(page.header("vary"), Some("Accept-Language, Origin"));
        let direction = if language == "ar" { "rtl" } else { "ltr" };
        assert!(page.text().contains(&format!("<html lang=\"{language}\" dir=\"{direction}\">")));
        let id = page.header("x-request-id").unwrap();
        assert!(page.text().contains(&format!("<code translate=\"no\" dir=\"ltr\">{id}</code>")));
        let data = door.get("/").header("Accept-Language", accept).send().await;
        assert_eq!(data.json()["title"], "Authentication required", "data is in English for scripts");
        assert_eq!((data.header("vary"), data.header("content-language")), (Some("Origin"), None));
        let head = door.ask("HEAD", "/").navigating().header("Accept-Language", accept).send().await;
        assert_eq!((head.status, head.body.len(), head.header("content-language")), (401, 0, Some(language)));
        assert_eq!(head.header("content-length"), page.header("content-length"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_says_what_to_do_and_leads_on_where_that_helps() {
    let upstream = Upstream::start().await;
    let login = "[tenants.acme]\nlogin_url = \"https://app.acme.example/login\"";
    let door = Door::start(&config(&upstream).replace("[tenants.acme]", login)).await;
    let (token, expired) = (ACME.token("maya"), ACME.with(json!({ "iat": 0, "exp": 1 })));
    let session = door.session(&token).await;
    let exchange = |token: &str| door.get(&format!("/_auth/exchange?token={token}&return_to=/tickets")).navigating();
    let sign_in = "&#x2f;login?return_to=http%3A%2F%2Fportal.test%2Ftickets\">Sign in</a>";
    let go_on = "<a class=\"main\" href=\"&#x2f;tickets\">Continue</a>";
    let home = "<a class=\"main\" href=\"&#x2f;\">Go to the start page</a>";
    for (ask, status, advice, link) in [
        (exchange(&token), 401, "If you opened this link yourself a moment ago, you are signed in already", go_on),
        (exchange(&expired), 401, "Go back to where you came from and open the page from there again.", sign_in),
        (exchange("x.y.z"), 401, "tell the people who run this portal", sign_in),
        (exchange(&Issuer::GLOBEX.token("gil")), 403, "ask the people who manage your account which portal", ""),
        (door.get("/staff").navigating().cookie(COOKIE, &session), 403, "ask the people who manage accounts", home),
        (door.get("/closed").navigating(), 403, "ask the people who run this portal", ""),
        (door.get("/a//b").navigating(), 400, "Check the address", home),
        (door.get("/_auth/none").navigating(), 404, "Check the address for a typing mistake", home),
        (door.get("/").navigating().bearer(&token).bearer(&token), 400, "Delete the cookies of this site", ""),
    ] {
        let page = ask.send().await;
        assert_eq!(page.status, status, "{}", page.text());
        assert!(page.text().contains(advice), "{advice}: {}", page.text());
        assert!(page.text().contains(link), "{link}: {}", page.text());
        assert_eq!(
            page.text().matches("<a ").count(),
            usize::from(!link.is_empty()) + usize::from(link == go_on),
            "{}",
            page.text()
        );
        assert!(!page.text().contains("eyJ"), "no token on a page that refuses one");
    }
    let crossing = door.post("/_auth/logout").navigating().header("Origin", "https://evil.test").send().await;
    assert!(crossing.text().contains("Open the portal from your usual application."));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_by_a_link_but_a_form_is_not_sent_twice() {
    let silent = Upstream::answering("").await;
    let text = two_tenants(&silent, "[[routes]]\npath = \"/\"\nupstream = \"app\"\nresponse_timeout = \"100ms\"", "");
    let door = Door::start(&text).await;
    let page = door.get("/tickets?a=b").navigating().bearer(ACME.token("maya")).send().await;
    assert_eq!((page.status, heading(&page).as_str()), (504, "The portal is not answering"));
    assert!(page.text().contains("<a class=\"main\" href=\"\">Try again</a>"), "the same address: {}", page.text());
    let page = door.post("/tickets").navigating().bearer(ACME.token("maya")).body("a=b").send().await;
    assert!(page.status == 504 && page.text().contains("Please wait a moment") && !page.text().contains("<a "));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_question_offers_the_way_back_first_and_names_both_whatever_they_are_called() {
    let upstream = Upstream::start().await;
    let text = config(&upstream).replacen(
        "dialect = \"gateway\"",
        "dialect = \"gateway\"\nclaims = { name = \"userName\" }",
        1,
    );
    let door = Door::start(&text).await;
    let session = door.session(&ACME.with(json!({ "userName": "Maya" }))).await;
    let evil =
        json!({ "userId": "e", "userName": "\u{202e}<script>\u{2069}\"'", "userEmail": "\u{2066}e@x.test\u{200f}" });
    let link = format!("/_auth/exchange?token={}&return_to=/a%22%3E%3Cscript%3E", ACME.with(evil));
    for (language, title) in [("en", "Switch accounts?"), ("ar", "تبديل الحساب؟"), ("fr", "Changer de compte\u{202f}?")]
    {
        let ask = door.get(&link).navigating().header("Accept-Language", language).cookie(COOKIE, &session);
        let page = ask.send().await;
        assert_eq!((page.status, heading(&page).as_str()), (200, title));
        let text = page.text();
        assert!(text.matches("<bdi>Maya</bdi> (<bdi>maya@acme.example</bdi>)").count() == 2, "{text}");
        assert!(text.matches("<bdi>&lt;script&gt;&quot;&#39;</bdi> (<bdi>e@x.test</bdi>)").count() == 2, "{text}");
        assert!(
            !text.contains("<script") && !text.contains(['\u{202e}', '\u{2066}', '\u{2069}', '\u{200f}']),
            "{text}"
        );
        let (stay, switch) = (text.find("autofocus").unwrap(), text.find("<button").unwrap());
        assert!(stay < switch && text.matches("autofocus").count() == 1, "{text}");
        assert!(text.contains("<meta name=\"referrer\" content=\"strict-origin\">"));
        assert!(
            text.contains("name=\"agreed\" value=\"yes\"") && text.contains("action=\"&#x2f;_auth&#x2f;exchange\"")
        );
    }
    let confirms =
        Door::start(&config(&upstream).replace("[tenants.acme]", "[tenants.acme]\nhandoff = \"confirm\"")).await;
    let page = confirms.get(&format!("/_auth/exchange?token={}", ACME.token("tom"))).navigating().send().await;
    let button = "<button class=\"main\" type=\"submit\" autofocus aria-describedby=\"about\">Continue as";
    assert!(page.text().contains(button), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_templates_and_texts_take_the_place_of_ours() {
    let upstream = Upstream::start().await;
    let layout = "{% extends \"builtin/page.html\" %}{% block header %}<img src=\"/logo.svg\" alt=\"{{ tenant or 'Acme' }}\">{% endblock %}\
        {% block footer %}<p>{{ own.help }} {{ request_id }}</p>{% endblock %}";
    let english = "[own]\nhelp = \"Call <us>\"\n[token_missing]\ntitle = \"Hello\"";
    let dutch = "[token_missing]\ntitle = \"Meld u aan\"\n[own]\nhelp = \"Bel ons\"";
    let (_folder, text) = with_templates(&upstream, &[("page.html", layout), ("en.toml", english), ("nl.toml", dutch)]);
    let door = Door::start(&text).await;
    let ask = |path: &str, language: &str| door.get(path).navigating().header("Accept-Language", language).send();
    let page = ask("/", "en").await;
    assert_eq!(heading(&page), "Hello");
    assert!(page.text().contains("<img src=\"/logo.svg\" alt=\"acme\">") && page.text().contains("Call &lt;us&gt; "));
    let policy = page.header("content-security-policy").unwrap();
    for allowed in ["default-src 'none'", "img-src 'self' data: https:", "font-src 'self'", "form-action 'self'"] {
        assert!(policy.contains(allowed), "{policy}");
    }
    assert!(
        !policy.contains("script-src") && policy.contains("frame-ancestors 'self' https://app.acme.example"),
        "{policy}"
    );
    let page = ask("/", "nl-BE").await;
    assert_eq!((heading(&page).as_str(), page.header("content-language")), ("Meld u aan", Some("nl")));
    assert!(page.text().contains("Bel ons") && page.text().contains("You need to be signed in"), "{}", page.text());
    let page = ask("/", "de").await;
    assert!(heading(&page) == "Bitte melden Sie sich an" && page.text().contains("Call &lt;us&gt; "));

    // One of the two, and what it is given is escaped.
    let own = "<!doctype html><title>{{ title }}</title><h1>{{ title }}</h1>{{ code }} {{ status }} {{ text }} {{ request_id }} {{ tenant }}\
        {% for link in links %}<a href=\"{{ link.href }}\">{{ link.label }}</a>{% endfor %}";
    let (_folder, text) = with_templates(&upstream, &[("denied.html", own)]);
    let text = format!("[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n{text}");
    let text = text.replace(
        "[tenants.acme]",
        "[tenants.acme]\nhandoff = \"confirm\"\nlogin_url = \"https://x.test/?a=%22&b=<i>'\"",
    );
    let door = Door::start(&text).await;
    let link = |token: &str| format!("/_auth/exchange?token={token}");
    let expired = ACME.with(json!({ "iat": 0, "exp": 1 }));
    let page = door.get(&link(&expired)).navigating().send().await;
    assert!(
        page.text().contains("token_expired 401") && page.text().contains("&amp;b=") && !page.text().contains("<i>"),
        "{}",
        page.text()
    );
    assert!(page.header("content-security-policy").unwrap().contains("img-src"));
    let page = door.get(&link(&ACME.token("tom"))).navigating().send().await;
    assert_eq!(heading(&page), "Sign in to the portal");
    assert!(!page.header("content-security-policy").unwrap().contains("img-src"), "ours keeps its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_read_again_when_a_file_of_their_folder_changes_comes_or_goes() {
    let upstream = Upstream::start().await;
    let served = Served::start("", &config(&upstream));
    let folder = served.file("pages");
    let said = async |language: &str, wanted: &str| {
        let page = served.ask("GET", "/").navigating().header("Accept-Language", language).send().await;
        assert_eq!(heading(&page), wanted);
    };
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("en.toml"), "[token_missing]\ntitle = \"One\"").unwrap();
    served.write("", &format!("[pages]\ntemplates = \"pages\"\n{}", config(&upstream)));
    served.until_reloads((1, 0)).await;
    said("en", "One").await;
    fs::write(folder.join("en.toml"), "[token_missing]\ntitle = \"Two\"").unwrap();
    served.until_reloads((2, 0)).await;
    said("en", "Two").await;
    fs::write(folder.join(".nl.toml.swp"), "[").unwrap();
    fs::write(folder.join("nl.toml"), "[token_missing]\ntitle = \"Drie\"").unwrap();
    served.until_reloads((3, 0)).await;
    said("nl", "Drie").await;
    fs::write(folder.join("denied.html"), "<title>{{ titel }}</title>").unwrap();
    served.until_reloads((3, 1)).await;
    assert_eq!(served.said("pages/denied.html:1:1: titel is no variable; use one of lang, dir"), 1, "{}", served.log());
    said("nl", "Drie").await;
    fs::remove_file(folder.join("denied.html")).unwrap();
    served.until_reloads((4, 1)).await;
    fs::rename(folder.join("nl.toml"), folder.join("it.toml")).unwrap();
    served.until_reloads((5, 1)).await;
    said("nl", "Two").await;
    said("it", "Drie").await;
    fs::remove_dir_all(&folder).unwrap();
    served.until_said("pages cannot be read", 1).await;
    said("it", "Drie").await;
    let token = token_of_now(&ACME, "maya");
    assert_eq!(served.ask("GET", "/").bearer(&token).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_templates_is_told_with_its_place_before_anything_is_served() {
    let upstream = Upstream::start().await;
    let form = "<meta name='referrer' content=strict-origin>{{ text }}\n<form method=post action=\"{{ form.action }}\">\
        {% for field in form.fields %}<input type=hidden name=\"{{ field.name }}\" value=\"{{ field.value }}\">{% endfor %}\
        <button>{{ form.button }}</button></form>";
    let problems = |files: &[(&str, &str)]| {
        let (folder, text) = with_templates(&upstream, files);
        let result = Config::parse(Path::new("proxy.toml"), &text, &Secrets::find);
        let told = result.err().unwrap_or_default();
        let folder = format!("{}/", folder.path().display());
        told.iter().map(|problem| problem.to_string().replace(&folder, "")).collect::<Vec<_>>()
    };
    assert_eq!(problems(&[("question.html", form)]), [""; 0]);
    let large = "x".repeat(65 << 10);
    let without = |what: &str| form.replace(what, "");
    for (name, text, said) in [
        ("denid.html", "", "denid.html:1:1: is neither a template nor a language; did you mean \"denied.html\"?"),
        ("logo.svg", "", "logo.svg:1:1: is neither a template nor a language; use one of page.html, denied.html"),
        ("denied.html", large.as_str(), "denied.html:1:1: is larger than 64 KiB; make it smaller"),
        ("denied.html", "a\n{% if text %}", "denied.html:2:1: syntax error"),
        ("denied.html", "a\nb{{ textt }}", "denied.html:2:1: textt is no variable; use one of lang"),
        ("denied.html", "\n\n{% for link in links %}{{ link.hreff }}{% endfor %}", "denied.html:3:1: undefined value"),
        ("denied.html", "\n{{ own.help }}", "denied.html:2:1: undefined value"),
        ("denied.html", "{{ title|shout }}", "denied.html:1:1: unknown filter"),
        ("denied.html", "{% extends 'base.html' %}", "denied.html:1:1: template not found"),
        ("page.html", "{{ title }}\n{{ form.button }}", "page.html:2:1: undefined value"),
        ("page.html", "{{ title }}", "page.html:1:1: the question has no form that posts; add <form"),
        ("question.html", &without("method=post"), "question.html:2:1: the question has no form that posts; add <form"),
        ("question.html", &without("{{ form.action }}"), "question.html:2:1: the question has no form that posts"),
        ("question.html", &without("value=\"{{ field.value }}\""), "the question lacks fields of the form; add <input"),
        ("question.html", &without("<button>"), "the question has no button; add <button>"),
        ("question.html", &without("name='referrer'"), "the question hides from where it is posted"),
        (
            "question.html",
            &form.replace("<meta", "<!-- <meta").replace("{{ text }}", "-->{{ text }}"),
            "hides from where",
        ),
        ("question.html", &form.replace("{{ text }}", "{{ user.account }}"), "does not say who is signed in"),
        ("nl.toml", "title = 1", "nl.toml:1:1: title is no key"),
        ("nl.toml", "[token_mising]", "token_mising is no key; did you mean \"token_missing\"?"),
        ("nl.toml", "[links]\nsignin = \"x\"", "nl.toml:2:1: links.signin is no key; did you mean \"sign_in\"?"),
        ("nl.toml", "[links]\nretry = 7", "nl.toml:2:9: links.retry is not a string; put it in quotes"),
        ("nl.toml", "[own]\nhelp = 7", "nl.toml:2:8: own.help is not a string; put it in quotes"),
        ("nl.toml", "dir = \"up\"", "nl.toml:1:7: dir is not \"up\"; "),
        ("nl.toml", "x", "the file is not TOML here"),
        (
            "nl.toml",
            "[confirm]\ntext = \"Hoi {usr}\"",
            "nl.toml:2:8: {usr} stands for nothing here; did you mean \"{user}\"?",
        ),
        ("nl.toml", "[token_spent]\ntext = \"{user}\"", "nl.toml:2:8: {user} stands for nothing here; remove it"),
        ("nl.toml", "[switch]\ntext = \"{user}?\"", "nl.toml:2:8: switch.text does not say {other}; add it"),
    ] {
        let told = problems(&[(name, text)]);
        assert!(told.iter().any(|problem| problem.contains(said)), "{text:?} should say {said:?}, said {told:#?}");
        assert!(told.iter().all(|problem| problem.contains(';')), "each with its remedy: {told:#?}");
    }
    let nowhere = config(&upstream).replace("[session]", "[pages]\ntemplates = \"/nowhere/at/all\"\n[session]");
    let told = Config::parse(Path::new("proxy.toml"), &nowhere, &Secrets::find).err().unwrap_or_default();
    assert!(told.len() == 1 && told[0].text.starts_with("/nowhere/at/all cannot be read"), "{told:?}");
}
