//! The ledger as a file, with the binary that is shipped: killed at any moment, with a disk that is full, a file that is
//! damaged, in use or gone.

use std::{
    collections::HashMap,
    fs,
    io::Write,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::task::JoinSet;
use vestibule::{
    identity::TenantId,
    ledger::{
        Cause, Extent, Ledger, OpenError, Owner, Person, Revocation, Settings, Spend, StoreSettings, Subject, Token,
    },
    time::{Clock, UnixTime},
};

use crate::support::{Answer, Ask, Client, Issuer, NOW, Process, Secrets, Upstream, one_tenant};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "__Host-vestibule";
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with a configuration, and an app behind.
struct Site {
    folder: tempfile::TempDir,
    address: SocketAddr,
    _upstream: Upstream,
}

impl Site {
    /// With its ledger at that path.
    async fn new(path: &str) -> Self {
        let upstream = Upstream::start().await;
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = one_tenant(&upstream.address.to_string(), "acme", "gateway", "")
            .replace("memory = true", &format!("path = \"{path}\""));
        let config = format!("[listen]\naddress = \"{address}\"\nthreads = 2\n{config}");
        fs::write(folder.path().join("proxy.toml"), config).unwrap();
        Self { folder, address, _upstream: upstream }
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("vestibule.redb")
    }

    /// `vestibule run`, by way of another command if there is one.
    fn command(&self, by: &[&str]) -> Command {
        let mut words = by.iter().copied().chain([env!("CARGO_BIN_EXE_vestibule"), "run"]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(self.folder.path()).env_remove("RUST_LOG");
        for name in ["SESSION", "ACME"] {
            command.env(name, Secrets::find(name).unwrap());
        }
        command
    }

    fn start(&self) -> Process {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.folder.path().join("log")).unwrap();
        Process::start(self.command(&[]).stderr(log)).until_listening(self.address)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// What it says when it cannot start.
    fn refusal(&self, by: &[&str]) -> (Output, String, Duration) {
        let started = Instant::now();
        let done = self.command(by).stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(done.stderr.clone()).unwrap();
        (done, said, started.elapsed())
    }

    fn ask(&self, method: &str, target: &str) -> Ask {
        Ask::new(self.address, method, target, "portal.test")
    }

    fn exchange(&self, token: &str) -> Ask {
        self.ask("POST", "/_auth/exchange").bearer(token)
    }

    fn sign_out(&self, session: &str) -> Ask {
        self.ask("POST", "/_auth/logout").cookie(COOKIE, session).header("Accept", "application/json")
    }

    fn who(&self, session: &str) -> Ask {
        self.ask("GET", "/_auth/session").cookie(COOKIE, session)
    }

    async fn session(&self, user: &str) -> String {
        let answer = self.exchange(&token(user)).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.cookie(COOKIE).unwrap()
    }
}

/// A token of its own for a user, by the clock on the wall.
fn token(user: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let now = jsonwebtoken::get_current_timestamp();
    let id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
    ACME.with(json!({ "userId": user, "iat": now, "exp": now + 600, "jti": id }))
}

/// Sends over a connection that may break.
async fn try_send(client: &mut Client, ask: &Ask) -> Option<Answer> {
    client.send(&ask.bytes()).await;
    client.receive(false).await
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "{what}");
        tokio::task::yield_now().await;
    }
}

/// What clients were told, over all lives of the process.
#[derive(Default)]
struct Told {
    /// Each token that was sent, and its user.
    tried: HashMap<String, String>,
    /// Of each token: its user and how often it was exchanged.
    exchanged: HashMap<String, (String, usize)>,
    /// Of each session: its user and whether its sign-out was answered.
    sessions: HashMap<String, (String, bool)>,
}

/// Exchanges tokens, each of them twice, and signs every third session out, until the process is gone.
async fn use_it(site: Arc<Site>, told: Arc<Mutex<Told>>, answered: Arc<AtomicUsize>, tokens: Vec<(String, String)>) {
    let mut client = Client::connect(site.address).await;
    for (number, (token, user)) in tokens.into_iter().enumerate() {
        told.lock().unwrap().tried.insert(token.clone(), user.clone());
        let Some(answer) = try_send(&mut client, &site.exchange(&token)).await else { return };
        answered.fetch_add(1, Ordering::Relaxed);
        if answer.status != 200 {
            assert_eq!(answer.code(), "token_spent");
            continue;
        }
        assert_eq!(answer.json()["user"]["id"], user, "a wrong identity");
        let session = answer.cookie(COOKIE).unwrap();
        told.lock().unwrap().exchanged.entry(token).or_insert((user.clone(), 0)).1 += 1;
        if number % 3 != 0 {
            told.lock().unwrap().sessions.insert(session, (user, false));
            continue;
        }
        // Without an answer nobody knows whether it is signed out.
        let Some(answer) = try_send(&mut client, &site.sign_out(&session)).await else { return };
        assert_eq!(answer.status, 204);
        told.lock().unwrap().sessions.insert(session, (user, true));
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_forgets_nothing_that_was_answered() {
    const CLIENTS: usize = 8;
    let site = Arc::new(Site::new("vestibule.redb").await);
    let told = Arc::new(Mutex::new(Told::default()));
    for round in 0..6 {
        let process = site.start();
        let tokens: Vec<_> = (0..400).map(|i| (token(&format!("u-{round}-{i}")), format!("u-{round}-{i}"))).collect();
        let answered = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            // Two have the same tokens, and meet over each.
            let own = tokens.iter().skip(number / 2).step_by(CLIENTS / 2).cloned().collect();
            clients.spawn(use_it(site.clone(), told.clone(), answered.clone(), own));
        }
        until("answers", async || answered.load(Ordering::Relaxed) > 30 + 23 * round).await;
        // SIGKILL, in the middle of what they do.
        drop(process);
        clients.join_all().await;
    }
    let process = site.start();
    let mut client = Client::connect(site.address).await;
    let tried = told.lock().unwrap().tried.clone();
    for (token, user) in tried {
        let answer = site.exchange(&token).send_over(&mut client).await;
        if answer.status == 200 {
            told.lock().unwrap().exchanged.entry(token).or_insert((user, 0)).1 += 1;
        }
    }
    let told = std::mem::take(&mut *told.lock().unwrap());
    let signed_out = told.sessions.values().filter(|(_, is_out)| *is_out).count();
    assert!(told.exchanged.len() > 100 && signed_out > 30, "{} and {signed_out}", told.exchanged.len());
    let doubles = told.exchanged.values().filter(|(_, times)| *times != 1).count();
    let (mut lost, mut wrong) = (0, 0);
    for (session, (user, is_out)) in &told.sessions {
        let answer = site.who(session).send_over(&mut client).await;
        match (is_out, answer.status) {
            (true, 401) => assert_eq!(answer.code(), "revoked"),
            (true, _) => lost += 1,
            (false, 200) => wrong += usize::from(answer.json()["user"]["id"] != *user),
            (false, _) => wrong += 1,
        }
    }
    assert_eq!((doubles, lost, wrong), (0, 0, 0), "double exchanges, lost revocations, wrong identities");
    drop(process);
}

/// Fills what the ledger is on, and makes room again.
enum Disk {
    /// By a limit on the size of files, as anybody may set one for a process.
    Limited(u32),
    /// By another file on a small file system.
    Small(PathBuf),
}

impl Disk {
    fn fill(&self) {
        match self {
            Self::Limited(process) => limit(*process, "4096:"),
            Self::Small(filler) => {
                let mut filler = fs::File::create(filler).unwrap();
                while filler.write(&[1; 4096]).is_ok() {}
            }
        }
    }

    fn make_room(&self) {
        match self {
            Self::Limited(process) => limit(*process, "unlimited:"),
            Self::Small(filler) => fs::remove_file(filler).unwrap(),
        }
    }
}

fn limit(process: u32, size: &str) {
    let done = Command::new("prlimit").args(["--pid", &process.to_string(), &format!("--fsize={size}")]).status();
    assert!(done.unwrap().success());
}

/// A file system of 4 MB, gone with the test; `None` where one may not mount.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mut mount = Command::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(at).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

async fn a_full_disk(site: &Site, process: Process, disk: Disk) {
    let spent = token("maya");
    let maya = site.exchange(&spent).send().await.cookie(COOKIE).unwrap();
    let noah = site.session("noah").await;
    disk.fill();
    until("it is refused", async || {
        let answer = site.exchange(&token("liam")).send().await;
        assert!(answer.status == 200 || answer.status == 503, "{}", answer.text());
        answer.status == 503
    })
    .await;
    let refused = site.sign_out(&noah).send().await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "ledger_unavailable"));
    assert!(refused.header("retry-after").is_some());
    // Here it counts at once, all the same; whoever is signed in stays so.
    assert_eq!(site.who(&noah).send().await.status, 401);
    assert_eq!(site.who(&maya).send().await.status, 200);
    assert_eq!(site.ask("GET", "/tickets").cookie(COOKIE, &maya).send().await.status, 200);
    let while_full = token("ines");
    assert_eq!(site.exchange(&while_full).send().await.status, 503);
    disk.make_room();
    until("it recovers", async || site.exchange(&token("liam")).send().await.status == 200).await;
    assert_eq!(site.exchange(&spent).send().await.code(), "token_spent");
    let log = site.log();
    assert_eq!(log.matches("Until then nobody can sign in or out").count(), 1, "{log}");
    assert_eq!(log.matches("can be written again").count(), 1, "{log}");
    drop(process);
    let process = site.start();
    assert_eq!(site.who(&noah).send().await.code(), "revoked", "the sign-out that could not be written was, later");
    assert_eq!(site.exchange(&spent).send().await.code(), "token_spent");
    assert_eq!(site.who(&maya).send().await.status, 200);
    drop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_file_may_grow_it_refuses_and_recovers() {
    let site = Site::new("vestibule.redb").await;
    let process = site.start();
    let disk = Disk::Limited(process.0.id());
    a_full_disk(&site, process, disk).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_it_refuses_and_recovers() {
    let site = Site::new("small/vestibule.redb").await;
    let folder = site.folder.path().join("small");
    // The test before this one is for who may not.
    let Some(_small) = Small::mount(&folder) else { return };
    let process = site.start();
    a_full_disk(&site, process, Disk::Small(folder.join("filler"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_removed_under_it_is_made_anew_with_all_it_held() {
    let site = Site::new("vestibule.redb").await;
    let process = site.start();
    let spent = token("maya");
    assert_eq!(site.exchange(&spent).send().await.status, 200);
    let noah = site.session("noah").await;
    assert_eq!(site.sign_out(&noah).send().await.status, 204);
    fs::remove_file(site.ledger()).unwrap();
    until("it goes on", async || site.exchange(&token("liam")).send().await.status == 200).await;
    assert!(site.ledger().exists() && site.log().contains("was removed, moved or replaced"), "{}", site.log());
    drop(process);
    let _process = site.start();
    assert_eq!(site.exchange(&spent).send().await.code(), "token_spent");
    assert_eq!(site.who(&noah).send().await.code(), "revoked");
}

/// A ledger of 200 tokens and as many revocations, closed in order.
async fn written(path: &Path) {
    let ledger = Ledger::open(&settings(path), &Clock::reading(|| NOW)).await.unwrap();
    for number in 0..200 {
        let token = spent(number);
        assert_eq!(ledger.spend(&token, NOW).await, Ok(Spend::First));
        assert_eq!(ledger.revoke(revoked(number), NOW).await, Ok(()));
    }
}

fn settings(path: &Path) -> Settings {
    Settings { store: StoreSettings::Path(path.to_owned()), most: 10_000, max_staleness: Duration::from_secs(30) }
}

fn spent(number: usize) -> Token {
    Token::new(&TenantId::new("acme"), &number.to_string(), NOW, UnixTime(NOW.0 + 600))
}

fn revoked(number: usize) -> Revocation {
    let acme = TenantId::new("acme");
    let (subject, owner) = (Subject::user(&acme, &number.to_string()), Owner::of(&acme));
    let (extent, until, person) = (Extent::up_to(NOW), UnixTime(NOW.0 + 600), Person::UNKNOWN);
    Revocation { subject, extent, until, owner, cause: Cause::Order, person }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_a_ledger_is_one_clear_line_within_a_second() {
    let whole = {
        let folder = tempfile::tempdir().unwrap();
        written(&folder.path().join("l")).await;
        fs::read(folder.path().join("l")).unwrap()
    };
    let with = |at: &[usize], byte: u8| {
        let mut bytes = whole.clone();
        for at in at {
            bytes[*at] = byte;
        }
        bytes
    };
    let foreign = {
        let folder = tempfile::tempdir().unwrap();
        let database = redb::Database::create(folder.path().join("f")).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).unwrap().insert(1, 1).unwrap();
        transaction.commit().unwrap();
        drop(database);
        fs::read(folder.path().join("f")).unwrap()
    };
    for (bytes, said) in [
        (b"hello".to_vec(), "is no ledger; name another file"),
        (b"[listen]\n".repeat(1_000), "is no ledger; name another file"),
        (vec![0; 5], "is no ledger; name another file"),
        (foreign, "did not write; name another file"),
        (whole[..whole.len() / 2].to_vec(), "is damaged"),
        (whole[..5_000].to_vec(), "is damaged"),
        // The version in each of the two slots of the header.
        (with(&[64, 192], 1), "is of an older format; restore a copy, or move it away and replace the session key"),
        (with(&[64, 192], 9), "is damaged"),
    ] {
        let site = Site::new("vestibule.redb").await;
        fs::write(site.ledger(), &bytes).unwrap();
        let (done, text, took) = site.refusal(&[]);
        assert_eq!(done.status.code(), Some(1), "{said}: {text}");
        assert!(
            text.lines().count() == 1 && text.starts_with("ledger.path vestibule.redb: ") && text.contains(said),
            "{said}: {text}"
        );
        assert!(took < Duration::from_secs(5), "generous for a busy machine: {took:?}");
        let is_as_it_was = fs::read(site.ledger()).unwrap() == bytes;
        // Of another's redb file the header notes that it was opened.
        assert!(is_as_it_was || said.starts_with("did not write"), "{said}: it is left as it was");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_a_file_that_was_being_made_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l");
    // redb sets the length, then writes all but the first bytes, then those.
    let lengthened = vec![0; 1 << 20];
    let mut headed = lengthened.clone();
    headed[9..320].fill(7);
    for bytes in [Vec::new(), lengthened.clone(), headed.clone()] {
        fs::write(&path, bytes).unwrap();
        let ledger = Ledger::open(&settings(&path), &Clock::reading(|| NOW)).await.unwrap();
        assert_eq!(ledger.spend(&spent(0), NOW).await, Ok(Spend::First));
        drop(ledger);
        let ledger = Ledger::open(&settings(&path), &Clock::reading(|| NOW)).await.unwrap();
        assert_eq!(ledger.spend(&spent(0), NOW).await, Ok(Spend::Again));
    }
    headed[9_000] = 7;
    fs::write(&path, &headed).unwrap();
    assert!(Ledger::open(&settings(&path), &Clock::reading(|| NOW)).await.is_err(), "that was more than a beginning");
    assert_eq!(fs::read(&path).unwrap(), headed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_where_no_ledger_can_be_is_one_clear_line() {
    let is_root = rustix::process::getuid().is_root();
    let as_nobody: &[&str] =
        if is_root { &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] } else { &[] };
    let no_room: &[&str] = &["sh", "-c", "ulimit -f 0; exec \"$0\" \"$@\""];
    let small: &[&str] = &["sh", "-c", "ulimit -f 8; exec \"$0\" \"$@\""];
    let cases: [(&str, &[&str], &str); 7] = [
        ("nowhere/v.redb", &[], "No such file or directory (os error 2); create its folder"),
        (".", &[], "Is a directory (os error 21); name a file"),
        ("proxy.toml/v.redb", &[], "Not a directory (os error 20); name a file"),
        ("/dev/null", &[], "is no file; name one"),
        ("vestibule.redb", as_nobody, "Permission denied (os error 13); let the user that Vestibule runs as write it"),
        ("vestibule.redb", no_room, "File too large (os error 27); make room for it"),
        ("vestibule.redb", small, "File too large (os error 27); make room for it"),
    ];
    for (path, by, said) in cases {
        let site = Site::new(path).await;
        let mode = if is_root { 0o755 } else { 0o555 };
        if by == as_nobody {
            fs::set_permissions(site.folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        }
        let (done, text, took) = site.refusal(by);
        fs::set_permissions(site.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(done.status.code(), Some(1), "{path}: {text}");
        assert!(text.lines().count() == 1 && text.starts_with("ledger.path ") && text.contains(said), "{said}: {text}");
        assert!(took < Duration::from_secs(5), "generous for a busy machine: {took:?}");
        if path == "vestibule.redb" {
            // What was left is in nobody's way. It listens before it has its ledger.
            let _process = site.start();
            until("a ledger", async || site.ledger().exists()).await;
            assert_eq!(fs::metadata(site.ledger()).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_in_use_is_said_to_be_until_it_is_free() {
    let site = Site::new("vestibule.redb").await;
    let mut first = site.start();
    let other = Site::new(site.ledger().to_str().unwrap()).await;
    let (done, text, _) = other.refusal(&[]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text.lines().count() == 1 && text.contains("is in use by another process; stop that"), "{text}");
    let opened = Ledger::open(&settings(&site.ledger()), &Clock::reading(|| NOW)).await.map(|_| ());
    assert!(matches!(opened, Err(OpenError::Locked(_))), "{opened:?}");
    assert_eq!(first.terminate(), Some(0));
    let _second = other.start();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_went_bad_is_never_read_as_if_it_were_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l");
    written(&path).await;
    let closed = fs::read(&path).unwrap();
    // As kill -9 leaves it: what is in a file that is open.
    let killed = {
        let ledger = Ledger::open(&settings(&path), &Clock::reading(|| NOW)).await.unwrap();
        for number in 0..200 {
            assert_eq!(ledger.spend(&spent(number), NOW).await, Ok(Spend::Again));
        }
        assert_eq!(ledger.spend(&spent(200), NOW).await, Ok(Spend::First));
        fs::read(&path).unwrap()
    };
    let (mut refused, mut opened) = (0, 0);
    for (whole, tokens) in [(closed, 200), (killed, 201)] {
        let written: Vec<usize> = (0..whole.len()).filter(|at| !matches!(whole[*at], 0 | 0xff)).collect();
        for at in written.iter().copied().step_by(written.len() / 40) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, bytes).unwrap();
            match Ledger::open(&settings(&path), &Clock::reading(|| NOW)).await {
                Err(OpenError::Unusable(_)) => refused += 1,
                Err(OpenError::Locked(text)) => panic!("{text}"),
                // A page that is in use no more.
                Ok(ledger) => {
                    opened += 1;
                    assert_eq!(ledger.revocations(), 200, "byte {at}");
                    for number in [0, 77, tokens - 1] {
                        assert_eq!(ledger.spend(&spent(number), NOW).await, Ok(Spend::Again), "byte {at}: {number}");
                    }
                }
            }
        }
    }
    assert!(refused > 10 && opened > 0, "{refused} and {opened}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_what_comes_and_goes_does_not_grow() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l");
    let ledger = Arc::new(Ledger::open(&settings(&path), &Clock::reading(|| NOW)).await.unwrap());
    let mut sizes = Vec::new();
    for wave in 0..12 {
        let now = UnixTime(NOW.0 + wave * 700);
        let mut tasks = JoinSet::new();
        for number in 0..1_000 {
            let ledger = ledger.clone();
            let name = usize::try_from(wave).unwrap() * 1_000 + number;
            tasks.spawn(async move {
                let token = Token { expires_at: UnixTime(now.0 + 600), ..spent(name) };
                assert_eq!(ledger.spend(&token, now).await, Ok(Spend::First));
                let until = UnixTime(now.0 + 600);
                assert_eq!(ledger.revoke(Revocation { until, ..revoked(name) }, now).await, Ok(()));
                // Of somebody who is revoked again and again, one is left.
                let again = Revocation { until: UnixTime(until.0 + i64::try_from(number).unwrap()), ..revoked(0) };
                assert_eq!(ledger.revoke(again, now).await, Ok(()));
            });
        }
        tasks.join_all().await;
        ledger.sweep(UnixTime(now.0 + 1));
        sizes.push(fs::metadata(&path).unwrap().len());
    }
    assert!(sizes[11] <= sizes[2].max(sizes[3]), "{sizes:?}");
}
