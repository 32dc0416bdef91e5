//! I4 once more, by another reader of URLs than ours: Node's, which is that of browsers (WHATWG).

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

/// Prints every location that leads to where nobody of ours is.
const JUDGE: &str = r#"
const ours = url => /^https?:$/.test(url.protocol) && url.host === "portal.test" && !url.username && !url.password;
const configured = ["https://login.acme.example", "https://bye.acme.example"];
for (const location of JSON.parse(require("fs").readFileSync(0, "utf8")))
  for (const base of ["http://portal.test/_auth/exchange", "https://portal.test/handed/a/b"]) {
    const url = URL.canParse(location, base) ? new URL(location, base) : null;
    if (!url || !(ours(url) || configured.includes(url.origin))) console.log(`${location} from ${base}`);
  }
"#;

fn away(locations: &BTreeSet<String>) -> String {
    let mut node = Command::new("node")
        .args(["-e", JUDGE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("node does not start ({e}); run `make setup`"));
    let all = serde_json::to_vec(locations).unwrap();
    node.stdin.take().unwrap().write_all(&all).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "node judges");
    String::from_utf8(output.stdout).unwrap()
}

/// Each of these stays at home, and there are some.
pub fn stay(locations: &BTreeSet<String>) {
    assert!(!locations.is_empty());
    assert_eq!(away(locations), "");
}

#[test]
fn the_other_reader_finds_ways_out() {
    let found = |location: &str| !away(&BTreeSet::from([location.to_owned()])).is_empty();
    for location in
        ["//evil.test", "/\\evil.test", "/\t/evil.test", "https://portal.test@evil.test/", "javascript:a", "http://["]
    {
        assert!(found(location), "{location}");
    }
    assert!(!found("/tickets?a=//evil.test"));
}
