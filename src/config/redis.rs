//! `[ledger] redis`.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{
    hosts::endpoint,
    reader::Section,
    secrets::{Owners, Purpose, password, read_file},
};
use crate::ledger::{Address, Login, RedisSettings, Servers, Transport};

const EXAMPLES: &str = "write \"redis://host:6379/0\", \"redis-sentinel://host:26379,host2:26379/mymaster\" or \
                        \"redis-cluster://host:7000,host2:7000\", each as \"rediss…\" for TLS";

/// Reads the section.
pub fn redis(section: &Section<'_>, owners: &mut Owners) -> Option<RedisSettings> {
    let url = section.text("url");
    if url.is_none() && !section.has("url") {
        section.problem("url", format!("{} has no url; {EXAMPLES}", section.name));
    }
    let login = login(section, owners);
    let ca = section.text("ca_file").and_then(|path| roots(section, path.value));
    let prefix = section.text("prefix").map_or("vestibule", |prefix| prefix.value);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if prefix.is_empty() || prefix.len() > 64 || !prefix.chars().all(is_plain) {
        section.problem(
            "prefix",
            format!("{}.prefix is not 1 to 64 letters, digits or - _ . :; write \"vestibule\"", section.name),
        );
    }
    let Url { is_tls, servers } = match parse(url?.value) {
        Ok(url) => url,
        Err(what) => {
            section.problem("url", format!("{}.url {what}", section.name));
            return None;
        }
    };
    if !is_tls && section.has("ca_file") {
        section.problem("ca_file", format!("{}.ca_file says nothing without TLS; write \"rediss…\"", section.name));
    }
    let transport = match (is_tls, ca) {
        (false, _) => Transport::Plain,
        (true, None) => Transport::Tls,
        (true, Some(roots)) => Transport::TlsWithRoots(roots),
    };
    Some(RedisSettings { servers, transport, login, prefix: prefix.to_owned() })
}

fn login(section: &Section<'_>, owners: &mut Owners) -> Option<Login> {
    let user = section.text("user");
    let Some(inner) = section.secret("password") else {
        if user.is_some() && !section.has("password") {
            section.problem(
                "user",
                format!("{0}.user has no password; add password = {{ env = \"NAME\" }}", section.name),
            );
        }
        return None;
    };
    let password = password(&inner)?;
    owners.claim(&inner, &password, &inner.name, Purpose::Login);
    Some(Login { user: user.map(|user| user.value.to_owned()), password })
}

fn roots(section: &Section<'_>, path: &str) -> Option<Vec<u8>> {
    let pem = read_file(section, "ca_file", path)?.to_vec();
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect();
    let is_root = |certificate: Result<CertificateDer<'static>, _>| {
        certificate.is_ok_and(|certificate| RootCertStore::empty().add(certificate).is_ok())
    };
    if certificates.is_empty() || !certificates.into_iter().all(is_root) {
        section.problem("ca_file", format!("{path} is no PEM certificate; name that of the authority"));
        return None;
    }
    Some(pem)
}

struct Url {
    is_tls: bool,
    servers: Servers,
}

/// What is wrong with it ends the sentence `ledger.redis.url …`.
fn parse(url: &str) -> Result<Url, String> {
    let wrong = || format!("is no address of Redis; {EXAMPLES}");
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    if rest.contains('@') {
        return Err("holds a user or a password; secrets are never inline, so take them out and write user = \"…\", \
                    password = { env = \"NAME\" }"
            .into());
    }
    if rest.contains(['?', '#']) {
        return Err(format!("ends in options; take them out: {EXAMPLES}"));
    }
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let addresses = |port| hosts.split(',').map(|host| address(host, port)).collect::<Option<Vec<_>>>();
    let database = |text: &str| match text {
        "" => Ok(0),
        digits => digits
            .parse::<u16>()
            .map(i64::from)
            .map_err(|_| format!("names the database {digits:?}, which is no number; write \"redis://host:6379/0\"")),
    };
    let kind = scheme.strip_prefix("rediss").or_else(|| scheme.strip_prefix("redis")).ok_or_else(wrong)?;
    let servers = match kind {
        "" => match addresses(6379).ok_or_else(wrong)?.as_slice() {
            [one] => Servers::One { address: one.clone(), database: database(path)? },
            _ => {
                return Err("names several servers; write redis-sentinel:// or redis-cluster:// for them".into());
            }
        },
        "-sentinel" => {
            let (master, number) = path.split_once('/').unwrap_or((path, ""));
            if master.is_empty() {
                return Err("does not say which master; write \"redis-sentinel://host:26379/mymaster\"".into());
            }
            Servers::Sentinels {
                sentinels: addresses(26379).ok_or_else(wrong)?,
                master: master.to_owned(),
                database: database(number)?,
            }
        }
        "-cluster" if path.is_empty() => Servers::Cluster(addresses(6379).ok_or_else(wrong)?),
        "-cluster" => return Err("names a database, of which a cluster has only one; take it out".into()),
        _ => return Err(wrong()),
    };
    Ok(Url { is_tls: scheme.starts_with("rediss"), servers })
}

fn address(text: &str, port: u16) -> Option<Address> {
    let (name, given) = endpoint(text)?;
    let name = name.trim_start_matches('[').trim_end_matches(']');
    (given != Some(0)).then(|| (name.to_owned(), given.unwrap_or(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_names_its_servers() {
        let servers = |url| parse(url).map(|url| (url.is_tls, url.servers));
        let one = |name: &str, port| (name.to_owned(), port);
        let server = |name, port, database| Servers::One { address: one(name, port), database };
        assert_eq!(servers("redis://127.0.0.1:6379/0"), Ok((false, server("127.0.0.1", 6379, 0))));
        assert_eq!(servers("rediss://cache.example"), Ok((true, server("cache.example", 6379, 0))));
        assert_eq!(servers("redis://[::1]:7000/3"), Ok((false, server("::1", 7000, 3))));
        assert_eq!(
            servers("redis://redis.svc.cluster.local.:7000"),
            Ok((false, server("redis.svc.cluster.local.", 7000, 0)))
        );
        let sentinels = vec![one("a", 26379), one("b", 26380)];
        let master = "mymaster".to_owned();
        assert_eq!(
            servers("rediss-sentinel://a,b:26380/mymaster/2"),
            Ok((true, Servers::Sentinels { sentinels, master, database: 2 }))
        );
        let nodes = vec![one("h1", 7000), one("h2", 7001)];
        assert_eq!(servers("redis-cluster://h1:7000,h2:7001"), Ok((false, Servers::Cluster(nodes))));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        let table = [
            ("localhost:6379", "is no address of Redis; write"),
            ("http://localhost", "is no address of Redis; write"),
            ("redis://", "is no address of Redis; write"),
            ("redis-cluter://a", "is no address of Redis; write"),
            ("redis://:hunter2@h", "holds a user or a password"),
            ("redis://h:0", "is no address of Redis; write"),
            ("redis://h/x", "which is no number"),
            ("redis://h?protocol=3", "ends in options"),
            ("redis://a,b", "names several servers"),
            ("redis-sentinel://a,b", "does not say which master"),
            ("redis-cluster://a/0", "names a database"),
        ];
        for (url, expected) in table {
            let told = parse(url).err().unwrap_or_default();
            assert!(told.contains(expected) && !told.contains("hunter2"), "{url}: {told}");
        }
    }
}
