//! Stop and handover: whoever has sent a request has an answer, and across a handover nobody is refused.

use std::{
    fs,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{
    Ask, Certificate, Client, Door, Issuer, Load, Served, Upstream, config, eventually, free_port, token_of_now,
    with_listen,
};

const ACME: Issuer = Issuer::ACME;

fn known(token: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: portal.test\r\nAuthorization: Bearer {token}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_idle_when_the_door_stops_may_ask_once_more() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let address = door.address;
    let ask = || Ask::new(address, "GET", "/public", "portal.test");
    let (mut used, mut idle) = (Client::connect(address).await, Client::connect(address).await);
    for client in [&mut used, &mut idle] {
        assert_eq!(ask().send_over(client).await.status, 200);
    }
    let mut unused = Client::connect(address).await;
    let mut half = Client::connect(address).await;
    half.send(b"GET /public HTTP/1.1\r\n").await;
    let began = Instant::now();
    let stopped = tokio::spawn(door.stop());
    eventually(20, "nobody comes in", async || TcpStream::connect(address).await.is_err()).await;
    for client in [&mut used, &mut unused] {
        let answer = ask().send_over(client).await;
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert!(client.receive(false).await.is_none(), "closed");
    }
    assert!(idle.receive(false).await.is_none(), "closed after a while");
    // Who has begun is heard out.
    half.send(b"Host: portal.test\r\n\r\n").await;
    assert_eq!(half.receive(false).await.expect("an answer").status, 200);
    stopped.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "it ends with the last of them: {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_when_it_stops() {
    let upstream = Arc::new(Upstream::start().await);
    let certificate = Arc::new(Certificate::new());
    let token = token_of_now(&ACME, "maya");
    for round in 0..4 {
        let listen = if round % 2 == 0 { String::new() } else { certificate.setting() };
        let mut served = Served::start(&listen, &config(&upstream));
        let address = served.address;
        let mut clients = JoinSet::new();
        for number in 0..4 {
            let (certificate, token, upstream) = (certificate.clone(), token.clone(), upstream.clone());
            clients.spawn(async move {
                let mut answers = 0;
                if round % 2 == 0 {
                    let mut client = Client::connect(address).await;
                    loop {
                        client.send(known(&token).as_bytes()).await;
                        let answer = client.receive(false).await.expect("an answer to what was sent");
                        assert_eq!(answer.status, 200);
                        answers += 1;
                        if answer.header("connection") == Some("close") {
                            return answers;
                        }
                    }
                }
                let mut client = certificate.h2(address).await;
                let get = |count| {
                    let get = http::Request::get(format!("https://portal.test/{round}/{number}/{count}"));
                    get.header("authorization", format!("Bearer {token}")).body(()).unwrap()
                };
                while let Some(answer) =
                    client.try_send(get(answers), &upstream).await.expect("an answer to what was sent")
                {
                    assert_eq!(answer.status, 200);
                    answers += 1;
                }
                answers
            });
        }
        eventually(20, "they are at it", async || upstream.seen().len() > 50 * (round + 1)).await;
        let began = Instant::now();
        assert_eq!(served.process.terminate(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(clients.join_all().await.into_iter().all(|answers| answers > 0));
        assert_eq!(served.said("requests in flight are cut off"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_refused_and_nothing_fails_across_handovers() {
    let upstream = Arc::new(Upstream::start().await);
    let certificate = Arc::new(Certificate::new());
    let token = token_of_now(&ACME, "maya");
    for tls in [false, true] {
        let listen = if tls { certificate.setting() } else { String::new() };
        let mut served = Served::start(&listen, &config(&upstream));
        let closing = known(&token).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let load = if tls {
            Load::none().and_h2(3, served.address, &certificate, &token, &upstream)
        } else {
            Load::none().and_h1(3, served.address, &known(&token)).and_h1(2, served.address, &closing)
        };
        for round in 1..=4 {
            load.more(20).await;
            served.hand_over().await;
            if round == 1 {
                assert_eq!(served.process.0.wait().unwrap().code(), Some(0));
            }
            load.more(20).await;
            assert_eq!(Ask::new(served.admin, "GET", "/readyz", "localhost").send().await.text(), "ready\n");
        }
        assert_eq!(load.end().await, Vec::<String>::new());
        assert_eq!(
            (served.said(" vestibule: serving"), served.said(" vestibule: stopped")),
            (5, 4),
            "{}",
            served.log()
        );
        // The last is as good as the first: it reloads and stops.
        served.signal_now("-HUP");
        served.until_reloads((1, 0)).await;
        served.signal_now("-TERM");
        served.until_said(" vestibule: stopped", 5).await;
        eventually(20, "nobody listens", async || TcpStream::connect(served.address).await.is_err()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handover_to_what_cannot_serve_changes_nothing() {
    let upstream = Upstream::start().await;
    let mut served = Served::start("", &config(&upstream));
    let load = Load::none().and_h1(3, served.address, &known(&token_of_now(&ACME, "maya")));
    // Wrong before the sockets are given: the new one does not come to `ready`.
    served.write("", &config(&upstream).replace("dialect", "dialekt"));
    served.signal_now("-QUIT");
    served.until_said("not handed over, this process goes on", 1).await;
    assert!(
        served.said("not handed over, this process goes on: the new process says: proxy.toml:") == 1,
        "{}",
        served.log()
    );
    // And after: it cannot listen where it should.
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = with_listen(busy.local_addr().unwrap(), served.admin, "", &config(&upstream));
    fs::write(served.file("proxy.toml"), elsewhere).unwrap();
    served.signal_now("-QUIT");
    served.until_said("not handed over, this process goes on", 2).await;
    assert!(served.said("cannot be listened on") >= 1, "{}", served.log());
    load.more(50).await;
    // It accepts as before, and hands over to what can.
    let mut fresh = Client::connect(served.address).await;
    assert_eq!(served.ask("GET", "/public").send_over(&mut fresh).await.status, 200);
    served.write("", &config(&upstream));
    served.hand_over().await;
    load.more(50).await;
    assert_eq!(load.end().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_on_disk_knows_goes_to_the_new_process_or_stays() {
    let upstream = Upstream::start().await;
    let text = config(&upstream).replace("memory = true", "path = \"ledger.redb\"");
    let mut served = Served::start("", &text);
    let token = token_of_now(&ACME, "maya");
    let exchange =
        async |token: &str, served: &Served| served.ask("POST", "/_auth/exchange").bearer(token).send().await;
    assert_eq!(exchange(&token, &served).await.status, 200);
    // Given back by a process that could not listen.
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = with_listen(busy.local_addr().unwrap(), served.admin, "", &text);
    fs::write(served.file("proxy.toml"), elsewhere).unwrap();
    served.signal_now("-QUIT");
    served.until_said("not handed over, this process goes on", 1).await;
    assert_eq!(exchange(&token, &served).await.code(), "token_spent");
    let second = token_of_now(&ACME, "tom");
    assert_eq!(exchange(&second, &served).await.status, 200);
    // Taken by one that can.
    served.write("", &text);
    served.hand_over().await;
    for spent in [&token, &second] {
        assert_eq!(exchange(spent, &served).await.code(), "token_spent");
    }
    assert_eq!(exchange(&token_of_now(&ACME, "kim"), &served).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_kept_from_signing_in_and_out_while_the_ledger_changes_hands() {
    let upstream = Upstream::start().await;
    let text = config(&upstream).replace("memory = true", "path = \"ledger.redb\"");
    let mut served = Served::start("", &text);
    let address = served.address;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for number in 0..4 {
        let is_over = is_over.clone();
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            let (mut count, mut failed) = (0, Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                let token = token_of_now(&ACME, &format!("user-{number}-{count}"));
                let ask = Ask::new(address, "POST", "/_auth/exchange", "portal.test").bearer(token);
                let answer = ask.send_over(&mut client).await;
                if answer.status != 200 {
                    failed.push(answer.text());
                }
                if answer.header("connection") == Some("close") {
                    client = Client::connect(address).await;
                }
                count += 1;
            }
            (count, failed)
        });
    }
    for _ in 0..3 {
        served.hand_over().await;
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(done) = clients.join_next().await {
        let (count, failed) = done.unwrap();
        assert!(count > 10 && failed.is_empty(), "of {count}: {failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_old_process_still_carries_ends_with_a_revocation_at_the_new() {
    // An app that begins an answer and never ends it.
    let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app_address = app.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = app.accept().await {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";
            stream.write_all(head).await.unwrap();
            tokio::spawn(async move { stream.read_to_end(&mut Vec::new()).await });
        }
    });
    let upstream = Upstream::start().await;
    let text = config(&upstream).replace(&upstream.address.to_string(), &app_address);
    let mut served = Served::start("", &text.replace("memory = true", "path = \"ledger.redb\""));
    let mut streams = Vec::new();
    for user in ["maya", "noah"] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let ask = served.ask("GET", "/events").bearer(token_of_now(&ACME, user));
        stream.write_all(&ask.bytes()).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"hi\r\n") {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "it goes on");
        }
        streams.push(stream);
    }
    served.begin_hand_over().await;
    let order = serde_json::json!({ "tenant": "acme", "user": "maya" });
    let asked = Ask::new(served.admin, "POST", "/revocations", "localhost").json(&order).send().await;
    assert_eq!(asked.status, 204);
    let rest = tokio::time::timeout(Duration::from_secs(2), streams[0].read_to_end(&mut Vec::new())).await;
    assert!(rest.is_ok(), "hers has ended");
    let other = tokio::time::timeout(Duration::from_millis(100), streams[1].read_to_end(&mut Vec::new())).await;
    assert!(other.is_err(), "his goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_that_stands_there_now_is_started_and_given_up_when_it_is_silent() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let [address, admin] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    fs::write(folder.path().join("proxy.toml"), with_listen(address, admin, "", &config(&upstream))).unwrap();
    let binary = folder.path().join("vestibule");
    fs::copy(env!("CARGO_BIN_EXE_vestibule"), &binary).unwrap();
    let mut command = Command::new(&binary);
    command.arg("run");
    let mut served = Served::start_as(command, folder, address, admin);
    let replace = |text: &[u8]| {
        let new = served.file("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, &binary).unwrap();
    };
    let load = Load::none().and_h1(2, address, &known(&token_of_now(&ACME, "maya")));
    replace(b"#!/bin/sh\nexit 3\n");
    served.signal_now("-QUIT");
    served.until_said("this process goes on: the other process has ended", 1).await;
    replace(b"#!/bin/sh\nexec sleep 1000\n");
    served.signal_now("-QUIT");
    served.until_said("this process goes on: the other process says nothing for 10s", 1).await;
    load.more(20).await;
    replace(&fs::read(env!("CARGO_BIN_EXE_vestibule")).unwrap());
    served.hand_over().await;
    load.more(20).await;
    assert_eq!(load.end().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handover_takes_what_a_reload_cannot() {
    let upstream = Upstream::start().await;
    let mut served = Served::start("", &config(&upstream));
    let [address, admin] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let before = served.address;
    let mut waiting = Client::connect(before).await;
    assert_eq!(served.ask("GET", "/public").send_over(&mut waiting).await.status, 200);
    fs::write(served.file("proxy.toml"), with_listen(address, admin, "threads = 1", &config(&upstream))).unwrap();
    served.until_said("listen.address has changed, which takes a restart", 1).await;
    served.hand_over().await;
    assert!(TcpStream::connect(before).await.is_err());
    assert_eq!(Ask::new(address, "GET", "/public", "portal.test").send().await.status, 200);
    assert_eq!(Ask::new(admin, "GET", "/readyz", "localhost").send().await.text(), "ready\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_what_it_asked_for() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let [address, admin] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    fs::write(folder.path().join("proxy.toml"), with_listen(address, admin, "", &config(&upstream))).unwrap();
    let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let told = || {
        let mut bytes = [0; 1024];
        let length = socket.recv(&mut bytes).expect("it is told");
        String::from_utf8_lossy(&bytes[..length]).trim().replace('\n', " ")
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.arg("run").env("NOTIFY_SOCKET", folder.path().join("notify"));
    let mut served = Served::start_as(command, folder, address, admin);
    assert_eq!(told(), "READY=1");
    served.signal_now("-HUP");
    assert!(told().starts_with("RELOADING=1 MONOTONIC_USEC="));
    assert_eq!(told(), "READY=1");
    served.hand_over().await;
    assert_eq!(told(), format!("MAINPID={} READY=1", served.now()));
    served.signal_now("-TERM");
    assert_eq!(told(), "STOPPING=1");
}
