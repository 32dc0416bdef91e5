//! What every ledger promises, tried on each of them. A store is a word in `suite!` and a fixture beside [`Place::memory`].

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use vestibule::{
    identity::{Identity, TenantId},
    ledger::{
        Cause, Extent, Issued, Ledger, LedgerError, Owner, Person, Reach, RedisSettings, Revocation, Servers, Settings,
        Spend, Standing, StoreSettings, Subject, Subjects, Token, Transport,
    },
    session::{self, Lifetime, Session},
    time::{Clock, UnixTime},
};

use crate::support::{NOW, RedisServer, eventually};

/// Where a ledger keeps what it must remember.
struct Place {
    settings: Settings,
    keeps: Keeps,
    /// Gone with the test.
    _folder: Option<tempfile::TempDir>,
    _redis: Option<RedisServer>,
}

/// What another ledger that is opened there knows.
#[derive(PartialEq, Eq)]
enum Keeps {
    Nothing,
    /// All, once the one before it is closed.
    ForTheNext,
    /// All, at any time.
    ForAll,
}

impl Place {
    fn of(store: StoreSettings, keeps: Keeps, folder: Option<tempfile::TempDir>) -> Self {
        let settings = Settings { store, most: 1_000, max_staleness: Duration::from_secs(30) };
        Self { settings, keeps, _folder: folder, _redis: None }
    }

    fn memory() -> Self {
        Self::of(StoreSettings::Memory, Keeps::Nothing, None)
    }

    fn path() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::of(StoreSettings::Path(folder.path().join("ledger.redb")), Keeps::ForTheNext, Some(folder))
    }

    fn redis() -> Self {
        let redis = RedisServer::start();
        let settings = RedisSettings {
            servers: Servers::One { address: ("127.0.0.1".into(), redis.address.port()), database: 0 },
            transport: Transport::Plain,
            login: None,
            prefix: "vestibule".into(),
        };
        Self { _redis: Some(redis), ..Self::of(StoreSettings::Redis(settings), Keeps::ForAll, None) }
    }

    /// Redis's, which no test sets.
    fn forgets_by_a_clock_of_its_own(&self) -> bool {
        matches!(self.settings.store, StoreSettings::Redis(_))
    }

    async fn open(&self) -> Arc<Ledger> {
        self.open_at(NOW).await
    }

    async fn open_at(&self, now: UnixTime) -> Arc<Ledger> {
        let opened = Ledger::open(&self.settings, &Clock::reading(move || now)).await;
        let ledger = opened.unwrap_or_else(|e| panic!("{e}"));
        // It opens without its Redis too, where that takes its time.
        eventually(10, "it is well", async || ledger.standing() == Standing::Sound).await;
        Arc::new(ledger)
    }

    /// The ledger as another process finds it after this one; `None` where it is forgotten.
    async fn reopen(&self, before: Arc<Ledger>, now: UnixTime) -> Option<Arc<Ledger>> {
        assert_eq!(Arc::strong_count(&before), 1, "nobody else holds it");
        drop(before);
        if self.keeps == Keeps::Nothing { None } else { Some(self.open_at(now).await) }
    }
}

/// Each test with each store.
macro_rules! suite {
    ($($store:ident)+; $tests:tt) => { $(suite!(@ $store $tests);)+ };
    (@ $store:ident [$($test:ident)+]) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    super::$test(super::Place::$store()).await;
                }
            )+
        }
    };
}

suite! { memory path redis; [
    of_many_spenders_of_a_token_one_is_first
    a_spent_token_stays_spent_after_reopening
    a_token_is_forgotten_when_nothing_can_let_it_pass_and_not_a_second_earlier
    revocations_of_session_user_and_tenant_are_found_after_reopening
    a_revocation_reaches_as_far_as_its_extent
    two_revocations_are_one_that_reaches_and_lasts_as_the_greater
    a_sweep_forgets_what_has_ended_and_nothing_else
    a_full_one_refuses_and_forgets_nothing
    one_tenant_leaves_the_others_their_share
    two_clocks_are_kept_apart
    the_ends_of_time_are_times
    two_at_once_know_the_same_where_it_is_shared
    released_it_refuses_and_resumed_it_goes_on
] }

fn token(name: &str, expires_at: i64) -> Token {
    Token::new(&TenantId::new("acme"), name, NOW, UnixTime(expires_at))
}

fn identity(tenant: &str, user: &str) -> Identity {
    let (user, tenant) = (user.to_owned(), TenantId::new(tenant));
    Identity { user, tenant, roles: Vec::new(), email: None, name: None, plan: None, picture: None }
}

fn session(tenant: &str, user: &str) -> Session {
    let lifetime = Lifetime { absolute: Duration::from_secs(3_600), idle: None };
    Session::start(identity(tenant, user), session::Place::Own, NOW, lifetime, NOW)
}

fn of_user(user: &str, issued_up_to: i64, until: i64) -> Revocation {
    let acme = TenantId::new("acme");
    let (subject, extent) = (Subject::user(&acme, user), Extent::up_to(UnixTime(issued_up_to)));
    let (owner, person) = (Owner::of(&acme), Person::UNKNOWN);
    Revocation { subject, extent, until: UnixTime(until), owner, cause: Cause::Order, person }
}

/// Of something that was issued then by either clock.
fn issued(at: i64) -> Issued {
    Issued::Session { at: UnixTime(at), began: UnixTime(at) }
}

fn find(ledger: &Ledger, user: &str, issued_at: i64) -> Option<Extent> {
    ledger.find(&Subjects::of_token(&identity("acme", user)), issued(issued_at)).unwrap()
}

async fn of_many_spenders_of_a_token_one_is_first(place: Place) {
    let ledger = place.open().await;
    let mut spenders = JoinSet::new();
    for number in 0..64 {
        let ledger = ledger.clone();
        spenders.spawn(async move {
            let mut first = Vec::new();
            // Each begins with another token, so that they meet in all orders.
            for round in 0..8 {
                let name = format!("token {}", (number + round) % 8);
                if ledger.spend(&token(&name, NOW.0 + 600), NOW).await.unwrap() == Spend::First {
                    first.push(name);
                }
            }
            first
        });
    }
    let first: Vec<String> = spenders.join_all().await.into_iter().flatten().collect();
    assert_eq!(first.len(), 8, "{first:?}");
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), 8, "{first:?}");
}

async fn a_spent_token_stays_spent_after_reopening(place: Place) {
    let ledger = place.open().await;
    for number in 0..20 {
        assert_eq!(ledger.spend(&token(&number.to_string(), NOW.0 + 600), NOW).await, Ok(Spend::First));
    }
    let Some(ledger) = place.reopen(ledger, NOW).await else { return };
    for number in 0..20 {
        assert_eq!(ledger.spend(&token(&number.to_string(), NOW.0 + 600), NOW).await, Ok(Spend::Again));
    }
    assert_eq!(ledger.spend(&token("another", NOW.0 + 600), NOW).await, Ok(Spend::First));
}

async fn a_token_is_forgotten_when_nothing_can_let_it_pass_and_not_a_second_earlier(place: Place) {
    if place.forgets_by_a_clock_of_its_own() {
        return;
    }
    let ledger = place.open().await;
    let spent = token("a", NOW.0 + 10);
    assert_eq!(ledger.spend(&spent, NOW).await, Ok(Spend::First));
    // The greatest leeway is a minute, and the longest wait another.
    for (after, spend) in [(10, Spend::Again), (70, Spend::Again), (129, Spend::Again), (130, Spend::First)] {
        let now = UnixTime(NOW.0 + after);
        ledger.sweep(now);
        assert_eq!(ledger.spend(&spent, now).await, Ok(spend), "{after} s later");
    }
}

async fn revocations_of_session_user_and_tenant_are_found_after_reopening(place: Place) {
    let ledger = place.open().await;
    let (noah, maya) = (session("acme", "noah"), session("acme", "maya"));
    let (ines, liam) = (session("globex", "ines"), session("acme", "liam"));
    let globex = TenantId::new("globex");
    let (subject, owner) = (Subject::tenant(&globex), Owner::of(&globex));
    let everyone = Revocation { subject, owner, ..of_user("", NOW.0, NOW.0 + 600) };
    for revocation in [Revocation::of_session(&noah, Extent::Ended), of_user("maya", NOW.0, NOW.0 + 600), everyone] {
        assert_eq!(ledger.revoke(revocation, NOW).await, Ok(()));
    }
    let check = |ledger: &Ledger| {
        let find =
            |session: &Session| ledger.find(&Subjects::of_session(session), Issued::of_session(session)).unwrap();
        assert_eq!(find(&noah), Some(Extent::Ended));
        assert_eq!(find(&session("acme", "noah")), None, "another session of that user");
        assert_eq!(find(&maya), Some(Extent::up_to(NOW)));
        assert_eq!(find(&ines), Some(Extent::up_to(NOW)));
        assert_eq!(find(&liam), None);
        assert_eq!(ledger.revocations(), 3);
    };
    check(&ledger);
    if let Some(ledger) = place.reopen(ledger, NOW).await {
        check(&ledger);
    }
}

async fn a_revocation_reaches_as_far_as_its_extent(place: Place) {
    let ledger = place.open().await;
    let replaced = session("acme", "noah");
    assert_eq!(ledger.revoke(Revocation::of_session(&replaced, Extent::Replaced), NOW).await, Ok(()));
    assert_eq!(ledger.revoke(of_user("maya", NOW.0, NOW.0 + 600), NOW).await, Ok(()));
    let check = |ledger: &Ledger| {
        assert_eq!(ledger.find(&Subjects::of_session(&replaced), issued(i64::MAX - 2)), Ok(Some(Extent::Replaced)));
        assert_eq!(find(ledger, "maya", NOW.0), Some(Extent::up_to(NOW)));
        assert_eq!(find(ledger, "maya", i64::MIN), Some(Extent::up_to(NOW)));
        assert_eq!(find(ledger, "maya", NOW.0 + 1), None);
    };
    check(&ledger);
    if let Some(ledger) = place.reopen(ledger, NOW).await {
        check(&ledger);
    }
}

async fn two_revocations_are_one_that_reaches_and_lasts_as_the_greater(place: Place) {
    let ledger = place.open().await;
    for revocation in [
        of_user("maya", NOW.0, NOW.0 + 100),
        of_user("maya", NOW.0 - 50, NOW.0 + 500),
        of_user("maya", NOW.0 - 20, NOW.0 + 200),
        of_user("noah", NOW.0, NOW.0 + 500),
        of_user("noah", NOW.0 + 50, NOW.0 + 100),
    ] {
        assert_eq!(ledger.revoke(revocation, NOW).await, Ok(()));
    }
    let check = |ledger: &Ledger, now: i64| {
        ledger.sweep(UnixTime(now));
        assert_eq!(ledger.revocations(), 2);
        assert_eq!(find(ledger, "maya", NOW.0), Some(Extent::up_to(NOW)));
        assert_eq!(find(ledger, "noah", NOW.0 + 50), Some(Extent::up_to(UnixTime(NOW.0 + 50))));
    };
    check(&ledger, NOW.0);
    check(&ledger, NOW.0 + 499);
    if let Some(ledger) = place.reopen(ledger, UnixTime(NOW.0 + 499)).await {
        check(&ledger, NOW.0 + 499);
        ledger.sweep(UnixTime(NOW.0 + 500));
        assert_eq!((ledger.revocations(), find(&ledger, "maya", NOW.0)), (0, None));
    }
}

async fn a_sweep_forgets_what_has_ended_and_nothing_else(place: Place) {
    if place.forgets_by_a_clock_of_its_own() {
        return;
    }
    let ledger = place.open().await;
    for (user, until) in [("a", NOW.0 + 1), ("b", NOW.0 + 2), ("c", NOW.0 + 3)] {
        assert_eq!(ledger.revoke(of_user(user, NOW.0, until), NOW).await, Ok(()));
        assert_eq!(ledger.spend(&token(user, until - 120), NOW).await, Ok(Spend::First));
    }
    let now = UnixTime(NOW.0 + 2);
    ledger.sweep(now);
    let check = |ledger: &Ledger| {
        assert_eq!(find(ledger, "c", NOW.0), Some(Extent::up_to(NOW)));
        assert_eq!((find(ledger, "a", NOW.0), find(ledger, "b", NOW.0), ledger.revocations()), (None, None, 1));
    };
    check(&ledger);
    assert_eq!(ledger.spend(&token("c", NOW.0 - 117), now).await, Ok(Spend::Again));
    // As long ago as it likes: what is swept on disk is what is swept in memory.
    if let Some(ledger) = place.reopen(ledger, UnixTime(i64::MIN)).await {
        check(&ledger);
        assert_eq!(ledger.spend(&token("c", NOW.0 - 117), now).await, Ok(Spend::Again));
        assert_eq!(ledger.spend(&token("b", NOW.0 - 118), now).await, Ok(Spend::First));
    }
}

async fn a_full_one_refuses_and_forgets_nothing(mut place: Place) {
    place.settings.most = 10;
    let ledger = place.open().await;
    let sessions: Vec<Session> = (0..11).map(|number| session("acme", &number.to_string())).collect();
    let out = |number: usize, until: i64| Revocation {
        until: UnixTime(until),
        ..Revocation::of_session(&sessions[number], Extent::Replaced)
    };
    for number in 0..10 {
        assert_eq!(ledger.revoke(out(number, NOW.0 + 100), NOW).await, Ok(()));
    }
    assert_eq!(ledger.revoke(out(10, NOW.0 + 100), NOW).await, Err(LedgerError::Full));
    let again = Revocation { extent: Extent::Ended, ..out(3, NOW.0 + 100) };
    assert_eq!(ledger.revoke(again, NOW).await, Ok(()), "the same takes no place");
    let of_third = ledger.find(&Subjects::of_session(&sessions[3]), Issued::of_session(&sessions[3]));
    assert_eq!(of_third, Ok(Some(Extent::Ended)));
    if let Some(again) = place.reopen(ledger, NOW).await {
        assert_eq!(again.revocations(), 10);
        assert_eq!(again.revoke(out(10, NOW.0 + 100), NOW).await, Err(LedgerError::Full), "it knows whose they are");
        let later = UnixTime(NOW.0 + 100);
        assert_eq!(again.revoke(out(10, NOW.0 + 200), later).await, Ok(()), "what has ended makes room");
    }
}

async fn one_tenant_leaves_the_others_their_share(mut place: Place) {
    place.settings.most = 100;
    let ledger = place.open().await;
    ledger.among(2);
    let of = |tenant: &str, user: &str| Revocation::of_session(&session(tenant, user), Extent::Ended);
    let out = |tenant: &str| of(tenant, "maya");
    let ordered = |number: usize| of_user(&number.to_string(), NOW.0, NOW.0 + 600);
    let mut done = 0;
    // By orders, and by two users who sign in and out.
    for user in ["maya", "noah"] {
        while ledger.revoke(of("acme", user), NOW).await.is_ok() {
            done += 1;
        }
        assert_eq!(done, if user == "maya" { 64 } else { 100 });
    }
    for number in 0..16 {
        assert_eq!(ledger.revoke(ordered(number), NOW).await, Ok(()), "{number}");
    }
    assert_eq!(ledger.revoke(ordered(16), NOW).await, Err(LedgerError::Full));
    assert_eq!(ledger.revoke(out("globex"), NOW).await, Ok(()));
    let ledger = match place.reopen(ledger, NOW).await {
        Some(again) => {
            again.among(2);
            again
        }
        None => return,
    };
    assert_eq!(ledger.revoke(out("acme"), NOW).await, Err(LedgerError::Full));
    assert_eq!(ledger.revoke(ordered(16), NOW).await, Err(LedgerError::Full));
    for _ in 1..25 {
        assert_eq!(ledger.revoke(out("globex"), NOW).await, Ok(()));
    }
    assert_eq!(ledger.revoke(out("globex"), NOW).await, Err(LedgerError::Full));
}

async fn two_clocks_are_kept_apart(place: Place) {
    let ledger = place.open().await;
    let ordered = |ours: i64, lead: i64| {
        let reach = Reach::up_to(UnixTime(NOW.0 + ours), lead);
        Revocation { extent: Extent::IssuedUpTo(reach), ..of_user("maya", 0, NOW.0 + 600) }
    };
    assert_eq!(ledger.revoke(ordered(0, 30), NOW).await, Ok(()));
    assert_eq!(ledger.revoke(ordered(10, 0), NOW).await, Ok(()));
    let check = |ledger: &Ledger| {
        let find = |at: i64, began: i64| {
            let issued = Issued::Session { at: UnixTime(NOW.0 + at), began: UnixTime(NOW.0 + began) };
            ledger.find(&Subjects::of_token(&identity("acme", "maya")), issued).unwrap().is_some()
        };
        assert_eq!((find(31, 10), find(31, 11), find(30, 11)), (true, false, true));
    };
    check(&ledger);
    if let Some(ledger) = place.reopen(ledger, NOW).await {
        check(&ledger);
    }
}

async fn the_ends_of_time_are_times(place: Place) {
    let ledger = place.open_at(UnixTime(i64::MIN)).await;
    let times = [i64::MIN, -86_400, 0, 4_300_000_000, i64::MAX - 3, i64::MAX];
    for at in times {
        let now = UnixTime(at);
        assert_eq!(ledger.spend(&token(&at.to_string(), at), now).await, Ok(Spend::First), "{at}");
        assert_eq!(ledger.spend(&token(&at.to_string(), at), now).await, Ok(Spend::Again), "{at}");
        assert_eq!(ledger.revoke(of_user(&at.to_string(), at, at), now).await, Ok(()), "{at}");
        assert!(find(&ledger, &at.to_string(), at.min(i64::MAX - 2)).is_some(), "{at}");
    }
    let Some(ledger) = place.reopen(ledger, UnixTime(i64::MIN)).await else { return };
    assert_eq!(ledger.revocations(), times.len() - 1, "what ended at the beginning of time has ended");
    ledger.sweep(UnixTime(0));
    assert_eq!(ledger.revocations(), 3);
    assert_eq!(ledger.spend(&token("0", 0), UnixTime(119)).await, Ok(Spend::Again), "until two minutes later");
    ledger.sweep(UnixTime(i64::MAX));
    assert_eq!(ledger.revocations(), 0);
    if !place.forgets_by_a_clock_of_its_own() {
        assert_eq!(ledger.spend(&token(&i64::MAX.to_string(), i64::MAX), NOW).await, Ok(Spend::First));
    }
}

async fn two_at_once_know_the_same_where_it_is_shared(place: Place) {
    let one = place.open().await;
    if place.keeps != Keeps::ForAll {
        // Nobody may believe that it is.
        assert!(place.keeps == Keeps::Nothing || Ledger::open(&place.settings, &Clock::reading(|| NOW)).await.is_err());
        return;
    }
    let other = place.open().await;
    let mut spenders = JoinSet::new();
    for number in 0..64 {
        let ledger = if number % 2 == 0 { one.clone() } else { other.clone() };
        spenders.spawn(async move { ledger.spend(&token("a", NOW.0 + 600), NOW).await.unwrap() });
    }
    let first = spenders.join_all().await.into_iter().filter(|spend| *spend == Spend::First).count();
    assert_eq!(first, 1);
    assert_eq!(one.revoke(of_user("maya", NOW.0, NOW.0 + 600), NOW).await, Ok(()));
    let end = tokio::time::Instant::now() + Duration::from_secs(5);
    while find(&other, "maya", NOW.0).is_none() {
        assert!(tokio::time::Instant::now() < end, "the other learns of it");
        tokio::task::yield_now().await;
    }
}

async fn released_it_refuses_and_resumed_it_goes_on(place: Place) {
    let ledger = place.open().await;
    assert_eq!(ledger.spend(&token("before", NOW.0 + 600), NOW).await, Ok(Spend::First));
    assert_eq!(ledger.revoke(of_user("before", NOW.0, NOW.0 + 600), NOW).await, Ok(()));
    ledger.release().await.unwrap();
    if place.keeps == Keeps::ForTheNext {
        assert!(matches!(ledger.spend(&token("a", NOW.0 + 600), NOW).await, Err(LedgerError::Unavailable(_))));
        let revoked = ledger.revoke(of_user("here", NOW.0, NOW.0 + 600), NOW).await;
        assert!(matches!(revoked, Err(LedgerError::Unavailable(_))));
        assert!(find(&ledger, "before", NOW.0).is_some() && find(&ledger, "here", NOW.0).is_some());
        let next = place.open().await;
        assert!(find(&next, "before", NOW.0).is_some());
        assert_eq!(next.revoke(of_user("there", NOW.0, NOW.0 + 600), NOW).await, Ok(()));
        assert_eq!(next.spend(&token("there", NOW.0 + 600), NOW).await, Ok(Spend::First));
        assert!(ledger.resume().await.is_err(), "the next has it");
        drop(next);
    }
    assert_eq!(ledger.resume().await, Ok(()));
    assert_eq!(ledger.standing(), Standing::Sound);
    assert_eq!(ledger.spend(&token("before", NOW.0 + 600), NOW).await, Ok(Spend::Again));
    if place.keeps == Keeps::ForTheNext {
        assert_eq!(ledger.spend(&token("there", NOW.0 + 600), NOW).await, Ok(Spend::Again));
        assert!(find(&ledger, "there", NOW.0).is_some());
        let Some(ledger) = place.reopen(ledger, NOW).await else { return };
        assert!(find(&ledger, "here", NOW.0).is_some(), "what was refused is not forgotten");
    }
}
