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
    let (fresh, expired) = lines.split_last().unwrap();
    assert!(expired.iter().all(|line| line.contains("Max-Age=0")), "expired before it is set anew: {lines:?}");
    assert_eq!(expired.len(), 2, "at the root, and where it may have come from: {lines:?}");
    assert_eq!(*fresh, "sessionid=fresh; Path=/; HttpOnly", "to the byte");
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

/// JupyterHub names a cookie after each user, under a path of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_covers_names_that_users_have_of_their_own_wherever_they_lie() {
    let upstream = Upstream::answering(PLAIN).await;
    let text = config(&upstream).replace("servers = [", "session_cookies = [\"jupyterhub-user-*\"]\nservers = [");
    let door = Door::start(&text).await;
    let mut jar = Jar::default();
    jar.set(COOKIE, &door.session(&ACME.token("maya")).await);
    for (name, value) in [("jupyterhub-user-maya", "hers"), ("jupyterhub-users", "x"), ("_xsrf", "y")] {
        jar.set(name, value);
    }
    jar.send(door.get("/user/maya/lab")).await;
    assert_eq!(cookies(&upstream), "jupyterhub-user-maya=hers; jupyterhub-users=x; _xsrf=y");
    jar.set(COOKIE, &door.session(&ACME.token("tom")).await);
    let answer = jar.send(door.get("/user/maya/lab")).await;
    assert_eq!(cookies(&upstream), "jupyterhub-users=x; _xsrf=y");
    let lines: Vec<&str> = answer.headers("set-cookie").filter(|line| line.starts_with("jupyterhub")).collect();
    for path in ["/", "/user", "/user/", "/user/maya", "/user/maya/", "/user/maya/lab"] {
        assert!(lines.contains(&&*format!("jupyterhub-user-maya=; Path={path}; Max-Age=0")), "{path} {lines:?}");
    }
    assert_eq!(lines.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_means_every_cookie_but_ours() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nSet-Cookie: new=1\r\nContent-Length: 0\r\n\r\n").await;
    let text = config(&upstream).replace("servers = [", "session_cookies = \"all\"\nservers = [");
    let door = Door::start(&text).await;
    let mut jar = Jar::default();
    let (maya, tom) = (door.session(&ACME.token("maya")).await, door.session(&ACME.token("tom")).await);
    jar.set(COOKIE, &maya);
    for n in 0..20 {
        jar.set(&format!("c{n}"), "hers");
    }
    jar.send(door.get("/x")).await;
    assert_eq!(cookies(&upstream).matches("=hers").count(), 20);
    jar.set(COOKIE, &tom);
    let answer = jar.send(door.get("/x")).await;
    assert_eq!(cookies(&upstream), "");
    assert!(answer.headers("set-cookie").all(|line| !line.starts_with("__Host-vestibule=")), "{:?}", answer.headers);
    assert_eq!((jar.get("c7"), jar.get("new"), jar.get(COOKIE)), (None, Some("1"), Some(&*tom)));
    jar.send(door.get("/x")).await;
    assert_eq!(cookies(&upstream), "new=1", "what the app set for him is his");
    let out = jar.send(door.post("/_auth/logout")).await;
    assert!(out.headers("set-cookie").any(|line| line.starts_with("new=;")));
    // Only our own code touches ours.
    assert_eq!(out.headers("set-cookie").filter(|line| line.starts_with("__Host-vestibule=")).count(), 1);
    assert!(jar.get(NOTE).is_some());
    // What is no name for a header is kept from the app, and not written back.
    jar.set(COOKIE, &maya);
    let line = format!("{COOKIE}={maya}; {NOTE}={}; a b=1; caf\u{e9}=2; plain=3", jar.get(NOTE).unwrap());
    let answer = door.get("/x").header("Cookie", line).send().await;
    assert_eq!(cookies(&upstream), "");
    assert!(answer.headers("set-cookie").any(|line| line.starts_with("plain=;")));
    assert!(!answer.headers("set-cookie").any(|line| line.starts_with("a b") || line.starts_with("caf")));
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
async fn of_thousands_of_logins_a_few_are_looked_at() {
    let (upstream, door) = door_before(PLAIN).await;
    let ask = |line: String| door.get("/tickets").bearer(ACME.token("maya")).header("Cookie", line);
    // As many as fit into a head, and as many notes.
    let logins = |count: usize| (0..count).map(|n| format!("sessionid={n}")).collect::<Vec<_>>().join("; ");
    let answer = ask(format!("{}; theme=dark; {NOTE}=forged", logins(1_800))).send().await;
    assert_eq!((answer.status, cookies(&upstream).as_str()), (200, "theme=dark"));
    assert_eq!(answer.headers("set-cookie").filter(|set| set.starts_with("sessionid=")).count(), 2);
    assert_eq!(ask(format!("{}theme=dark", format!("{NOTE}=x; ").repeat(1_000))).send().await.status, 200);
    assert_eq!(cookies(&upstream), "theme=dark");
    ask(logins(1_800)).send().await;
    assert_eq!(cookies(&upstream), logins(256), "more are no login");
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

/// What the app sees of Maya's login when Tom comes, each with these credentials; and the note there is then.
async fn next_person(maya: impl Fn(Ask) -> Ask, tom: impl Fn(Ask) -> Ask) -> (String, Answer) {
    let (upstream, door) = door_before(PLAIN).await;
    let mut jar = Jar::default();
    jar.set("sessionid", "mayas");
    jar.send(maya(door.get("/tickets"))).await;
    assert_eq!(cookies(&upstream), "sessionid=mayas");
    let answer = jar.send(tom(door.get("/tickets"))).await;
    (cookies(&upstream), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_does_not_pass_from_a_page_to_a_frame_nor_back() {
    const EMBEDDED: &str = "__Host-vestibule-embedded";
    let (_upstream, door) = door_before(PLAIN).await;
    let framed = |user: &'static str| {
        let ask = door.post("/_auth/exchange?embed=true").bearer(ACME.token(user));
        async move { ask.send().await.cookie(EMBEDDED).unwrap() }
    };
    let (maya, tom) = (framed("maya").await, framed("tom").await);
    // The keys of all doors here are the same.
    let by_frame = |session: String| move |ask: Ask| ask.header("Cookie", format!("{EMBEDDED}={session}"));
    let by_bearer = |user: &'static str| move |ask: Ask| ask.bearer(ACME.token(user));
    let (seen, answer) = next_person(by_bearer("maya"), by_frame(tom)).await;
    assert_eq!(seen, "");
    // A frame may find it in either place.
    let of_root = |set: &&str| set.starts_with("sessionid=;") && set.contains("Path=/;");
    let expired: Vec<&str> = answer.headers("set-cookie").filter(of_root).collect();
    assert!(expired.len() == 2 && expired.iter().filter(|set| set.contains("Partitioned")).count() == 1, "{expired:?}");
    assert!(answer.cookie("__Host-vestibule-app-embedded").is_some());
    assert_eq!(next_person(by_frame(maya), by_bearer("tom")).await.0, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_app_sets_in_a_frame_stays_in_the_frame() {
    let set = "HTTP/1.1 200 OK\r\nSet-Cookie: sessionid=a; Path=/; HttpOnly; SameSite=Lax\r\nSet-Cookie: lang=en; SameSite=Lax\r\nContent-Length: 0\r\n\r\n";
    let (_upstream, door) = door_before(set).await;
    let session = door.post("/_auth/exchange?embed=true").bearer(ACME.token("maya")).send().await;
    let session = session.cookie("__Host-vestibule-embedded").unwrap();
    let answer = door.get("/tickets").cookie("__Host-vestibule-embedded", &session).send().await;
    let lines: Vec<&str> = answer.headers("set-cookie").filter(|set| !set.starts_with("__Host-")).collect();
    assert_eq!(lines, ["sessionid=a; Path=/; HttpOnly; Secure; SameSite=None; Partitioned", "lang=en; SameSite=Lax"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_used_is_not_forgotten_over_one_that_changes() {
    let (upstream, door) = door_before(PLAIN).await;
    let (maya, tom) = (door.session(&ACME.token("maya")).await, door.session(&ACME.token("tom")).await);
    let mut jar = Jar::default();
    for session in [&maya, &tom] {
        jar.set(COOKIE, session);
        jar.set("sessionid", "old");
        jar.send(door.get("/tickets")).await;
    }
    // Rails sets its cookie anew with every answer.
    let rotating = |n: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nSet-Cookie: sessionid=v{n}\r\nSet-Cookie: remember=r; Max-Age=9\r\nContent-Length: 0\r\n\r\n"
        )
    };
    for n in 0..20 {
        let (app, door) = door_before(&if n == 0 {
            rotating(0)
        } else {
            rotating(n).replace("Set-Cookie: remember=r; Max-Age=9\r\n", "")
        })
        .await;
        jar.send(door.get("/tickets")).await;
        if n > 0 {
            assert!(
                cookies(&app).contains("remember=r") && cookies(&app).contains(&format!("sessionid=v{}", n - 1)),
                "{n}: {}",
                cookies(&app)
            );
        }
    }
    assert_eq!(cookies(&upstream), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_only_reported_takes_nobodys_login() {
    let upstream = Upstream::start().await;
    let text = config(&upstream)
        .replace("servers = [", "session_cookies = [\"sessionid\"]\nservers = [")
        .replace("path = \"/staff\"", "path = \"/staff\"\nreport_only = true");
    let door = Door::start(&text).await;
    let mut jar = Jar::default();
    jar.set("sessionid", "mayas");
    jar.send(door.get("/tickets").bearer(ACME.token("maya"))).await;
    let answer = jar.send(door.get("/staff").bearer(ACME.token("maya"))).await;
    assert_eq!(
        (answer.status, cookies(&upstream).as_str(), answer.headers("set-cookie").count()),
        (200, "sessionid=mayas", 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_in_a_spelling_that_apps_trim_is_one_too() {
    let (upstream, door) = door_before(PLAIN).await;
    let note = door
        .get("/tickets")
        .bearer(ACME.token("maya"))
        .header("Cookie", "sessionid=mayas")
        .send()
        .await
        .cookie(NOTE)
        .unwrap();
    for name in ["\u{a0}sessionid", "sessionid\u{2003}", " sessionid "] {
        let line = format!("{name}=mayas; {NOTE}={note}");
        door.get("/tickets").bearer(ACME.token("tom")).header("Cookie", line).send().await;
        assert_eq!(cookies(&upstream), "", "{name:?}");
    }
}
