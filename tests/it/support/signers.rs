//! Real signers: Node's `jsonwebtoken` and Python's `PyJWT`, as customers' backends use them.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

/// A library that signs.
#[derive(Clone, Copy, Debug)]
pub enum Signer {
    Node,
    Python,
}

impl Signer {
    pub const ALL: [Self; 2] = [Self::Node, Self::Python];

    fn command(self) -> Command {
        let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/signers");
        let (program, script) = match self {
            Self::Node => (PathBuf::from("node"), "sign.js"),
            Self::Python => (folder.join(".venv/bin/python"), "sign.py"),
        };
        let mut command = Command::new(program);
        command.arg(folder.join(script));
        command
    }
}

/// A token that the library signed with a shared secret.
pub fn minted_by(signer: Signer, secret: &str, claims: &Value) -> String {
    mint(signer, &json!({ "secret": secret, "claims": claims }))
}

/// A token by an order in full: `secret`, `claims`, `header`, `algorithm`.
pub fn mint(signer: Signer, order: &Value) -> String {
    let mut child = signer
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{signer:?} does not start ({e}); run `make setup`"));
    writeln!(child.stdin.take().unwrap(), "{order}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{signer:?} signs");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
