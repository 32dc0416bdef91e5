//! A session cookie whose name does not begin with `__Host-`, and what a sibling host can plant beside it: cookies with a `Domain`.

use serde_json::json;

use crate::support::{Answer, Ask, Door, Issuer, Upstream, config};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "session";
const PAGE: &str = "/tickets";

async fn start() -> (Upstream, Door) {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream).replace("[session]", "[session]\ncookie = \"session\"")).await;
    (upstream, door)
}

async fn session(door: &Door, user: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let token = ACME.with(json!({ "userId": user, "jti": NEXT.fetch_add(1, Ordering::Relaxed).to_string() }));
    door.exchange(&token).await.cookie(COOKIE).unwrap()
}

fn with(ask: Ask, values: &[&str]) -> Ask {
    ask.header("Cookie", values.iter().map(|value| format!("{COOKIE}={value}")).collect::<Vec<_>>().join("; "))
}

/// Domain and path of what an answer clears; an empty domain is the host's own.
fn cleared(answer: &Answer) -> Vec<(String, String)> {
    let mine = answer.headers("set-cookie").filter(|line| line.starts_with("session=;") && line.contains("Max-Age=0"));
    let attribute = |line: &str, name: &str| {
        line.split("; ").find_map(|part| part.strip_prefix(name)).unwrap_or_default().to_owned()
    };
    mine.map(|line| (attribute(line, "Domain="), attribute(line, "Path="))).collect()
}

fn clears_planted_alone(answer: &Answer) {
    let cleared = cleared(answer);
    assert!(cleared.contains(&("portal.test".into(), "/".into())), "{cleared:?}");
    assert!(!cleared.iter().any(|(domain, _)| domain.is_empty()), "the host's own stays: {cleared:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_cookies_the_one_that_is_alive_counts() {
    let (upstream, door) = start().await;
    let maya = session(&door, "maya").await;
    let ended = session(&door, "tom").await;
    with(door.post("/_auth/logout"), &[&ended]).send().await;
    let again = session(&door, "maya").await;
    for planted in [
        &["planted", &maya][..],
        &[&maya, "planted"],
        &[&ended, &maya],
        &["", "x", "y", "z", &ended, "a", "b", &maya],
        &[&maya, &maya],
        &[&maya, &again],
    ] {
        for target in [PAGE, "/optional"] {
            let answer = with(door.get(target), planted).send().await;
            assert_eq!((answer.status, upstream.last().identity().0), (200, "maya"), "{planted:?}");
            assert_eq!(upstream.last().header("cookie"), None, "the app sees none of them");
            clears_planted_alone(&answer);
            assert_eq!(answer.header("cache-control"), Some("private, no-store"));
        }
        let who = with(door.get("/_auth/session"), planted).send().await;
        assert_eq!(who.json()["user"]["id"], "maya");
    }
    // One cookie is nobody's but ours, as far as anyone can tell.
    assert!(cleared(&with(door.get(PAGE), &[&maya]).send().await).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_and_too_many_cookies_are_ambiguous_and_what_was_planted_is_cleared() {
    let (upstream, door) = start().await;
    let (maya, tom) = (session(&door, "maya").await, session(&door, "tom").await);
    let nine = ["a", "b", "c", "d", "e", "f", "g", "h", &maya];
    for planted in [&[&tom[..], &maya][..], &[&maya, "x", &tom], &nine] {
        let answer = with(door.get(PAGE), planted).send().await;
        assert_eq!(answer.code(), "credential_ambiguous", "{planted:?}");
        clears_planted_alone(&answer);
        // Under the folders of the page as well: a cookie of one is sent first, and is cleared there alone.
        assert!(cleared(&answer).contains(&("portal.test".into(), PAGE.into())), "{:?}", cleared(&answer));
    }
    assert!(upstream.seen().is_empty());
    let dead = with(door.get(PAGE), &["x", "y"]).send().await;
    assert_eq!(dead.code(), "session_invalid");
    let all = cleared(&dead);
    assert!(all.contains(&(String::new(), "/".into())) && all.contains(&("portal.test".into(), "/".into())), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_ends_and_clears_all_of_them() {
    let (_upstream, door) = start().await;
    let (maya, tom) = (session(&door, "maya").await, session(&door, "tom").await);
    let answer = with(door.post("/_auth/logout"), &["planted", &tom, &maya]).send().await;
    assert_eq!(answer.status, 303);
    let all = cleared(&answer);
    assert_eq!(all, [(String::new(), "/".into()), ("portal.test".to_owned(), "/".to_owned())]);
    for ended in [&maya, &tom] {
        assert_eq!(with(door.get(PAGE), &[ended]).send().await.code(), "revoked");
    }
    // More than are opened are cleared all the same.
    let many: Vec<String> = (0..200).map(|n| format!("v{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(cleared(&with(door.post("/_auth/logout"), &many).send().await), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_session_wins_over_what_was_planted() {
    let (upstream, door) = start().await;
    let eve = session(&door, "eve").await;
    for planted in ["garbage", &eve] {
        let token = ACME.with(json!({ "jti": planted }));
        let answer = with(door.post("/_auth/exchange").bearer(&token), &[planted]).send().await;
        assert_eq!(answer.status, 200);
        clears_planted_alone(&answer);
        let first = answer.headers("set-cookie").next().unwrap();
        assert!(first.starts_with("session=") && !first.contains("Domain"), "{first}");
        let fresh = answer.cookie(COOKIE).unwrap();
        // The browser may hold both, in either order.
        for both in [[planted, &fresh], [&fresh, planted]] {
            assert_eq!(with(door.get(PAGE), &both).send().await.status, 200);
            assert_eq!(upstream.last().identity().0, "maya");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_and_single_labels_have_no_siblings() {
    let upstream = Upstream::start().await;
    let text = config(&upstream).replace("[session]", "[session]\ncookie = \"session\"").replace(
        "hosts = [\"portal.test\", \"acme.test\"]",
        "hosts = [\"127.0.0.1\", \"[::1]\", \"localhost\", \"a.b.portal.test\"]",
    );
    let door = Door::start(&text).await;
    for (host, domains) in
        [("127.0.0.1", 0), ("[::1]:80", 0), ("localhost", 0), ("a.b.portal.test:8080", 3), ("A.b.Portal.test", 3)]
    {
        let answer = with(door.post("/_auth/logout").host(host), &["x"]).send().await;
        assert_eq!(cleared(&answer).len(), 1 + domains, "{host}: {:?}", answer.headers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_a_host_name_stay_ambiguous() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let maya = door.session(&ACME.token("maya")).await;
    let two = format!("__Host-vestibule=x; __Host-vestibule={maya}");
    let answer = door.get(PAGE).header("Cookie", two).send().await;
    assert_eq!((answer.code().as_str(), answer.headers("set-cookie").count()), ("credential_ambiguous", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_was_planted_does_not_hide_the_callers_own() {
    let upstream = Upstream::start().await;
    let text = config(&upstream)
        .replace("[session]", "[session]\ncookie = \"session\"\ninsecure_cookie = true")
        .replace("servers = [", "session_cookies = [\"sessionid\"]\nservers = [");
    let door = Door::start(&text).await;
    let ask = |line: &str| door.get(PAGE).bearer(ACME.token("maya")).header("Cookie", line);
    let note = ask("sessionid=mayas").send().await.cookie("vestibule-app").unwrap();
    for notes in
        [format!("vestibule-app=forged; vestibule-app={note}"), format!("vestibule-app={note}; vestibule-app=")]
    {
        let answer = ask(&format!("sessionid=mayas; sessionid=planted; {notes}")).send().await;
        assert_eq!(upstream.last().header("cookie"), Some("sessionid=mayas"), "{notes}");
        let planted = answer.headers("set-cookie").filter(|set| set.starts_with("vestibule-app=;"));
        assert!(planted.collect::<Vec<_>>().iter().all(|set| set.contains("Domain=portal.test")));
        assert!(answer.headers("set-cookie").any(|set| set.starts_with("vestibule-app=;")));
    }
    // Where the cookies are `Secure`, a note of a lab is none.
    let text = config(&upstream).replace("servers = [", "session_cookies = [\"sessionid\"]\nservers = [");
    let door = Door::start(&text).await;
    let ask = door.get(PAGE).bearer(ACME.token("maya")).header("Cookie", "sessionid=mayas; vestibule-app=planted");
    assert_eq!(ask.send().await.status, 200);
    assert_eq!(upstream.last().header("cookie"), Some("sessionid=mayas"));
}
