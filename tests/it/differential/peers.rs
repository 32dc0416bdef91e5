//! Debian's nginx and HAProxy as they come, each on a socket file per lane: what both refuse we have no reason to pass on.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::Process;

/// The upstreams of one lane.
pub struct Behind {
    pub nginx: SocketAddr,
    pub haproxy: SocketAddr,
}

/// Two processes, which end with this.
pub struct Peers {
    _processes: [Process; 2],
    folder: tempfile::TempDir,
}

impl Peers {
    pub fn start(lanes: &[Behind]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let (nginx_file, haproxy_file) = (at.join("nginx.conf"), at.join("haproxy.cfg"));
        fs::write(&nginx_file, nginx_conf(at, lanes)).unwrap();
        fs::write(&haproxy_file, haproxy_cfg(at, lanes)).unwrap();
        let mut nginx = Command::new(found("nginx"));
        nginx.arg("-p").arg(at).arg("-e").arg(at.join("error.log")).arg("-c").arg(nginx_file);
        let mut haproxy = Command::new(found("haproxy"));
        haproxy.arg("-db").arg("-f").arg(haproxy_file);
        let [nginx, haproxy] = [nginx, haproxy].map(|mut command| {
            Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
        });
        let mut processes = [nginx, haproxy];
        for lane in 0..lanes.len() {
            until_listening(&socket(at, "nginx", lane), &mut processes[0]);
            until_listening(&socket(at, "haproxy", lane), &mut processes[1]);
        }
        Self { _processes: processes, folder }
    }

    pub fn nginx(&self, lane: usize) -> PathBuf {
        socket(self.folder.path(), "nginx", lane)
    }

    pub fn haproxy(&self, lane: usize) -> PathBuf {
        socket(self.folder.path(), "haproxy", lane)
    }
}

fn socket(folder: &Path, name: &str, lane: usize) -> PathBuf {
    folder.join(format!("{name}-{lane}"))
}

/// Debian keeps both where users' PATH need not lead.
fn found(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let file = folders.map(|folder| folder.join(name)).find(|file| file.exists());
    file.unwrap_or_else(|| panic!("no {name}; `make setup` installs it"))
}

fn until_listening(socket: &Path, process: &mut Process) {
    let end = Instant::now() + Duration::from_secs(10);
    while UnixStream::connect(socket).is_err() {
        let lives = process.0.try_wait().unwrap().is_none();
        assert!(Instant::now() < end && lives, "it listens on {}", socket.display());
        std::thread::yield_now();
    }
}

fn nginx_conf(folder: &Path, lanes: &[Behind]) -> String {
    let at = folder.display();
    let mut text = format!(
        "daemon off;\nmaster_process off;\npid {at}/nginx.pid;\nevents {{ worker_connections 1024; }}\nhttp {{\naccess_log off;\n\
         client_body_temp_path {at}/body;\nproxy_temp_path {at}/proxy;\nfastcgi_temp_path {at}/fastcgi;\n\
         uwsgi_temp_path {at}/uwsgi;\nscgi_temp_path {at}/scgi;\n\
         client_header_timeout 5s;\nclient_body_timeout 5s;\nproxy_read_timeout 5s;\n"
    );
    for (lane, behind) in lanes.iter().enumerate() {
        let (listen, upstream) = (socket(folder, "nginx", lane), behind.nginx);
        writeln!(
            text,
            "server {{ listen unix:{}; location / {{ proxy_pass http://{upstream}; proxy_http_version 1.1; }} }}",
            listen.display()
        )
        .unwrap();
    }
    text + "}\n"
}

fn haproxy_cfg(folder: &Path, lanes: &[Behind]) -> String {
    let mut text = String::from(
        "global\n maxconn 1024\ndefaults\n mode http\n option http-keep-alive\n timeout connect 5s\n timeout client 5s\n \
         timeout server 5s\n timeout http-request 5s\n timeout http-keep-alive 5s\n",
    );
    for (lane, behind) in lanes.iter().enumerate() {
        let (listen, upstream) = (socket(folder, "haproxy", lane), behind.haproxy);
        writeln!(
            text,
            "frontend in{lane}\n bind unix@{}\n default_backend out{lane}\nbackend out{lane}\n server app {upstream}",
            listen.display()
        )
        .unwrap();
    }
    text
}
