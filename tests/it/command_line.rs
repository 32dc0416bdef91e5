//! The binary as it is typed: what it prints, and how it ends.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::support::{Ask, Process, Secrets, eventually, free_port};

pub fn vestibule(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(args).current_dir(folder).env_remove("RUST_LOG");
    for name in ["SESSION", "ACME", "OLD_ACME", "GLOBEX"] {
        command.env(name, Secrets::find(name).unwrap());
    }
    command
}

pub fn output(folder: &Path, args: &[&str], stdin: &str) -> Output {
    let mut child =
        vestibule(folder, args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A folder as `vestibule init` leaves it, with the listener on a free port.
pub fn initialised() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let done = output(folder.path(), &["init"], "");
    assert!(done.status.success(), "{}", text(&done.stderr));
    folder
}

#[test]
fn init_writes_what_check_accepts_and_overwrites_nothing() {
    let folder = initialised();
    for name in ["vestibule-session.key", "vestibule-ten_acme.key"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let checked = output(folder.path(), &["check"], "");
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(
        text(&checked.stdout).contains("tenant ten_acme") && text(&checked.stdout).contains("route */static: public")
    );
    assert!(!folder.path().join("vestibule.redb").exists(), "only a server has a ledger");
    let before = fs::read(folder.path().join("vestibule-session.key")).unwrap();
    let again = output(folder.path(), &["init"], "");
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("is not overwritten"));
    assert_eq!(fs::read(folder.path().join("vestibule-session.key")).unwrap(), before);
}

#[test]
fn check_prints_every_problem_with_its_place() {
    let folder = initialised();
    let file = folder.path().join("proxy.toml");
    let wrong = fs::read_to_string(&file)
        .unwrap()
        .replace("dialect = \"gateway\"", "dialect = \"gatway\"")
        .replace("lifetime", "lifetme");
    fs::write(&file, wrong).unwrap();
    let checked = output(folder.path(), &["check"], "");
    assert_eq!(checked.status.code(), Some(1));
    let lines: Vec<String> = text(&checked.stderr).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("proxy.toml:")));
    let missing = output(folder.path(), &["check", "-c", "nowhere.toml"], "");
    assert!(text(&missing.stderr).starts_with("nowhere.toml:1:1: cannot be read"));
}

#[test]
fn check_prints_warnings_and_fails_by_them_only_when_strict() {
    let folder = initialised();
    let file = folder.path().join("proxy.toml");
    assert_eq!(text(&output(folder.path(), &["check", "--strict"], "").stderr), "", "a starter has no warning");
    let wide = fs::read_to_string(&file).unwrap().replace("# trusted_proxies", "trusted_proxies");
    fs::write(&file, wide.replace("10.0.0.0/8", "0.0.0.0/0")).unwrap();
    for (args, code) in [(&["check"][..], 0), (&["check", "--strict"], 1)] {
        let checked = output(folder.path(), args, "");
        let said = text(&checked.stderr);
        assert_eq!(checked.status.code(), Some(code), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("warning: proxy.toml:8:19: listen.trusted_proxies holds"), "{said}");
        assert!(text(&checked.stdout).contains("listens on"), "the summary stays");
    }
    let wrong = fs::read_to_string(&file).unwrap().replace("gateway", "gatway");
    fs::write(&file, wrong).unwrap();
    let said = text(&output(folder.path(), &["check"], "").stderr);
    assert_eq!(said.matches("warning: ").count(), 1, "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[tokio::test]
async fn a_warning_is_in_the_log_once_at_start_and_once_where_a_reload_brings_it() {
    let port = free_port();
    let folder = configured(port, free_port(), "trusted_proxies = [\"0.0.0.0/0\"]");
    let (file, log) = (folder.path().join("proxy.toml"), folder.path().join("log"));
    let mut command = vestibule(folder.path(), &["run"]);
    command.stderr(fs::File::create(&log).unwrap());
    let _served = Process::start(&mut command).until_listening(([127, 0, 0, 1], port).into());
    let logged = |what: &str| fs::read_to_string(&log).unwrap().matches(what).count();
    // The log is written by a thread of its own.
    let until = async |what: &str, count: usize| eventually(20, what, async || logged(what) >= count).await;
    until("WARN vestibule: warning: proxy.toml:6:19: listen.trusted_proxies holds", 1).await;
    until(" serving ", 1).await;
    let wide = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("# another line\n{wide}")).unwrap();
    until(" reloaded ", 1).await;
    assert_eq!(logged("listen.trusted_proxies holds"), 1, "it was said already");
    fs::write(&file, wide.replace("0.0.0.0/0", "10.0.0.0/8")).unwrap();
    until(" reloaded ", 2).await;
    fs::write(&file, &wide).unwrap();
    until(" reloaded ", 3).await;
    assert_eq!(logged("listen.trusted_proxies holds"), 2, "it has come back");
}

#[test]
fn check_looks_at_what_a_server_would_meet() {
    let folder = initialised();
    let (file, ledger) = (folder.path().join("proxy.toml"), folder.path().join("vestibule.redb"));
    let starter = fs::read_to_string(&file).unwrap();
    let told = |text: &str| {
        fs::write(&file, text).unwrap();
        let done = output(folder.path(), &["check"], "");
        (done.status.code(), self::text(&done.stderr))
    };
    for (from, to, said) in [
        ("0.0.0.0:8080", "0.0.0.0:0", "listen.address has port 0, which is another one at each start; name one"),
        ("127.0.0.1:9901", "127.0.0.1:0", "listen.admin has port 0"),
        ("path = \"vestibule.redb\"", "path = \"nowhere/v.redb\"", "ledger.path nowhere/v.redb: No such file"),
        (
            "path = \"vestibule.redb\"",
            "path = \"proxy.toml\"",
            "ledger.path proxy.toml: is no ledger; name another file",
        ),
        ("path = \"vestibule.redb\"", "path = \".\"", "is no file; name one in a folder"),
    ] {
        let (code, told) = told(&starter.replace(from, to));
        assert!(code == Some(1) && told.lines().count() == 1 && told.contains(said), "{to}: {told}");
        assert!(told.starts_with("proxy.toml:"), "{told}");
    }
    for (dates, said) in [
        ("not_after = 2026-01-01T00:00:00Z", "no key of tenants.ten_acme is in force now"),
        ("not_before = 9000-01-01T00:00:00Z", "no key of tenants.ten_acme is in force now"),
        ("not_before = 2026-01-01T00:00:00Z", ""),
    ] {
        let key = "file = \"vestibule-ten_acme.key\"";
        let (code, told) = told(&starter.replace(key, &format!("{key}, {dates}")));
        assert!(code == Some(0) && told.is_empty() == said.is_empty() && told.contains(said), "{dates}: {told}");
    }
    let mut garbage = b"redb\x1a\x0a\xa9\x0d\x0a".to_vec();
    garbage.extend((0..20_000_u32).map(|number| (number * 7 % 251) as u8));
    for (content, said) in [(&b"garbage"[..], "is no ledger"), (&garbage, "; restore a copy"), (b"", "")] {
        fs::write(&ledger, content).unwrap();
        let (code, told) = told(&starter);
        assert_eq!(code, Some(i32::from(!said.is_empty())), "{told}");
        assert!(told.contains(said), "{told}");
        assert_eq!(fs::read(&ledger).unwrap(), content, "it is left as it is");
    }
}

#[test]
fn check_finds_a_ledger_that_its_user_may_not_write() {
    let folder = initialised();
    let chmod = |name: &str, mode| {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for key in ["vestibule-session.key", "vestibule-ten_acme.key"] {
        chmod(key, 0o644);
    }
    let check = || {
        let mut command = vestibule(folder.path(), &["check"]);
        if rustix::process::getuid().is_root() {
            // Root may write anywhere.
            command.uid(65_534).gid(65_534);
        }
        let done = command.output().unwrap();
        (done.status.code(), text(&done.stderr))
    };
    let denied = "Permission denied (os error 13); let the user that Vestibule runs as write it and its folder";
    chmod(".", 0o555);
    let (code, told) = check();
    assert!(code == Some(1) && told.contains(&format!("ledger.path vestibule.redb: {denied}")), "{told}");
    chmod(".", 0o777);
    assert_eq!(check().0, Some(0));
    fs::write(folder.path().join("vestibule.redb"), "").unwrap();
    chmod("vestibule.redb", 0o444);
    let (code, told) = check();
    assert!(code == Some(1) && told.contains(denied), "{told}");
}

#[tokio::test]
async fn check_finds_a_ledger_good_while_a_server_has_it_and_after() {
    let port = free_port();
    let folder = configured(port, free_port(), "");
    let check = || {
        let done = output(folder.path(), &["check"], "");
        assert!(done.status.success(), "{}", text(&done.stderr));
    };
    let mut served = serve(folder.path(), port);
    let token = text(&output(folder.path(), &["token", "--tenant", "ten_acme", "--user", "maya"], "").stdout);
    let address = ([127, 0, 0, 1], port).into();
    assert_eq!(Ask::new(address, "POST", "/_auth/exchange", "localhost").bearer(token.trim()).send().await.status, 200);
    check();
    assert_eq!(served.terminate(), Some(0));
    check();
}

#[test]
fn files_that_are_no_utf_8_say_what_to_do() {
    let folder = initialised();
    let file = folder.path().join("proxy.toml");
    let starter = fs::read_to_string(&file).unwrap();
    let wide: Vec<u8> = format!("\u{feff}{starter}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin = [b"# one\n# gr\xfc\xdfe\n", starter.as_bytes()].concat();
    for (content, said) in [
        (wide, "proxy.toml:1:1: is UTF-16 text, as PowerShell's > writes it; save it as UTF-8"),
        (latin, "proxy.toml:2:1: is not UTF-8 text here; save it as UTF-8"),
    ] {
        fs::write(&file, content).unwrap();
        let told = text(&output(folder.path(), &["check"], "").stderr);
        assert!(told.starts_with(said), "{told}");
    }
    fs::write(&file, format!("\u{feff}{starter}")).unwrap();
    let done = output(folder.path(), &["check"], "");
    assert!(done.status.success(), "with a byte order mark: {}", text(&done.stderr));
}

/// What else is wrong in the file or beside it makes nobody restart a healthy server, and keeps nobody from revoking.
#[tokio::test]
async fn health_and_revoke_read_the_listeners_alone() {
    let (port, admin) = (free_port(), free_port());
    let folder = configured(port, admin, "");
    let file = folder.path().join("proxy.toml");
    let good = fs::read_to_string(&file).unwrap();
    let mut command = vestibule(folder.path(), &["run"]);
    command.stderr(Stdio::null());
    let _served = Process::start(&mut command).until_listening(([127, 0, 0, 1], port).into());
    let key = folder.path().join("vestibule-ten_acme.key");
    let secret = fs::read_to_string(&key).unwrap();
    let broken = [
        good.replace("gateway", "gatway"),
        good.replace("[session]", "[session]\nkeys = ["),
        good.replace("[tenants.ten_acme]", "this is not TOML\n[tenants.ten_acme]"),
        good.replace("[listen]", "[[nonsense\n[listen]"),
        good.replace("admin = ", "adres = 3\ntls_ = 5\nadmin = "),
        good.replace("[listen]", "[listen]\nheader_timeout = \"never\""),
        good.clone(),
    ];
    fs::write(&key, "short").unwrap();
    for text in broken {
        fs::write(&file, &text).unwrap();
        for args in [&["health"][..], &["revoke", "--tenant", "ten_acme", "--user", "maya"]] {
            let done = output(folder.path(), args, "");
            assert!(done.status.success(), "{args:?} with {text}: {}", self::text(&done.stderr));
        }
    }
    fs::write(&key, secret).unwrap();
    for (from, to, said) in [
        ("admin = \"127", "admin = \"localhost", "listen.admin is not an address"),
        ("[listen]", "[listen]\nidle_timeout = ", "the file is not TOML here"),
        ("[listen]", "[listen", "the file is not TOML here"),
    ] {
        fs::write(&file, good.replace(from, to)).unwrap();
        let done = output(folder.path(), &["health"], "");
        assert!(!done.status.success() && text(&done.stderr).contains(said), "{to}: {}", text(&done.stderr));
    }
}

#[test]
fn secrets_are_32_random_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (output(folder.path(), &["secret"], ""), output(folder.path(), &["secret"], ""));
    assert_eq!(text(&one.stdout).trim().len(), 43);
    assert_ne!(one.stdout, other.stdout);
}

#[test]
fn a_token_it_signs_is_explained_as_allowed() {
    let folder = initialised();
    let args = ["token", "--tenant", "ten_acme", "--user", "maya", "--role", "agent", "--role", "vip", "--ttl", "5m"];
    let token = text(&output(folder.path(), &args, "").stdout);
    let explained = output(folder.path(), &["explain", "--path", "/tickets"], &token);
    let said = text(&explained.stdout);
    assert_eq!(explained.status.code(), Some(0), "{said}");
    assert!(said.contains("allowed as \"maya\" of ten_acme, roles [\"agent\", \"vip\"]"), "{said}");
    assert!(!said.contains(token.trim()));
    fs::write(folder.path().join("t"), &token).unwrap();
    assert!(output(folder.path(), &["explain", "--token-file", "t"], "").status.success());
    let long = output(folder.path(), &["token", "--tenant", "ten_acme", "--user", "maya", "--ttl", "2h"], "");
    assert!(text(&long.stderr).contains("live 1h at most"), "{}", text(&long.stderr));
    let none = output(folder.path(), &["token", "--tenant", "ten_acm", "--user", "maya"], "");
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("there is no tenant \"ten_acm\"; use one of ten_acme"));
}

#[test]
fn explain_names_the_failed_check_and_its_remedy() {
    use jsonwebtoken::{EncodingKey, Header, encode};
    let folder = initialised();
    let config = fs::read_to_string(folder.path().join("proxy.toml")).unwrap();
    let keys = "keys = [{ id = \"2026-11\", file = \"vestibule-ten_acme.key\" }, { id = \"2025-05\", env = \"OLD_ACME\", not_after = 2026-01-01T00:00:00Z }]";
    let config = config.replace("keys = [{ id = \"2026-11\", file = \"vestibule-ten_acme.key\" }]", keys);
    fs::write(folder.path().join("proxy.toml"), config).unwrap();
    let secret = fs::read_to_string(folder.path().join("vestibule-ten_acme.key")).unwrap();
    let now = i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap();
    let sign = |secret: &str, iat: i64, exp: i64| {
        let claims = serde_json::json!({ "userId": "maya", "tenantId": "ten_acme", "iat": iat, "exp": exp });
        encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.trim().as_bytes())).unwrap()
    };
    let old = Secrets::find("OLD_ACME").unwrap();
    for (token, fail, remedy, code) in [
        (
            sign(&old, now, now + 60),
            "signed with key 2025-05, which ended on 2026-01-01T00:00:00Z",
            "a key that is in force",
            "token_invalid",
        ),
        (sign(&secret, now + 100, now + 160), "clock is ", "by NTP", "token_invalid"),
        (sign(&secret, now - 600, now - 300), "expired ", "ask the backend for a new token", "token_expired"),
        (
            sign("somebody-elses-secret-0123456789abcdef", now, now + 60),
            "signature does not hold",
            "byte for byte",
            "token_invalid",
        ),
    ] {
        let explained = output(folder.path(), &["explain"], &token);
        let said = text(&explained.stdout);
        assert_eq!(explained.status.code(), Some(1), "{said}");
        assert!(said.contains("FAIL") && said.contains(fail) && said.contains(remedy) && said.contains(code), "{said}");
        assert!(!said.contains(&token[..token.len().min(30)]) || token.len() < 10, "the token is not shown");
    }
    assert!(!folder.path().join("vestibule.redb").exists(), "only a server has a ledger");
    let elsewhere = output(folder.path(), &["explain", "--path", "/a//b"], &sign(&secret, now, now + 60));
    assert!(text(&elsewhere.stdout).contains("denied: bad_request"));
    for (args, remedy) in [
        (["--path", "/a//b"], "remedy: ask for a plain path, or add encoded_slashes = true to the route"),
        (["--path", "/a%2fb"], "remedy: ask for a plain path, or add encoded_slashes = true to the route"),
        (["--path", "/a/../b"], "remedy: ask for a plain path of a plain host"),
        (["--host", "s.acme.example."], "remedy: write it without the dot at its end: \"s.acme.example\""),
        (["--host", "http://s.acme.example"], "remedy: write it without scheme and path: \"s.acme.example\""),
    ] {
        let done = output(folder.path(), &[&["explain"][..], &args].concat(), &sign(&secret, now, now + 60));
        let said = text(&done.stdout);
        assert!(done.status.code() == Some(1) && said.contains(remedy), "{args:?}: {said}");
    }
}

#[test]
fn every_command_has_an_example_and_wrong_usage_exits_2() {
    let folder = tempfile::tempdir().unwrap();
    for command in
        ["run", "check", "init", "secret", "token", "explain", "revoke", "health", "demo", "completions", "man"]
    {
        let help = text(&output(folder.path(), &[command, "--help"], "").stdout);
        assert!(help.contains("Example") && help.contains(&format!("vestibule {command}")), "{help}");
    }
    assert_eq!(output(folder.path(), &["serve"], "").status.code(), Some(2));
    assert_eq!(output(folder.path(), &["run", "--confg", "x"], "").status.code(), Some(2));
}

pub fn serve(folder: &Path, port: u16) -> Process {
    let mut command = vestibule(folder, &["run"]);
    command.stderr(Stdio::piped());
    Process::start(&mut command).until_listening(([127, 0, 0, 1], port).into())
}

/// A starter configuration on a port, with an admin listener on another.
pub fn configured(port: u16, admin: u16, more: &str) -> tempfile::TempDir {
    let folder = initialised();
    let file = folder.path().join("proxy.toml");
    let config = fs::read_to_string(&file).unwrap();
    let config = config
        .replace("address = \"0.0.0.0:8080\"", &format!("address = \"127.0.0.1:{port}\"\n{more}"))
        .replace("admin = \"127.0.0.1:9901\"", &format!("admin = \"127.0.0.1:{admin}\""));
    fs::write(&file, config).unwrap();
    folder
}

#[test]
fn it_serves_answers_for_its_health_and_stops_in_order() {
    let (port, admin) = (free_port(), free_port());
    let folder = configured(port, admin, "");
    assert_eq!(output(folder.path(), &["health"], "").status.code(), Some(1), "nothing runs yet");
    let mut served = serve(folder.path(), port);
    assert!(output(folder.path(), &["health"], "").status.success());
    for (path, status) in [("/healthz", "200"), ("/readyz", "200"), ("/x", "404")] {
        let mut stream = TcpStream::connect(("127.0.0.1", admin)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    served.signal("-HUP");
    assert!(output(folder.path(), &["health"], "").status.success(), "SIGHUP does not end it");
    assert_eq!(served.terminate(), Some(0));
    let mut log = String::new();
    served.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("stopped") && !log.contains("panicked"), "{log}");
    let ledger = fs::metadata(folder.path().join("vestibule.redb")).unwrap();
    assert_eq!(ledger.permissions().mode() & 0o777, 0o600);
}

#[test]
fn health_without_an_admin_listener_asks_the_listener() {
    let port = free_port();
    let folder = configured(port, free_port(), "");
    let file = folder.path().join("proxy.toml");
    let without = fs::read_to_string(&file).unwrap().replace("admin =", "# admin =");
    fs::write(&file, without).unwrap();
    let _served = serve(folder.path(), port);
    assert!(output(folder.path(), &["health"], "").status.success());
}

#[test]
fn a_start_that_cannot_succeed_is_one_clear_line_within_a_second() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    let on_busy = configured(port, free_port(), "");
    let admin_busy = configured(free_port(), port, "");
    let no_secret = configured(free_port(), free_port(), "");
    fs::remove_file(no_secret.path().join("vestibule-session.key")).unwrap();
    let short = configured(free_port(), free_port(), "");
    fs::write(short.path().join("vestibule-session.key"), "short").unwrap();
    let broken = configured(free_port(), free_port(), "broken toml");
    let unknown = configured(free_port(), free_port(), "thread = 1");
    for (folder, said) in [
        (on_busy, "cannot be listened on: Address already in use"),
        (admin_busy, "change listen.admin"),
        (no_secret, "vestibule-session.key cannot be read"),
        (short, "has 5 bytes, fewer than 32"),
        (broken, "the file is not TOML here"),
        (unknown, "listen.thread is no key; did you mean \"threads\"?"),
    ] {
        let started = Instant::now();
        let done = output(folder.path(), &["run"], "");
        assert_eq!(done.status.code(), Some(1), "{said}");
        let lines: Vec<String> = text(&done.stderr).lines().map(str::to_owned).collect();
        assert!(lines.len() == 1 && lines[0].contains(said), "{said}: {lines:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "generous for a busy machine: {:?}", started.elapsed());
    }
}

#[test]
fn the_demo_prints_one_url_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = vestibule(folder.path(), &["demo"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut demo = Process::start(&mut command);
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    let url = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned))
        .expect("a URL");
    let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert_eq!(demo.terminate(), Some(0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it writes no file");
}

#[tokio::test]
async fn an_operator_revokes_from_the_command_line() {
    let (port, admin) = (free_port(), free_port());
    let folder = configured(port, admin, "");
    let at = |name: &str| folder.path().join(name);
    let nobody = output(folder.path(), &["revoke", "--tenant", "ten_acme", "--user", "maya"], "");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("does not answer"), "{}", text(&nobody.stderr));
    let mut command = vestibule(folder.path(), &["run"]);
    command.stderr(fs::File::create(at("log")).unwrap());
    let address = ([127, 0, 0, 1], port).into();
    let _served = Process::start(&mut command).until_listening(address);

    let sign_in = async |user: &str| {
        let token = text(&output(folder.path(), &["token", "--tenant", "ten_acme", "--user", user], "").stdout);
        let answer = Ask::new(address, "POST", "/_auth/exchange", "localhost").bearer(token.trim()).send().await;
        answer.cookie("__Host-vestibule").expect("a session")
    };
    let known = async |cookie: &str| {
        let ask = Ask::new(address, "GET", "/_auth/session", "localhost").cookie("__Host-vestibule", cookie);
        ask.send().await.status
    };
    let (phone, desk, noah) = (sign_in("maya").await, sign_in("maya").await, sign_in("noah").await);
    let revoke = |args: &[&str]| {
        let done = output(folder.path(), &[&["revoke", "--tenant", "ten_acme"], args].concat(), "");
        (done.status.code(), text(&done.stdout) + &text(&done.stderr))
    };
    // The log is written by a thread of its own.
    let mut handle = String::new();
    eventually(20, "the exchange is logged", async || {
        let log = fs::read_to_string(at("log")).unwrap();
        let line = log.lines().find(|line| line.contains("exchanged") && line.contains("user=\"maya\""));
        let found = line.and_then(|line| line.split("session=").nth(1)).map(|rest| rest.split(' ').next().unwrap());
        found.unwrap_or_default().clone_into(&mut handle);
        !handle.is_empty()
    })
    .await;
    assert_eq!(
        revoke(&["--session", &handle]),
        (Some(0), format!("revoked: session {handle} of ten_acme, if there was one (no list of sessions is kept)\n"))
    );
    assert_eq!((known(&phone).await, known(&desk).await, known(&noah).await), (401, 200, 200));
    let of_user = revoke(&["--user", "maya"]);
    assert!(of_user.0 == Some(0) && of_user.1.starts_with("revoked: user maya of ten_acme; "), "{of_user:?}");
    let of_nobody = revoke(&["--user", "mya"]);
    assert!(
        of_nobody.1.contains("user mya of ten_acme") && of_nobody.1.contains("check the spelling"),
        "{of_nobody:?}"
    );
    assert_eq!((known(&desk).await, known(&noah).await), (401, 200));
    let of_all = revoke(&["--everyone"]);
    assert!(of_all.0 == Some(0) && of_all.1.starts_with("revoked: everyone of ten_acme"), "{of_all:?}");
    assert_eq!(known(&noah).await, 401);
    for (args, code, said) in [
        (&["--session", "short"][..], Some(1), "not revoked: the session is none"),
        (&["--user", " maya"], Some(1), "user has white space around it; remove the white space around it"),
        (&["--user", ""], Some(1), "user is empty; send an id that is not empty"),
        (&["--user", "maya", "--everyone"], Some(2), "cannot be used with"),
        (&[], Some(2), "required"),
    ] {
        let done = revoke(args);
        assert!(done.0 == code && done.1.contains(said), "{done:?}");
    }
    let elsewhere = output(folder.path(), &["revoke", "--tenant", "nobody", "--everyone"], "");
    assert!(text(&elsewhere.stderr).contains("there is no such tenant"), "{}", text(&elsewhere.stderr));
}
