//! Reads TOML with the place of every value, and collects every problem instead of stopping at the first.
//!
//! Not `serde`: its derive stops at the first error of a document. A [`Section`] remembers which keys were asked for; when
//! it goes out of scope, any other key in it is reported, so that a misspelt key can never be silence.

use std::{
    cell::{Cell, RefCell},
    path::Path,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    problem::{Problem, Severity, instead, of_other_programs, table_and_list},
    sources::Sources,
};
use crate::time::UnixTime;

/// Where `{ env = "NAME" }` looks.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a document is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A program serves with the text itself and knows where: the ports may be any that are free.
    Text,
    /// A server runs with the file.
    Run,
    /// An operator asks what a server would meet, the ledger included.
    Check,
}

/// A document being read.
pub struct Reader<'a> {
    file: String,
    text: &'a str,
    /// Where relative paths in the file start.
    pub folder: &'a Path,
    pub env: Environment<'a>,
    pub occasion: Occasion,
    /// When it is read, for what depends on it; a text alone is read at no time.
    pub now: Option<UnixTime>,
    problems: RefCell<Vec<(usize, Severity, String)>>,
    /// Those of other files that the document names.
    elsewhere: RefCell<Vec<Problem>>,
    sources: RefCell<Sources>,
}

impl<'a> Reader<'a> {
    /// Starts on a document's text.
    pub fn new(file: &'a Path, text: &'a str, env: Environment<'a>) -> Self {
        Self {
            file: file.display().to_string(),
            text,
            folder: file.parent().unwrap_or(Path::new("")),
            env,
            occasion: Occasion::Text,
            now: None,
            problems: RefCell::default(),
            elsewhere: RefCell::default(),
            sources: RefCell::default(),
        }
    }

    /// Reads for another occasion than [`Occasion::Text`], at a time.
    pub fn on(self, occasion: Occasion, now: UnixTime) -> Self {
        Self { occasion, now: Some(now), ..self }
    }

    /// Parses the text; syntax errors become problems, all of them.
    pub fn parse(&self) -> Spanned<DeTable<'a>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            if let Some(name) = table_and_list(self.text, at) {
                let what = format!("[{name}] and [[{name}]] cannot both be there; write [[{name}]] for [{name}]");
                self.report(at, what);
                continue;
            }
            let what = error.message().replace('\n', ", ");
            self.report(at, format!("{what}; the file is not TOML here"));
        }
        table
    }

    /// Notes a problem at a byte of the text.
    pub fn report(&self, at: usize, text: impl Into<String>) {
        self.note_problem(at, Severity::Error, text.into());
    }

    /// Notes at a byte of the text what works and is unwise.
    pub fn warn(&self, at: usize, text: impl Into<String>) {
        self.note_problem(at, Severity::Warning, text.into());
    }

    fn note_problem(&self, at: usize, severity: Severity, text: String) {
        self.problems.borrow_mut().push((at, severity, text));
    }

    /// Notes a problem in another file.
    pub fn report_elsewhere(&self, problem: Problem) {
        self.elsewhere.borrow_mut().push(problem);
    }

    /// Notes which files a folder held that the document names.
    pub fn note_folder(&self, folder: &Path, names: Option<&[String]>) {
        self.sources.borrow_mut().note_folder(folder, names);
    }

    /// Notes what a file held that the document names.
    pub fn note(&self, file: &Path, content: Option<&[u8]>) {
        self.sources.borrow_mut().note(file, content);
    }

    /// The files that were read.
    pub fn sources(&self) -> Sources {
        self.sources.borrow().clone()
    }

    /// Whether there is no error so far.
    pub fn is_clean(&self) -> bool {
        let is_error = |severity| severity == Severity::Error;
        !self.problems.borrow().iter().any(|(_, severity, _)| is_error(*severity))
            && !self.elsewhere.borrow().iter().any(|problem| is_error(problem.severity))
    }

    /// All problems, warnings too, in the order of the file, then those of other files.
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        let place = |at: usize| {
            let before = self.text.get(..at).unwrap_or(self.text);
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
        };
        let problem = |(at, severity, text)| {
            let (line, column) = place(at);
            Problem { severity, file: self.file.clone(), line, column, text }
        };
        let mut elsewhere = self.elsewhere.into_inner();
        elsewhere.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        problems.into_iter().map(problem).chain(elsewhere).collect()
    }
}

/// A value with its place.
#[derive(Clone, Copy)]
pub struct Placed<T> {
    pub value: T,
    pub at: usize,
}

/// What a section has to do with a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Read,
    /// Suggested where another was misspelt, whether or not it was asked for yet.
    Offered,
    /// Not taken, which was said.
    Refused,
}

/// A table being read.
pub struct Section<'r> {
    pub reader: &'r Reader<'r>,
    /// As in messages: `tenants.ten_acme`.
    pub name: String,
    table: &'r DeTable<'r>,
    /// Where it stands.
    pub at: usize,
    known: RefCell<Vec<(&'static str, Known)>>,
    /// Whether other keys are another reader's.
    is_partial: Cell<bool>,
}

impl<'r> Section<'r> {
    /// The whole document.
    pub fn root(reader: &'r Reader<'r>, table: &'r Spanned<DeTable<'r>>) -> Self {
        Self {
            reader,
            name: String::new(),
            table: table.get_ref(),
            at: 0,
            known: RefCell::default(),
            is_partial: Cell::default(),
        }
    }

    fn inner(&self, name: String, table: &'r DeTable<'r>, at: usize) -> Self {
        Self { reader: self.reader, name, table, at, known: RefCell::default(), is_partial: Cell::default() }
    }

    /// Leaves all other keys unread and unjudged.
    pub fn leave_others(&self) {
        self.is_partial.set(true);
    }

    /// A key with its section, as in messages.
    pub fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn value(&self, key: &'static str) -> Option<&'r Spanned<DeValue<'r>>> {
        self.known.borrow_mut().push((key, Known::Read));
        self.table.get(key)
    }

    /// Notes a problem at the value of `key`, or at the section where it has none.
    pub fn problem(&self, key: &str, text: impl Into<String>) {
        self.reader.report(self.place(key), text);
    }

    /// Notes at the value of `key`, or at the section where it has none, what works and is unwise.
    pub fn warning(&self, key: &str, text: impl Into<String>) {
        self.reader.warn(self.place(key), text);
    }

    /// Where the value of `key` stands, or the section where it has none.
    pub fn place(&self, key: &str) -> usize {
        self.table.get(key).map_or(self.at, |value| value.span().start)
    }

    /// Reads a value; `wanted` ends the sentence that says what it is not, and says what to write.
    pub fn read<T>(
        &self,
        key: &'static str,
        wanted: &str,
        read: impl Fn(&'r DeValue<'r>) -> Option<T>,
    ) -> Option<Placed<T>> {
        let value = self.value(key)?;
        let at = value.span().start;
        let found = read(value.get_ref());
        if found.is_none() {
            self.reader.report(at, format!("{} is not {wanted}", self.path(key)));
        }
        found.map(|value| Placed { value, at })
    }

    /// A string.
    pub fn text(&self, key: &'static str) -> Option<Placed<&'r str>> {
        self.read(key, "a string; put it in quotes", DeValue::as_str)
    }

    /// A string that `parse` understands; `wanted` names what it should be, with an example.
    pub fn parsed<T>(&self, key: &'static str, wanted: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        Some(self.read(key, wanted, |value| parse(value.as_str()?))?.value)
    }

    /// A boolean.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        Some(self.read(key, "true or false; write it without quotes", DeValue::as_bool)?.value)
    }

    /// One of a closed list of names.
    pub fn choice<T: Copy>(&self, key: &'static str, names: &[(&str, T)]) -> Option<T> {
        let given = self.text(key)?;
        let found = names.iter().find(|(name, _)| *name == given.value);
        if found.is_none() {
            let all = names.iter().map(|(name, _)| *name);
            self.reader
                .report(given.at, format!("{} is not {:?}{}", self.path(key), given.value, instead(given.value, all)));
        }
        found.map(|(_, value)| *value)
    }

    /// A list of strings.
    pub fn texts(&self, key: &'static str) -> Option<Vec<Placed<&'r str>>> {
        let single = self.table.get(key).and_then(|value| value.get_ref().as_str()).unwrap_or("…");
        let list = self.read(key, &format!("a list; write [{single:?}]"), DeValue::as_array)?.value;
        let mut texts = Vec::new();
        for item in list {
            let at = item.span().start;
            match item.get_ref().as_str() {
                Some(value) => texts.push(Placed { value, at }),
                None => {
                    self.reader.report(at, format!("an item of {} is not a string; put it in quotes", self.path(key)));
                }
            }
        }
        Some(texts)
    }

    /// A table.
    pub fn section(&self, key: &'static str) -> Option<Section<'r>> {
        let table = self.read(key, "a table; write { … } or a [section]", DeValue::as_table)?;
        Some(self.inner(self.path(key), table.value, table.at))
    }

    /// A table that names a secret.
    pub fn secret(&self, key: &'static str) -> Option<Section<'r>> {
        let wanted = "a table, and no secret may stand in this file; write { env = \"NAME\" } or { file = \"path\" }";
        let table = self.read(key, wanted, DeValue::as_table)?;
        Some(self.inner(self.path(key), table.value, table.at))
    }

    /// A list of tables.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'r>> {
        let wanted = match self.table.get(key).map(|value| value.get_ref().is_table()) {
            Some(true) => format!("a list of tables; write [[{0}]] for [{0}], or [{{ … }}]", self.path(key)),
            _ => "a list of tables; write [{ … }]".to_owned(),
        };
        let Some(list) = self.read(key, &wanted, DeValue::as_array) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (number, item) in list.value.iter().enumerate() {
            let at = item.span().start;
            match item.get_ref().as_table() {
                Some(table) => sections.push(self.inner(format!("{}[{number}]", self.path(key)), table, at)),
                None => self.reader.report(at, format!("an item of {} is not a table; write {{ … }}", self.path(key))),
            }
        }
        sections
    }

    /// A table of tables with names of the operator's choosing.
    pub fn named(&self, key: &'static str) -> Vec<(Placed<&'r str>, Section<'r>)> {
        let Some(tables) = self.read(key, "a table of tables; name each, as [upstreams.app]", DeValue::as_table) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, item) in tables.value {
            let at = name.span().start;
            match item.get_ref().as_table() {
                Some(table) => {
                    let section = self.inner(format!("{}.{}", self.path(key), name.get_ref()), table, at);
                    sections.push((Placed { value: name.get_ref().as_ref(), at }, section));
                }
                None => self
                    .reader
                    .report(at, format!("{0}.{1} is not a table; write [{0}.{1}]", self.path(key), name.get_ref())),
            }
        }
        sections
    }

    /// A table of strings with names of the operator's choosing.
    pub fn named_texts(&self, key: &'static str) -> Vec<(String, String)> {
        let table = self.read(key, "a table of strings; write name = \"…\"", DeValue::as_table);
        let mut texts = Vec::new();
        for (name, item) in table.map(|table| table.value).into_iter().flatten() {
            match item.get_ref().as_str() {
                Some(text) => texts.push((name.get_ref().to_string(), text.to_owned())),
                None => self.reader.report(
                    item.span().start,
                    format!("{}.{} is not a string; put it in quotes", self.path(key), name.get_ref()),
                ),
            }
        }
        texts
    }

    /// What stands at a key, for a remedy that depends on it; nothing counts as read.
    pub fn raw(&self, key: &str) -> Option<&'r DeValue<'r>> {
        self.table.get(key).map(Spanned::get_ref)
    }

    /// Whether a key holds that very string.
    pub fn is_text(&self, key: &str, text: &str) -> bool {
        self.table.get(key).is_some_and(|value| value.get_ref().as_str() == Some(text))
    }

    /// Whether a key is there.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether a key is absent, or holds a list: anything else was reported where it was read.
    pub fn is_list_or_absent(&self, key: &str) -> bool {
        self.table.get(key).is_none_or(|value| value.get_ref().is_array())
    }

    /// Suggests a key where another was misspelt.
    pub fn offer(&self, key: &'static str) {
        self.known.borrow_mut().push((key, Known::Offered));
    }

    /// Refuses a key that people may write, with a remedy of its own.
    pub fn refuse(&self, key: &'static str, text: impl Into<String>) {
        if self.has(key) {
            self.known.borrow_mut().push((key, Known::Refused));
            self.problem(key, text);
        }
    }

    /// A key of the schema that this version does not act on: refused, because ignoring it would be a promise broken.
    pub fn not_yet(&self, key: &'static str) {
        self.refuse(key, format!("{} is not yet supported; remove it", self.path(key)));
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        if self.is_partial.get() {
            return;
        }
        let known = self.known.borrow();
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            let is = |wanted: &[Known]| known.iter().any(|(known, how)| *known == name && wanted.contains(how));
            if !is(&[Known::Read, Known::Refused]) {
                let at = key.span().start;
                let others = known.iter().filter(|(_, how)| *how != Known::Refused).map(|(key, _)| *key);
                let known_elsewhere = of_other_programs(name).filter(|_| self.name.is_empty());
                let remedy = known_elsewhere.map_or_else(|| instead(name, others), str::to_owned);
                self.reader.report(at, format!("{} is no key{remedy}", self.path(name)));
            }
        }
    }
}
