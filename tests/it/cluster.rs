//! Three instances behind HAProxy with one Redis, as `examples/cluster/` sets them up: what dies, and what nobody notices of it.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{task::JoinHandle, time::interval};

use crate::support::{Answer, Ask, Client, Issuer, PATIENCE, Process};

const COOKIE: &str = "vestibule";
const INSTANCES: [&str; 3] = ["a", "b", "c"];

/// `./run` of the example, on free ports, with a fresh folder.
struct Cluster {
    run: Process,
    data: tempfile::TempDir,
    /// The first of its ten ports.
    port: u16,
}

impl Cluster {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("widget.key"), Issuer::ACME.secret).unwrap();
        let port = ten_free_ports();
        let mut command = Self::script(data.path(), port);
        let mut run = Process::start(command.stdout(Stdio::piped()));
        let mut lines = BufReader::new(run.0.stdout.take().unwrap()).lines();
        let is_ready = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("Ctrl-C stops all"));
        assert!(is_ready, "the cluster starts; `make setup` installs what it needs");
        // Kept open, so that it can go on printing.
        std::thread::spawn(move || lines.for_each(drop));
        Self { run, data, port }
    }

    fn script(data: &Path, port: u16) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cluster/run"));
        command.env("PORT", port.to_string()).env("DATA", data).env("VESTIBULE", env!("CARGO_BIN_EXE_vestibule"));
        command.env_remove("RUST_LOG").stdin(Stdio::null());
        command
    }

    fn at(&self, offset: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port + offset).into()
    }

    /// Through HAProxy.
    fn ask(&self, method: &str, target: &str) -> Ask {
        Ask::new(self.at(0), method, target, "portal.test")
    }

    /// Past HAProxy, to one instance.
    fn ask_one(&self, instance: usize, method: &str, target: &str) -> Ask {
        Ask::new(self.at(1 + instance as u16), method, target, "portal.test")
    }

    fn ask_admin(&self, instance: usize, target: &str) -> Ask {
        Ask::new(self.at(4 + instance as u16), "GET", target, "localhost")
    }

    async fn sign_in(&self, user: &str) -> String {
        let answer = self.ask("POST", "/_auth/exchange").bearer(token(user)).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.cookie(COOKIE).expect("a session cookie")
    }

    /// Who that cookie is for each instance: the user, or the status of the refusal. 0 for a request that was cut in the
    /// middle, as one is whose session ends meanwhile.
    async fn known_as(&self, cookie: &str) -> [Result<String, u16>; 3] {
        let ask = async |at: usize| {
            let mut client = Client::connect(self.at(1 + at as u16)).await;
            client.send(&self.ask_one(at, "GET", "/").cookie(COOKIE, cookie).bytes()).await;
            client.receive(false).await.map_or(Err(0), |answer| identity(&answer))
        };
        tokio::join!(ask(0), ask(1), ask(2)).into()
    }

    /// As nothing else ends it: without a chance to clean up.
    fn kill(&self, part: &str) {
        let pid = fs::read_to_string(self.data.path().join(format!("{part}.pid"))).unwrap();
        assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    }

    fn restart(&self, part: &str) {
        let mut command = Self::script(self.data.path(), self.port);
        assert!(command.args(["start", part]).status().unwrap().success());
    }

    /// Whether HAProxy sends requests to that instance.
    async fn takes_part(&self, instance: &str) -> bool {
        let table = Ask::new(self.at(9), "GET", "/;csv", "localhost").send().await.text();
        let row = table.lines().find(|line| line.starts_with(&format!("vestibules,{instance},"))).unwrap();
        row.split(',').nth(17).unwrap().starts_with("UP")
    }
}

impl Drop for Cluster {
    /// Killed, the script could not stop what it started.
    fn drop(&mut self) {
        self.run.terminate();
        for part in ["redis", "a", "b", "c"] {
            if std::thread::panicking() {
                let log = fs::read_to_string(self.data.path().join(format!("{part}.log"))).unwrap_or_default();
                let lines: Vec<&str> = log.lines().filter(|line| !line.contains("vestibule::a")).collect();
                eprintln!("{part}.log:\n{}", lines.join("\n"));
            }
        }
    }
}

/// The first of ten ports, below those the system gives to whoever asks for any.
fn ten_free_ports() -> u16 {
    let is_free = |port: &u16| (*port..port + 10).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    let first = 10_000 + (std::process::id() % 2_000) as u16 * 10;
    (first..30_000).chain(10_000..first).step_by(10).find(is_free).expect("ten free ports")
}

/// A fresh token, good for ten minutes.
fn token(user: &str) -> String {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let now = vestibule::time::Clock::system().now().0;
    let jti = SERIAL.fetch_add(1, Ordering::Relaxed);
    Issuer::ACME.with(json!({ "userId": user, "iat": now, "exp": now + 600, "jti": jti.to_string() }))
}

/// Whom the app was told of, or why it was not asked.
fn identity(answer: &Answer) -> Result<String, u16> {
    if answer.status != 200 {
        return Err(answer.status);
    }
    let text = answer.text();
    let mut users = text.lines().filter_map(|line| line.trim_start_matches("<pre>").strip_prefix("X-User-Id: "));
    let user = users.next().expect("the app was told of somebody").to_owned();
    assert_eq!(users.next(), None, "one identity");
    Ok(user)
}

/// Asks again and again until it is so, and says how long that took.
async fn until<F: Future<Output = bool>>(patience: Duration, what: &str, so: impl Fn() -> F) -> Duration {
    let start = Instant::now();
    while !so().await {
        assert!(start.elapsed() < patience, "{what} within {patience:?}");
        tokio::task::yield_now().await;
    }
    start.elapsed()
}

/// What the steady load has seen so far.
#[derive(Default)]
struct Seen {
    good: AtomicUsize,
    failures: Mutex<Vec<String>>,
    wrong_identity: AtomicUsize,
    lost_revocation: AtomicUsize,
    done: AtomicBool,
}

impl Seen {
    fn failed(&self) -> usize {
        self.failures.lock().unwrap().len()
    }

    /// So many more good answers: the load goes on.
    async fn more(&self, count: usize) {
        let wanted = self.good.load(Ordering::SeqCst) + count;
        until(PATIENCE, "more good answers", async || self.good.load(Ordering::SeqCst) >= wanted).await;
    }
}

/// Asks for a page 25 times a second until the end: as a user, or (`None`) as somebody who is signed out.
fn load(seen: &Arc<Seen>, cluster: &Cluster, user: Option<&str>, cookie: &str) -> JoinHandle<()> {
    let (seen, user, address) = (seen.clone(), user.map(str::to_owned), cluster.at(0));
    let bytes = cluster.ask("GET", "/").cookie(COOKIE, cookie).bytes();
    tokio::spawn(async move {
        let mut pace = interval(Duration::from_millis(40));
        let mut client = Client::connect(address).await;
        while !seen.done.load(Ordering::SeqCst) {
            pace.tick().await;
            client.send(&bytes).await;
            let answer = client.receive(false).await;
            let count = match (answer.as_ref().map(identity), &user) {
                (Some(Ok(found)), Some(user)) if found == *user => Some(&seen.good),
                (Some(Ok(_)), Some(_)) => Some(&seen.wrong_identity),
                (Some(Ok(_)), None) => Some(&seen.lost_revocation),
                (Some(Err(401)), None) => Some(&seen.good),
                _ => None,
            };
            match count {
                Some(count) => {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                None => seen.failures.lock().unwrap().push(format!("{answer:?}")),
            }
            if answer.is_none_or(|answer| answer.header("connection") == Some("close")) {
                client = Client::connect(address).await;
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dies_is_not_noticed_and_what_ended_stays_ended() {
    let cluster = Cluster::start();
    let known = |user: &str| [(); 3].map(|()| Ok(user.to_owned()));
    let refused = [(); 3].map(|()| Err(401));

    for instance in INSTANCES {
        until(Duration::from_secs(10), "it is ready", async || cluster.takes_part(instance).await).await;
    }

    // Signed in once, known on all three, whichever HAProxy chooses.
    let tom = cluster.sign_in("tom").await;
    assert_eq!(cluster.known_as(&tom).await, known("tom"));
    let mut chosen = HashSet::new();
    for _ in INSTANCES {
        let answer = cluster.ask("GET", "/").cookie(COOKIE, &tom).send().await;
        assert_eq!(identity(&answer), Ok("tom".into()));
        chosen.insert(answer.header("x-instance").unwrap().to_owned());
    }
    assert_eq!(chosen, INSTANCES.map(String::from).into());

    // Signed out on one, out on all.
    let out = cluster.ask_one(1, "POST", "/_auth/logout").cookie(COOKIE, &tom).send().await;
    assert_eq!(out.status, 303, "{}", out.text());
    let gone = until(Duration::from_secs(1), "out on all", async || cluster.known_as(&tom).await == refused).await;

    // One token to all three at once is exchanged once.
    let mut double = 0;
    for _ in 0..20 {
        let token = token("ada");
        let exchange = |at| cluster.ask_one(at, "POST", "/_auth/exchange").bearer(&token).send();
        let answers: [Answer; 3] = tokio::join!(exchange(0), exchange(1), exchange(2)).into();
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        assert!(won > 0 && answers.iter().all(|answer| answer.status == 200 || answer.code() == "token_spent"));
        double += won - 1;
    }
    let spent = token("ada");
    let exchange = |at: usize, token: &str| cluster.ask_one(at, "POST", "/_auth/exchange").bearer(token).send();
    assert_eq!(exchange(0, &spent).await.status, 200);

    // From here on people work.
    let seen = Arc::new(Seen::default());
    let mut people = vec![load(&seen, &cluster, None, &tom)];
    for user in ["maya", "ada", "zoe"] {
        people.push(load(&seen, &cluster, Some(user), &cluster.sign_in(user).await));
    }
    seen.more(100).await;
    assert_eq!(seen.failed(), 0, "{:?}", seen.failures);

    // An instance dies under their hands.
    cluster.kill("b");
    until(Duration::from_secs(5), "HAProxy sees it", async || !cluster.takes_part("b").await).await;
    let in_flight = seen.failed();
    assert!(in_flight <= people.len(), "only what b had in its hands may fail: {in_flight}");
    seen.more(100).await;
    assert_eq!(seen.failed(), in_flight, "none fails once it is known to be gone: {:?}", seen.failures);
    cluster.restart("b");
    until(Duration::from_secs(10), "b is back", async || cluster.takes_part("b").await).await;
    // It knows who was signed out while it was another process.
    assert_eq!(cluster.known_as(&tom).await, refused);
    seen.more(100).await;
    assert_eq!(seen.failed(), in_flight);

    // Redis dies: who is signed in stays so, who is not cannot.
    cluster.kill("redis");
    until(Duration::from_secs(5), "the loss is known", async || {
        let answer = exchange(0, &token("eve")).await;
        assert_ne!(answer.status, 200, "an exchange that nobody noted");
        answer.code() == "ledger_unavailable"
    })
    .await;
    for at in 0..INSTANCES.len() {
        let answer = exchange(at, &token("eve")).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "ledger_unavailable"), "{at}");
        assert!(answer.header("retry-after").is_some());
        assert_eq!(cluster.ask_admin(at, "/readyz").send().await.status, 200, "{at} can still serve who is signed in");
    }
    assert_eq!(cluster.known_as(&tom).await, refused);
    seen.more(100).await;
    assert_eq!(seen.failed(), in_flight, "nobody who is signed in notices that Redis is gone: {:?}", seen.failures);

    // It comes back, and nothing is forgotten.
    cluster.restart("redis");
    let back = Instant::now();
    for at in 0..INSTANCES.len() {
        until(Duration::from_secs(5).saturating_sub(back.elapsed()), "exchanges work again", async || {
            exchange(at, &token("eve")).await.status == 200
        })
        .await;
    }
    let back = back.elapsed();
    for at in 0..INSTANCES.len() {
        assert_eq!(exchange(at, &spent).await.code(), "token_spent", "{at}");
    }
    assert_eq!(cluster.known_as(&tom).await, refused);
    let ada = cluster.sign_in("ada").await;
    assert_eq!(cluster.known_as(&ada).await, known("ada"));
    seen.more(100).await;

    seen.done.store(true, Ordering::SeqCst);
    for person in people {
        person.await.unwrap();
    }
    let count = |of: &AtomicUsize| of.load(Ordering::SeqCst);
    println!(
        "good {}, failed {}, wrong identities {}, lost revocations {}, double exchanges {double}; \
         signed out everywhere after {gone:?}, exchanges again {back:?} after Redis was",
        count(&seen.good),
        seen.failed(),
        count(&seen.wrong_identity),
        count(&seen.lost_revocation),
    );
    assert_eq!((count(&seen.wrong_identity), count(&seen.lost_revocation), double), (0, 0, 0));
    assert_eq!(seen.failed(), in_flight);

    let ports: Vec<SocketAddr> = (0..10).map(|offset| cluster.at(offset)).collect();
    drop(cluster);
    let left: Vec<_> = ports.iter().filter(|address| TcpStream::connect(address).is_ok()).collect();
    assert!(left.is_empty(), "still listening: {left:?}");
}
