//! What is wrong with a configuration, and how it is said.

use std::fmt;

/// Whether a configuration with the problem can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is refused.
    Error,
    /// It works, and is unwise.
    Warning,
}

/// Something wrong in the file: `proxy.toml:LINE:COL: what is wrong; how to fix it`, a warning with `warning: ` before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.text)
    }
}

/// The section for which other programs have another name, as a remedy; near names would lead astray.
pub fn of_other_programs(section: &str) -> Option<&'static str> {
    match section.to_ascii_lowercase().as_str() {
        "server" | "servers" | "http" | "https" | "bind" | "port" | "address" | "listener" | "listeners" | "web"
        | "host" => Some("; write [listen]"),
        "backend" | "backends" | "proxy" | "proxies" | "proxy_pass" | "service" | "services" | "app" | "apps" => {
            Some("; write [upstreams.NAME]")
        }
        _ => None,
    }
}

/// The name in the header at a byte of a TOML text, where it is that of a table here and that of a list elsewhere, or the other
/// way round.
pub fn table_and_list(text: &str, at: usize) -> Option<&str> {
    fn header(line: &str) -> &str {
        line.split('#').next().unwrap_or_default().trim()
    }
    let start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let name = header(text[start..].lines().next()?).strip_prefix('[')?.strip_suffix(']')?;
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let has = |wanted: &str| text.lines().any(|line| header(line) == wanted);
    (has(&format!("[{name}]")) && has(&format!("[[{name}]]"))).then_some(name)
}

/// `; did you mean …` the nearest name, else `; use one of` all.
pub fn instead<'n>(given: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let distance = |name: &&&str| strsim::damerau_levenshtein(&given.to_ascii_lowercase(), &name.to_ascii_lowercase());
    match names.iter().min_by_key(distance) {
        Some(near) if distance(&near) <= 1 + given.len() / 3 => format!("; did you mean {near:?}?"),
        Some(_) => format!("; use one of {}", names.join(", ")),
        None => "; remove it".into(),
    }
}
