//! `session_cookies`: the app's own login does not outlive the identity it was used with.

use crate::support::{Answer, Ask, Door, Issuer, Upstream, config};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "__Host-vestibule";
const NOTE: &str = "__Host-vestibule-app";

/// Cookies as a browser keeps them, paths left aside.
#[derive(Clone, Default)]
struct Jar(Vec<(String, String)>);

impl Jar {
    fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(other, _)| other != name);
        if !value.is_empty() {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    async fn send(&mut self, ask: Ask) -> Answer {
        let line = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let answer = if line.is_empty() { ask } else { ask.header("Cookie", line) }.send().await;
        for set in answer.headers("set-cookie") {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            self.set(name, value);
        }
        answer
    }
}

/// The app sets its login cookie wherever it answers with `answer`.
async fn door_before(answer: &str) -> (Upstream, Door) {
    let upstream = Upstream::answering(answer).await;
    let text = config(&upstream).replace("servers = [", "session_cookies = [\"sessionid\", \"remember\"]\nservers = [");
    let door = Door::start(&text).await;
    (upstream, door)
}

const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn cookies(upstream: &Upstream) -> String {
    upstream.last().header("cookie").unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_person_does_not_get_the_login_of_the_one_before() {
    let (upstream, door) = door_before(PLAIN).await;
    let mut jar = Jar::default();
    let (maya, tom) = (door.session(&ACME.token("maya")).await, door.session(&ACME.token("tom")).await);
    jar.set(COOKIE, &maya);
    jar.set("sessionid", "mayas");
    jar.set("theme", "dark");
    for _ in 0..2 {
        jar.send(door.get("/tickets")).await;
        assert_eq!(cookies(&upstream), "sessionid=mayas; theme=dark");
    }
    let note = jar.get(NOTE).expect("whose it is is noted").to_owned();
    assert!(!note.contains("maya"));

    jar.set(COOKIE, &tom);
    let answer = jar.send(door.get("/tickets")).await;
    assert_eq!(cookies(&upstream), "theme=dark");
    let expired = answer.headers("set-cookie").find(|set| set.starts_with("sessionid=")).unwrap();
    assert!(expired.contains("Max-Age=0") && expired.contains("Path=/"), "{expired}");
    assert_eq!((answer.header("cache-control"), jar.get("sessionid")), (Some("private, no-store"), None));

    // A login that lay elsewhere, and was not expired, comes to nothing; one that the app sets for him is his.
    jar.set("sessionid", "mayas");
    jar.send(door.get("/elsewhere")).await;
    assert_eq!(cookies(&upstream), "theme=dark");
    jar.set("remember", "mayas-too");
    jar.send(door.get("/tickets")).await;
    assert_eq!(cookies(&upstream), "theme=dark");

    // And back again.
    jar.set("sessionid", "toms");
    jar.set(COOKIE, &maya);
    jar.send(door.get("/tickets")).await;
    assert_eq!(cookies(&upstream), "theme=dark");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_app_sets_for_somebody_is_theirs() {
    let (upstream, door) =
        door_before("HTTP/1.1 200 OK\r\nSet-Cookie: sessionid=fresh; Path=/; HttpOnly\r\nSet-Cookie: lang=en\r\nContent-Length: 0\r\n\r\n")
            .await;
    let mut jar = Jar::default();
    jar.set(COOKIE, &door.session(&ACME.token("maya")).await);
    jar.set("sessionid", "old");
    jar.send(door.get("/tickets")).await;
    jar.set(COOKIE, &door.session(&ACME.token("tom")).await);
    jar.set("sessionid", "old");
    let switched = jar.send(door.get("/tickets")).await;
    assert_eq!(cookies(&upstream), "lang=en");
    let lines: Vec<&str> = switched.headers("set-cookie").filter(|set| set.starts_with("sessionid=")).collect();
    assert!(lines.len() == 2 && lines[0].contains("Max-Age=0"), "expired before it is set anew: {lines:?}");
    assert_eq!(lines[1], "sessionid=fresh; Path=/; HttpOnly", "to the byte");
    jar.send(door.get("/tickets")).await;
    assert!(cookies(&upstream).contains("sessionid=fresh"), "{}", cookies(&upstream));
    // Two of one name, under two paths: his passes.
    let both = format!(
        "sessionid=old; sessionid=fresh; {COOKIE}={}; {NOTE}={}",
        jar.get(COOKIE).unwrap(),
        jar.get(NOTE).unwrap()
    );
    door.get("/tickets").header("Cookie", both).send().await;
    assert_eq!(cookies(&upstream), "sessionid=fresh");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_sign_out_the_login_is_gone_on_open_pages_too() {
    let (upstream, door) = door_before(PLAIN).await;
    let mut jar = Jar::default();
    jar.set(COOKIE, &door.session(&ACME.token("maya")).await);
    jar.set("sessionid", "mayas");
    jar.send(door.get("/optional")).await;
    assert_eq!(cookies(&upstream), "sessionid=mayas");
    let out = jar.send(door.post("/_auth/logout")).await;
    assert!(out.headers("set-cookie").any(|set| set.starts_with("sessionid=;") && set.contains("Max-Age=0")));
    assert_eq!((jar.get("sessionid"), jar.get(COOKIE)), (None, None));
    // Where its path was another.
    jar.set("sessionid", "mayas");
    let answer = jar.send(door.get("/optional")).await;
    assert_eq!(cookies(&upstream), "");
    assert!(answer.headers("set-cookie").any(|set| set.starts_with("sessionid=;")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_to_open_pages_first_keeps_what_they_have() {
    let (upstream, door) = door_before(PLAIN).await;
    let mut jar = Jar::default();
    jar.set("sessionid", "a-basket");
    for path in ["/optional", "/public/x"] {
        jar.send(door.get(path)).await;
        assert_eq!(cookies(&upstream), "sessionid=a-basket", "{path}");
    }
    assert_eq!(jar.get(NOTE), None);
    let answer = jar.send(door.get("/tickets").bearer(ACME.token("maya"))).await;
    assert_eq!(cookies(&upstream), "sessionid=a-basket");
    assert!(answer.cookie(NOTE).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_ours_alone() {
    let set = "HTTP/1.1 200 OK\r\nSet-Cookie: __Host-vestibule-app=forged; Path=/; Secure\r\nContent-Length: 0\r\n\r\n";
    let (upstream, door) = door_before(set).await;
    let ask = || door.get("/tickets").bearer(ACME.token("maya"));
    let answer = ask().send().await;
    assert_eq!((answer.cookie(NOTE), answer.headers("set-cookie").count()), (None, 0));
    // One that nobody can read is somebody else's.
    for forged in ["x", "", "AAAA", &"A".repeat(23), &"A".repeat(400)] {
        ask().header("Cookie", format!("sessionid=whose; {NOTE}={forged}; theme=dark")).send().await;
        assert_eq!(cookies(&upstream), "theme=dark", "{forged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_user_does_not_follow_anothers_login() {
    let (upstream, door) = door_before(PLAIN).await;
    let first = door.get("/tickets").host("globex.test").bearer(Issuer::GLOBEX.token("maya"));
    let note = first.header("Cookie", "sessionid=of-globex").send().await.cookie(NOTE).unwrap();
    let line = format!("sessionid=of-globex; {NOTE}={note}");
    door.get("/tickets").bearer(ACME.token("maya")).header("Cookie", line).send().await;
    assert_eq!(cookies(&upstream), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_session_keys_keep_the_notes_of_the_old() {
    let (upstream, door) = door_before(PLAIN).await;
    let ask = |line: &str| door.get("/tickets").bearer(ACME.token("maya")).header("Cookie", line);
    let note = ask("sessionid=mayas").send().await.cookie(NOTE).unwrap();
    let text = config(&upstream).replace("servers = [", "session_cookies = [\"sessionid\"]\nservers = [").replace(
        "keys = [{ id = \"s1\", env = \"SESSION\" }]",
        "keys = [{ id = \"s2\", env = \"OLD_SESSION\" }, { id = \"s1\", env = \"SESSION\" }]",
    );
    let rotated = Door::start(&text).await;
    let ask = rotated.get("/tickets").bearer(ACME.token("maya"));
    ask.header("Cookie", format!("sessionid=mayas; {NOTE}={note}")).send().await;
    assert_eq!(cookies(&upstream), "sessionid=mayas");
}
