//! A real helpdesk behind the door: django-helpdesk, as `examples/django-helpdesk/` sets it up.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::support::{Answer, Ask, Door, Issuer, Process, one_tenant};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "__Host-vestibule";

/// The helpdesk's process, with a fresh database.
struct Helpdesk {
    _process: Process,
    address: String,
    _data: tempfile::TempDir,
}

impl Helpdesk {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/django-helpdesk/helpdesk");
        let mut command = Command::new(script);
        command.args(["serve", "--port", "0", "--data"]).arg(data.path());
        command.env("HELPDESK_ORIGIN", "http://portal.test").stdout(Stdio::piped());
        let mut process = Process::start(&mut command);
        let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let ready = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let url = line.strip_prefix("ready http://")?;
            Some(url.trim_end_matches('/').to_owned())
        });
        let address = ready.expect("the helpdesk is ready; `make setup` installs it");
        // Kept open, so that the helpdesk can go on printing.
        std::thread::spawn(move || lines.for_each(drop));
        Self { _process: process, address, _data: data }
    }

    fn config(&self) -> String {
        let routes = r#"
            handoff_param = "token"
            [[routes]]
            path = "/static"
            auth = "public"
            upstream = "app"
            "#;
        one_tenant(&self.address, "acme", "gateway", routes)
    }
}

/// A browser: keeps its cookies.
struct Browser<'a> {
    door: &'a Door,
    cookies: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    fn new(door: &'a Door) -> Self {
        Self { door, cookies: Vec::new() }
    }

    fn cookie(&self, name: &str) -> &str {
        self.cookies.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    async fn send(&mut self, ask: Ask) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let ask = if cookies.is_empty() { ask } else { ask.header("Cookie", cookies.join("; ")) };
        let answer = ask.send().await;
        for set in answer.headers("set-cookie") {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(key, _)| key != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        answer
    }

    async fn get(&mut self, target: &str) -> Answer {
        let ask = self.door.get(target).navigating();
        self.send(ask).await
    }

    /// Signs in as a widget's page does, by a token that is not used again.
    async fn sign_in(&mut self, user: &str) {
        let token = ACME
            .with(json!({ "userId": user, "userEmail": format!("{user}@acme.example"), "userRoles": ["customer"] }));
        let answer = self.get(&format!("/tickets/my-tickets/?token={token}")).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/tickets/my-tickets/")));
        assert!(!self.cookie(COOKIE).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_opened_found_again_and_nobody_elses() {
    let helpdesk = Helpdesk::start();
    let door = Door::start(&helpdesk.config()).await;
    assert_eq!(door.get("/tickets/submit/").send().await.code(), "token_missing");

    let mut maya = Browser::new(&door);
    maya.sign_in("maya").await;
    let form = maya.get("/tickets/submit/").await;
    assert_eq!(form.status, 200, "{}", form.text());
    let csrf = maya.cookie("csrftoken").to_owned();
    let title = "The printer on floor 3 eats paper";
    let fields = [("csrfmiddlewaretoken", csrf.as_str()), ("title", title), ("body", "Every second page.")];
    let submit = door.post("/tickets/submit/").header("Origin", "http://portal.test").form(&fields);
    let opened = maya.send(submit).await;
    assert_eq!(opened.status, 302, "{}", opened.text());
    let ticket = opened.header("location").unwrap().to_owned();

    // The token is long expired; the session cookie goes on.
    door.clock.advance(2 * 3_600);
    let list = maya.get("/api/user_tickets/").await;
    assert_eq!((list.status, list.json()["count"].as_i64()), (200, Some(1)), "{}", list.text());
    assert_eq!(list.json()["results"][0]["title"], title);
    let id = list.json()["results"][0]["id"].as_i64().unwrap();
    assert!(maya.get(&ticket).await.text().contains(title));

    let mut tom = Browser::new(&door);
    door.clock.advance(-2 * 3_600);
    tom.sign_in("tom").await;
    assert_eq!(tom.get("/api/user_tickets/").await.json()["count"].as_i64(), Some(0));
    for target in
        [ticket.clone(), format!("/view/?ticket={id}"), format!("/tickets/{id}/"), format!("/api/tickets/{id}/")]
    {
        let answer = tom.get(&target).await;
        assert!(answer.status == 403 && !answer.text().contains(title), "{target}: {}", answer.status);
    }

    // Tom says he is Maya, or staff, in every way a header can.
    for (name, value) in [
        ("X-User-Id", "maya"),
        ("X_User_Id", "maya"),
        ("X-User-Email", "maya@acme.example"),
        ("X-Roles", "agent"),
        ("Connection", "X-User-Id"),
    ] {
        let list = tom.send(door.get("/api/user_tickets/").header(name, value)).await;
        assert_eq!(list.json()["count"].as_i64(), Some(0), "{name}");
        let staff = tom.send(door.get(&format!("/tickets/{id}/")).header(name, value)).await;
        assert_eq!(staff.status, 403, "{name}");
    }
    let anonymous = door.get("/api/user_tickets/").header("X-User-Id", "maya").send().await;
    assert_eq!(anonymous.code(), "token_missing");

    // Staff are who their backend says they are.
    let agent = ACME.with(json!({ "userId": "ada", "userEmail": "ada@acme.example", "userRoles": ["agent"] }));
    let seen = door.get(&format!("/tickets/{id}/")).bearer(agent).send().await;
    assert!(seen.status == 200 && seen.text().contains(title));

    let out = door.post("/_auth/logout").cookie(COOKIE, maya.cookie(COOKIE)).send().await;
    assert_eq!(out.status, 303);
    assert_eq!(maya.get("/api/user_tickets/").await.status, 401);
}
