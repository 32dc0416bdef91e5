//! What `vestibule explain` says of a token that a backend got wrong: each mistake has a remedy of its own. And what
//! `vestibule token` signs.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::command_line::{initialised, output, text};

/// A backend that signs with the tenant's own secret.
struct Backend {
    folder: tempfile::TempDir,
    now: i64,
}

impl Backend {
    fn new() -> Self {
        Self { folder: initialised(), now: i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap() }
    }

    /// The claims of a good token with some replaced; `""` removes one.
    fn sign(&self, changes: &Value) -> String {
        let mut claims = json!({
            "userId": "maya", "tenantId": "ten_acme", "userRoles": ["agent"], "iat": self.now, "exp": self.now + 300,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
            if value == "" {
                claims.as_object_mut().unwrap().remove(name);
            }
        }
        let secret = fs::read_to_string(self.folder.path().join("vestibule-ten_acme.key")).unwrap();
        encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.trim().as_bytes())).unwrap()
    }

    fn explain(&self, token: &str) -> (Option<i32>, String) {
        let done = output(self.folder.path(), &["explain", "--path", "/tickets"], token);
        (done.status.code(), text(&done.stdout) + &text(&done.stderr))
    }
}

#[test]
fn each_mistake_in_the_claims_has_a_remedy_of_its_own() {
    let backend = Backend::new();
    let now = backend.now;
    for (changes, fail, remedy) in [
        (json!({ "iat": now * 1_000, "exp": (now + 300) * 1_000 }), "iat is in milliseconds", "divide by 1000"),
        (json!({ "exp": (now + 300) * 1_000 }), "exp is in milliseconds", "divide by 1000"),
        (json!({ "exp": (now + 300) * 1_000_000 }), "exp is in microseconds", "divide by 1000000"),
        (json!({ "iat": now * 1_000_000_000 }), "iat is in nanoseconds", "divide by 1000000000"),
        (json!({ "exp": 639_277_056_000_000_000_i64 }), "ticks of .NET", "ToUnixTimeSeconds()"),
        (json!({ "nbf": now * 1_000 }), "nbf is in milliseconds", "divide by 1000"),
        (json!({ "exp": now as f64 + 300.5 }), "exp is a number with a fraction", "round exp down"),
        (json!({ "iat": now as f64 }), "iat is a number with a fraction", "round iat down"),
        (json!({ "exp": (now + 300).to_string() }), "exp is a number written as text", "without quotes"),
        (json!({ "exp": "2026-11-20T12:00:00Z" }), "exp is a text", "not as a text"),
        (json!({ "nbf": "2026-11-20" }), "nbf is a text", "not as a text"),
        (json!({ "iat": null }), "iat is null", "set iat as whole seconds"),
        (json!({ "iat": "" }), "iat is missing", "set iat to now"),
        (json!({ "exp": "" }), "exp is missing", "now plus the lifetime"),
        (json!({ "exp": 300 }), "expired", "not a lifetime"),
        (json!({ "iat": 0 }), "token lives", "set iat to the time of signing"),
        (json!({ "exp": now + 300_000 }), "longer than 1h", "is the lifetime in milliseconds?"),
        (json!({ "exp": now + 7_200 }), "longer than 1h", "sign for a shorter time, or raise max_token_lifetime"),
        (json!({ "iat": now + 7_200, "exp": now + 7_500 }), "behind iat", "clock in UTC"),
        (json!({ "userId": 42 }), "user claim userId is a number", "write the user's id as a string"),
        (json!({ "userId": "" }), "user claim userId is missing", "`dialect`"),
        (json!({ "userId": null }), "user claim userId is null", "as a string"),
        (json!({ "userId": " maya" }), "user has white space around it", "remove the white space"),
        (json!({ "userId": "ma\nya" }), "user contains control characters", "remove line ends"),
        (json!({ "userId": "m".repeat(257) }), "user is longer than 256 bytes", "shorter id"),
        (json!({ "userRoles": "agent" }), "roles claim userRoles is a text", ".NET writes one Claim as a text"),
        (json!({ "userRoles": null }), "roles claim userRoles is null", "or leave the claim out"),
        (json!({ "userRoles": { "0": "agent" } }), "roles claim userRoles is an object", "array_values()"),
        (json!({ "userRoles": [{ "name": "agent" }] }), "a role is an object", "names of the roles"),
        (json!({ "userRoles": [7] }), "a role is a number", "names of the roles"),
        (json!({ "userRoles": ["agent "] }), "a role has white space", "remove the white space"),
        (json!({ "userRoles": vec!["a"; 65] }), "65 roles", "64 at most"),
    ] {
        let token = backend.sign(&changes);
        let (code, said) = backend.explain(&token);
        let failed = said.lines().find(|line| line.contains("FAIL")).unwrap_or_default();
        let advice = said.lines().find(|line| line.contains("remedy:")).unwrap_or_default();
        assert!(code == Some(1) && failed.contains(fail) && advice.contains(remedy), "{changes}: {said}");
        assert!(!said.contains(&token[..40]), "the token is not shown");
    }
}

#[test]
fn each_way_of_pasting_a_token_wrongly_has_a_remedy_of_its_own() {
    let backend = Backend::new();
    let token = backend.sign(&json!({}));
    let (head, rest) = token.split_at(60);
    let alphabet = |token: &str| format!("{}+/.x", token.rsplit_once('.').unwrap().0);
    for (pasted, fail, remedy) in [
        (format!("Bearer {token}"), "\"Bearer\" is part of the token", "without \"Bearer\""),
        (format!("bearer: {token}"), "\"Bearer\" is part of the token", "without \"Bearer\""),
        (format!("Authorization: Bearer {token}"), "\"Bearer\" is part", "without \"Bearer\""),
        (format!("\"{token}\""), "quotes around it", "remove the quotes"),
        (format!("'{token}'"), "quotes around it", "remove the quotes"),
        (format!("\u{201c}{token}\u{201d}"), "quotes around it", "remove the quotes"),
        (format!("{head}\n{rest}"), "contains a line end", "remove the line end"),
        (format!("{head}\r\n{rest}\r\n"), "contains a line end", "remove the line end"),
        (format!("{token}\\n"), "contains a line end", "remove the line end"),
        (format!(" {token}"), "contains a space", "remove the space"),
        (format!("{head} {rest}"), "contains a space", "remove the space"),
        (format!("{token}="), "padded", "without `=`"),
        (alphabet(&token), "base64 with `+` or `/`", "which has `-` and `_`"),
        (format!("{token}.x.y"), "it is encrypted", "do not encrypt it"),
        ("x.y".to_owned(), "not three parts, but 2", "as the library returned it"),
        (head.to_owned(), "not three parts", "the whole token"),
        (format!("{token}ü"), "a character that base64url does not have", "token alone"),
        (format!("x.y.{}", "z".repeat(8_200)), "longer than 8 KiB", "fewer claims"),
    ] {
        let (code, said) = backend.explain(&pasted);
        assert!(
            code == Some(1) && said.contains("FAIL") && said.contains(fail) && said.contains(remedy),
            "{fail}: {said}"
        );
        assert!(said.contains("denied: token_invalid") && !said.contains(head), "{said}");
    }
    assert_eq!(backend.explain(&format!("\u{feff}{token}\r\n")).0, Some(0), "a mark and a line end of the file itself");
    let file = backend.folder.path().join("utf16");
    fs::write(&file, token.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    let done = output(backend.folder.path(), &["explain", "--token-file", "utf16"], "");
    assert!(text(&done.stderr).contains("UTF-16"), "{}", text(&done.stderr));
}

/// The claims of a token that `vestibule token` printed, or why it did not.
fn signed(folder: &Path, args: &[&str]) -> Result<Value, String> {
    let done = output(folder, &[&["token", "--tenant", "ten_acme", "--user", "maya"], args].concat(), "");
    if !done.status.success() {
        return Err(text(&done.stderr));
    }
    let token = text(&done.stdout);
    assert_eq!(output(folder, &["explain"], &token).status.code(), Some(0), "{args:?}");
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    Ok(serde_json::from_slice(&claims).unwrap())
}

#[test]
fn a_token_says_what_the_options_say_and_nothing_twice() {
    let folder = initialised();
    let args = ["--email", "maya@acme.example", "--plan", "pro", "--claim", "locale=de", "--claim", "seat=7"];
    let claims = signed(folder.path(), &[&args[..], &["--claim", "a.b=[1]", "--claim", "a.c= x=y"]].concat()).unwrap();
    assert_eq!((&claims["userEmail"], &claims["plan"]), (&json!("maya@acme.example"), &json!("pro")));
    assert_eq!((&claims["locale"], &claims["seat"]), (&json!("de"), &json!(7)));
    assert_eq!(claims["a"], json!({ "b": [1], "c": " x=y" }));
    assert_eq!(signed(folder.path(), &["--claim", "jti=mine"]).unwrap()["jti"], "mine");
    for (args, said) in [
        (&["--claim", "userId=tom"][..], "the claim userId is set by --user already"),
        (&["--claim", "userId.x=tom"], "set by --user already"),
        (&["--claim", "tenantId=other"], "set by --tenant already"),
        (&["--claim", "exp=1"], "set by --ttl already"),
        (&["--claim", "iat=1"], "already"),
        (&["--claim", "userRoles=[\"admin\"]"], "set by --role already"),
        (&["--plan", "pro", "--claim", "plan=free"], "set by --plan already"),
        (&["--claim", "a=1", "--claim", "a.b=2"], "set by another --claim already"),
        (&["--name", "Maya"], "tokens of ten_acme have no name; leave --name out, or map claims.name"),
        (&["--claim", "novalue"], "write NAME=VALUE"),
    ] {
        let done = signed(folder.path(), args);
        assert!(done.as_ref().is_err_and(|text| text.contains(said)), "{args:?}: {done:?}");
    }
    for (user, said) in [("", "user is empty; send"), (" maya", "user has white space around it; remove")] {
        let done = output(folder.path(), &["token", "--tenant", "ten_acme", "--user", user], "");
        assert!(done.status.code() == Some(1) && text(&done.stderr).starts_with(said), "{user:?}: {done:?}");
    }
    let file = folder.path().join("proxy.toml");
    let config = fs::read_to_string(&file).unwrap().replace("dialect = \"gateway\"", "dialect = \"productlane\"");
    fs::write(&file, config).unwrap();
    assert_eq!(signed(folder.path(), &["--email", "maya", "--name", "Maya"]).unwrap()["name"], "Maya");
    assert!(signed(folder.path(), &["--email", "tom@acme.example"]).is_err_and(|text| text.contains("set by --user")));
}

#[test]
fn it_describes_itself_to_shells_and_manuals_and_names_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let print = |args: &[&str]| {
        let done = output(folder.path(), args, "");
        assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
        text(&done.stdout)
    };
    for (shell, says) in [("bash", "complete -F"), ("zsh", "#compdef vestibule"), ("fish", "complete -c vestibule")] {
        let script = print(&["completions", shell]);
        assert!(script.contains(says) && script.contains("explain"), "{shell}: {script}");
    }
    assert_eq!(output(folder.path(), &["completions", "tcsh"], "").status.code(), Some(2));
    let page = print(&["man"]);
    assert!(page.contains(".TH vestibule 1") && page.contains("explain"), "{page}");
    assert!(print(&["man", "token"]).contains("\\-\\-claim"), "options of a command");
    let unknown = output(folder.path(), &["man", "tokens"], "");
    assert!(unknown.status.code() == Some(1) && text(&unknown.stderr).contains("use one of run, check"), "{unknown:?}");
    let version = print(&["--version"]);
    assert!(version.starts_with(concat!("vestibule ", env!("CARGO_PKG_VERSION"))), "{version}");
    if let Some(commit) = version.split_once('(').map(|(_, rest)| rest.trim_end().trim_end_matches(')')) {
        assert!(commit.len() >= 7 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{version}");
    }
}
