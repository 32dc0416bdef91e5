//! Redis servers of the test's own, on free ports, in folders of their own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::{Process, free_port};

/// A server. It goes with the test.
pub struct RedisServer {
    pub address: SocketAddr,
    folder: TempDir,
    config: Option<PathBuf>,
    options: Vec<String>,
    process: Option<Process>,
}

impl RedisServer {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With options as on its command line.
    pub fn with(options: &[&str]) -> Self {
        let mut server = Self::stopped();
        server.options = options.iter().map(|option| (*option).to_owned()).collect();
        server.run();
        server
    }

    /// With TLS alone, and this password. Its certificate is for 127.0.0.1, by an authority in `ca.pem` of its folder.
    pub fn with_tls(password: &str) -> Self {
        let mut server = Self::stopped();
        let write = |name: &str, text: String| std::fs::write(server.folder().join(name), text).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        write("ca.pem", params.self_signed(&authority_key).unwrap().pem());
        let authority = Issuer::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        write("cert.pem", params.signed_by(&key, &authority).unwrap().pem());
        write("key.pem", key.serialize_pem());
        let port = server.address.port().to_string();
        let options = [
            ["--port", "0"],
            ["--tls-port", &port],
            ["--tls-cert-file", "cert.pem"],
            ["--tls-key-file", "key.pem"],
            ["--tls-ca-cert-file", "ca.pem"],
            ["--tls-auth-clients", "no"],
            ["--requirepass", password],
        ];
        server.options = options.concat().into_iter().map(str::to_owned).collect();
        server.run();
        server
    }

    /// A Sentinel that watches a master by the name `mymaster`, alone.
    pub fn sentinel(master: SocketAddr) -> Self {
        let mut server = Self::stopped();
        let text = format!(
            "sentinel monitor mymaster 127.0.0.1 {} 1\nsentinel down-after-milliseconds mymaster 500\n\
             sentinel failover-timeout mymaster 3000\n",
            master.port()
        );
        let file = server.folder().join("sentinel.conf");
        std::fs::write(&file, text).unwrap();
        server.options = vec!["--sentinel".into()];
        server.config = Some(file);
        server.run();
        server
    }

    /// One that is yet to run.
    pub fn stopped() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            folder: tempfile::tempdir().unwrap(),
            config: None,
            options: Vec::new(),
            process: None,
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs it, with what an earlier run left in its folder.
    pub fn run(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(&self.config).args(["--port", &self.address.port().to_string()]);
        command.args(["--bind", "127.0.0.1", "--save", ""]);
        command.args(&self.options).current_dir(self.folder.path());
        self.process = Some(Process::start(command.stdout(Stdio::null())).until_listening(self.address));
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn signal(&self, name: &str) {
        self.process.as_ref().expect("it runs").signal(name);
    }

    /// Ends it in an orderly way, and begins anew without what it knew.
    pub fn restart_empty(&mut self) {
        self.kill();
        for left in ["dump.rdb", "appendonlydir"] {
            let left = self.folder.path().join(left);
            let _ = std::fs::remove_file(&left).or_else(|_| std::fs::remove_dir_all(&left));
        }
        self.run();
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The answer to a command, each word an argument.
    pub fn ask(&self, words: &[&str]) -> String {
        cli(self.address, words)
    }
}

/// The answer of `redis-cli`.
fn cli(address: SocketAddr, words: &[&str]) -> String {
    String::from_utf8_lossy(&cli_bytes(address, words)).trim().to_owned()
}

/// The same, byte for byte, with a line end.
pub fn cli_bytes(address: SocketAddr, words: &[&str]) -> Vec<u8> {
    Command::new("redis-cli").args(["-p", &address.port().to_string()]).args(words).output().unwrap().stdout
}
