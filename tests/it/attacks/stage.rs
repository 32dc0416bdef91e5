//! Where the attacks take place: a door before a recording app. Runs a table, and after every row looks whether the next
//! caller is still the one they are.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    case::{ACME, COOKIE, Case, End, GLOBEX, Outcome, Verdict, fresh},
    judge,
    recorder::{CANARY, Forwarded, Recorder},
    wire::{Patience, Said, talk},
};
use crate::support::{Answer, Ask, Door, Issuer};

/// Two tenants with keys and hosts of their own, a third that wants an audience and an issuer, and a route of each kind.
pub fn config(app: SocketAddr) -> String {
    format!(
        r#"
        [ledger]
        memory = true
        [session]
        keys = [{{ id = "s1", env = "SESSION" }}]
        [tenants.acme]
        dialect = "gateway"
        keys = [{{ id = "k1", env = "ACME" }}]
        hosts = ["portal.test"]
        origins = ["https://app.acme.example"]
        [tenants.globex]
        dialect = "gateway"
        keys = [{{ id = "k1", env = "GLOBEX" }}]
        hosts = ["globex.test"]
        [tenants.initech]
        dialect = "gateway"
        keys = [{{ id = "k1", env = "OLD_ACME" }}]
        hosts = ["initech.test"]
        audience = "portal"
        issuer = "https://initech.example"
        [upstreams.app]
        servers = ["{app}"]
        [[routes]]
        path = "/"
        upstream = "app"
        [[routes]]
        path = "/public"
        auth = "public"
        upstream = "app"
        [[routes]]
        path = "/optional"
        auth = "optional"
        upstream = "app"
        [[routes]]
        path = "/closed"
        auth = "deny"
        [[routes]]
        path = "/staff"
        roles = ["admin"]
        upstream = "app"
        [[routes]]
        path = "/read-only"
        auth = "public"
        methods = ["GET"]
        upstream = "app"
        [[routes]]
        path = "/handed"
        handoff_param = "token"
        bearer_param = "access_token"
        upstream = "app"
        [[routes]]
        path = "/hasty"
        response_timeout = "200ms"
        upstream = "app"
        "#
    )
}

/// Somebody who comes after an attack.
struct Canary {
    issuer: Issuer,
    user: &'static str,
    host: &'static str,
    token: String,
}

impl Canary {
    fn of(issuer: Issuer, user: &'static str, host: &'static str) -> Self {
        let email = format!("{user}@{}.example", issuer.tenant);
        let token = issuer.with(json!({ "userId": user, "userEmail": email, "userRoles": ["user"] }));
        Self { issuer, user, host, token }
    }
}

/// A door, its app, and where tokens may try to lead it.
pub struct Stage {
    pub door: Door,
    pub app: Recorder,
    /// Listens where forged tokens say that keys are: nobody may come.
    lure: TcpListener,
    patience: Patience,
    canaries: [Canary; 2],
    rows: AtomicU64,
    told: Mutex<Told>,
}

/// What the door told clients, over all rows.
#[derive(Default)]
pub struct Told {
    pub locations: BTreeSet<String>,
    pub cookies: BTreeSet<String>,
}

impl Stage {
    pub async fn start() -> Self {
        Self::with(config).await
    }

    pub async fn with(config: impl Fn(SocketAddr) -> String) -> Self {
        let app = Recorder::start().await;
        let door = Door::start(&config(app.address)).await;
        let lure = TcpListener::bind("127.0.0.1:0").unwrap();
        lure.set_nonblocking(true).unwrap();
        let patience = Patience { answers: Duration::from_secs(10), more: Duration::ZERO };
        let canaries = [Canary::of(ACME, "wanda", "portal.test"), Canary::of(GLOBEX, "gil", "globex.test")];
        Self { door, app, lure, patience, canaries, rows: AtomicU64::new(0), told: Mutex::default() }
    }

    /// Waits a moment for answers that should not come.
    pub fn wary(mut self) -> Self {
        self.patience.more = Duration::from_millis(15);
        self
    }

    pub fn lure(&self) -> SocketAddr {
        self.lure.local_addr().unwrap()
    }

    /// A session cookie's value.
    pub async fn session(&self, user: &str) -> String {
        self.door.session(&fresh(user)).await
    }

    /// Runs every row, and fails with all that is wrong.
    pub async fn run(&self, cases: &[Case]) {
        let wrong = self.wrong(cases).await;
        assert!(!cases.is_empty());
        assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    }

    /// Runs one half of the rows here and one at another stage.
    pub async fn share(&self, other: &Self, cases: &[Case]) {
        let (first, second) = cases.split_at(cases.len() / 2);
        let (mut wrong, more) = tokio::join!(self.wrong(first), other.wrong(second));
        wrong.extend(more);
        assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    }

    /// What is wrong, row by row.
    pub async fn wrong(&self, cases: &[Case]) -> Vec<String> {
        let mut wrong = Vec::new();
        for case in cases {
            let faults = self.case(case).await;
            if !faults.is_empty() {
                let sent = String::from_utf8_lossy(&case.sent[..case.sent.len().min(700)]).into_owned();
                wrong.push(format!("{} {}\n    {}\n    sent {sent:?}", case.id, case.name, faults.join("\n    ")));
            }
        }
        if self.lure.accept().is_ok() {
            wrong.push("somebody fetched a key from where a token said".to_owned());
        }
        wrong
    }

    async fn case(&self, case: &Case) -> Vec<String> {
        self.app.will_answer(case.script.clone());
        let mut patience = self.patience;
        if matches!(case.verdict, Verdict::Bad | Verdict::Broken | Verdict::Refused | Verdict::Either(..)) {
            // Some wait for the rest of what is no request: the end of our side is all they get.
            patience.answers = Duration::from_millis(400);
        }
        if case.verdict == Verdict::Anything {
            patience.answers = Duration::from_millis(50);
        }
        if case.end == End::Closed {
            patience.more = Duration::from_secs(1);
        }
        let due = match &case.verdict {
            Verdict::Each(statuses, _) => statuses.len(),
            _ => 1,
        };
        let said = Said { before: case.before.as_deref(), bytes: &case.sent, answers: due };
        let heard = talk(self.door.address, &said, patience).await;
        self.note(&heard.answers);
        let mut requests = self.app.take();
        if case.before.is_some() && !requests.is_empty() && before_was_forwarded(case, &requests) {
            requests.remove(0);
        }
        let mut faults = judge::verdict(case, &heard, &requests);
        faults.extend(judge::invariants(case, &heard, &requests));
        if let Some(check) = case.check {
            let outcome = Outcome { answers: &heard.answers, requests: &requests, sent: &case.sent };
            faults.extend(check(&outcome).err());
        }
        faults.extend(self.canary(case).await);
        faults
    }

    fn note(&self, answers: &[Answer]) {
        let mut told = self.told.lock().unwrap();
        for answer in answers {
            told.locations.extend(answer.headers("location").map(str::to_owned));
            told.cookies.extend(answer.cookie(COOKIE));
        }
    }

    /// What the door has told so far.
    pub fn told(self) -> Told {
        self.told.into_inner().unwrap()
    }

    /// Somebody else comes right after: they get their own answer, as themselves, and the app saw just that.
    async fn canary(&self, case: &Case) -> Vec<String> {
        self.app.will_answer(None);
        let number = self.rows.fetch_add(1, Ordering::Relaxed);
        let target = format!("{CANARY}{number}");
        let Canary { issuer, user, host, token } = &self.canaries[usize::from(number.is_multiple_of(2))];
        let bytes = Ask::new(self.door.address, "GET", &target, host)
            .bearer(token.as_str())
            .header("Connection", "close")
            .bytes();
        let said = Said { before: None, bytes: &bytes, answers: 1 };
        let heard = talk(self.door.address, &said, Patience { more: Duration::ZERO, ..self.patience }).await;
        let mut faults = Vec::new();
        match &heard.answers[..] {
            [answer] if answer.status == 200 => {
                let told: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
                let wanted = json!({ "user": [user], "tenant": [issuer.tenant], "target": target });
                if told != wanted {
                    faults.push(format!("I6: the next user was answered {}", answer.text()));
                }
            }
            answers => faults.push(format!("I7: the next user got {answers:?}")),
        }
        self.settled().await.err().into_iter().for_each(|fault| faults.push(fault));
        let requests = self.app.take();
        let (own, others): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.target() == target);
        for request in &own {
            faults.extend(judge::identity(request, Some((*user, issuer.tenant, "user"))));
        }
        // What was cut off may come to the app after the door has closed; what was refused may not.
        let is_remains = |request: &&Forwarded| match case.verdict {
            Verdict::Anything => true,
            Verdict::Broken => !request.is_whole && request.raw.starts_with(b"POST /api/x "),
            _ => false,
        };
        let (remains, others): (Vec<_>, Vec<_>) = others.into_iter().partition(is_remains);
        faults.extend(judge::forwarded(case, &remains.into_iter().cloned().collect::<Vec<_>>()));
        if own.len() != 1 || !others.is_empty() {
            let lines: Vec<&str> = requests.iter().map(|request| request.line.as_str()).collect();
            faults.push(format!("I3: with the next user's request came {lines:?}"));
        }
        faults
    }

    /// Nothing that is no request lies in a connection to the app, once what was cut off is cleared away.
    async fn settled(&self) -> Result<(), String> {
        for _ in 0..100 {
            if self.app.loose().is_empty() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let loose =
            self.app.loose().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect::<Vec<_>>();
        Err(format!("I3: bytes upstream that are no request: {loose:?}"))
    }
}

fn before_was_forwarded(case: &Case, requests: &[Forwarded]) -> bool {
    let target = |bytes: &[u8]| bytes.split(|b| *b == b' ').nth(1).map(<[u8]>::to_vec);
    target(&requests[0].raw) == case.before.as_deref().and_then(target)
        && !matches!(target(&requests[0].raw).as_deref(), Some(path) if path.starts_with(b"/_auth"))
}
