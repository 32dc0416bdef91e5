//! How a command on this machine reaches the Vestibule that runs with a file. `[listen]` alone is read, so that it can be asked and
//! revocations be ordered while anything else in the file is wrong.

use std::{net::SocketAddr, path::Path};

use super::{
    problem::Problem,
    reader::{Reader, Section},
    secrets::Owners,
    server::{addresses, admin_token},
    sources::Sources,
    text_of,
};
use crate::secret::Secret;

/// Where it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    pub address: SocketAddr,
    pub admin: Option<SocketAddr>,
    pub speaks_tls: bool,
}

impl Reach {
    /// Reads where the Vestibule of a file listens.
    pub fn load(file: &Path) -> Result<Self, Vec<Problem>> {
        of_listen(file, |section| {
            let (address, admin) = addresses(section);
            Self { address, admin, speaks_tls: section.is_some_and(|section| section.has("tls")) }
        })
    }

    /// Reads what its admin listener asks for.
    pub fn admin_token(file: &Path) -> Result<Option<Secret>, Vec<Problem>> {
        of_listen(file, |section| {
            let token = section?.secret("admin_token")?;
            admin_token(&token, &mut Owners::default())
        })
    }
}

fn of_listen<T>(file: &Path, read: impl Fn(Option<&Section<'_>>) -> T) -> Result<T, Vec<Problem>> {
    let whole = text_of(file, &mut Sources::default()).map_err(|problem| vec![problem])?;
    let text = match syntax(file, &whole) {
        problems if problems.is_empty() => whole,
        // What is not TOML elsewhere does not matter.
        problems => alone(&whole).ok_or(problems)?,
    };
    let env = |name: &str| std::env::var(name).ok();
    let reader = Reader::new(file, &text, &env);
    let found = {
        let table = reader.parse();
        let root = Section::root(&reader, &table);
        root.leave_others();
        let section = root.section("listen");
        if let Some(section) = &section {
            section.leave_others();
        }
        read(section.as_ref())
    };
    if reader.is_clean() { Ok(found) } else { Err(reader.into_problems()) }
}

fn syntax(file: &Path, text: &str) -> Vec<Problem> {
    let reader = Reader::new(file, text, &|_| None);
    reader.parse();
    reader.into_problems()
}

/// The lines of `[listen]` where they are, and nothing else; `None` where no line begins it.
fn alone(text: &str) -> Option<String> {
    let mut is_in_it = false;
    let mut has_begun = false;
    let mut alone = String::with_capacity(text.len());
    for line in text.lines() {
        let header = line.trim_start();
        if header.starts_with('[') {
            is_in_it = header.starts_with("[listen]") || header.starts_with("[listen.");
            has_begun |= is_in_it;
        }
        if is_in_it {
            alone.push_str(line);
        }
        alone.push('\n');
    }
    has_begun.then_some(alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_stays_in_its_place() {
        let text = "x = \n[listen] # here\nadmin = 1\n [session]\nkeys\n[listen.tls]\ncert = 2\n[[a";
        assert_eq!(alone(text).as_deref(), Some("\n[listen] # here\nadmin = 1\n\n\n[listen.tls]\ncert = 2\n\n"));
        assert_eq!(alone("[listen\nadmin = 1"), None);
    }
}
