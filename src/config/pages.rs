//! `[pages]`: an operator's templates and texts.

use std::{fs, path::PathBuf, sync::Arc};

use super::{
    problem::{Problem, Severity, instead},
    reader::{Reader, Section},
    sources::listing,
};
use crate::pages::{DIRECTIONS, Fault, Pages, TEMPLATES, Texts, built_in, english, is_tag, placeholders};

/// The most files of a folder of templates.
const MOST_FILES: usize = 64;

/// The largest of them, in bytes.
const MOST_BYTES: usize = 64 << 10;

/// Reads `[pages]`, and the folder it names.
pub fn pages(root: &Section<'_>) -> Arc<Pages> {
    let Some(section) = root.section("pages") else { return Arc::default() };
    let Some(given) = section.text("templates") else { return Arc::default() };
    let folder = section.reader.folder.join(given.value);
    let listing = listing(&folder);
    section.reader.note_folder(&folder, listing.as_deref().ok());
    match listing {
        Ok(names) if names.len() > MOST_FILES => {
            section.problem(
                "templates",
                format!("{} holds more than {MOST_FILES} files; name a folder of templates", given.value),
            );
        }
        Ok(names) => return Files { reader: section.reader, folder }.pages(&names),
        Err(e) => {
            let what =
                format!("{} cannot be read: {e}; name a folder, relative to the configuration's own", given.value);
            section.problem("templates", what);
        }
    }
    Arc::default()
}

/// A folder of templates and texts.
struct Files<'a> {
    reader: &'a Reader<'a>,
    folder: PathBuf,
}

impl Files<'_> {
    fn pages(&self, names: &[String]) -> Arc<Pages> {
        let mut languages = built_in().to_vec();
        let mut templates = Vec::new();
        for name in names {
            let language = name.strip_suffix(".toml").filter(|language| is_tag(language));
            if TEMPLATES.contains(&name.as_str()) {
                templates.extend(self.read(name).map(|text| (name.clone(), text)));
            } else if let Some(language) = language {
                if let Some(text) = self.read(name) {
                    self.language(name, language, &text, &mut languages);
                }
            } else {
                let known = TEMPLATES.into_iter().chain(["de.toml"]);
                self.report(name, 1, format!("is neither a template nor a language{}", instead(name, known)));
            }
        }
        let common = languages[0].own.clone();
        for texts in &mut languages {
            let own = std::mem::replace(&mut texts.own, common.clone());
            texts.own.extend(own);
        }
        // What is missing would only be complained of again.
        if !self.reader.is_clean() {
            templates.clear();
        }
        match Pages::new(languages, templates) {
            Ok(pages) => Arc::new(pages),
            Err(faults) => {
                for Fault { template, line, text } in faults {
                    self.report(&template, line, text);
                }
                Arc::default()
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn report(&self, name: &str, line: usize, text: impl Into<String>) {
        let file = self.path(name).display().to_string();
        self.reader.report_elsewhere(Problem { severity: Severity::Error, file, line, column: 1, text: text.into() });
    }

    fn read(&self, name: &str) -> Option<String> {
        let path = self.path(name);
        // Anything else, such as a pipe, might never end.
        if !fs::metadata(&path).is_ok_and(|meta| meta.is_file()) {
            self.reader.note(&path, None);
            self.report(name, 1, "cannot be read: it is no file; remove it");
            return None;
        }
        let bytes = fs::read(&path);
        self.reader.note(&path, bytes.as_deref().ok());
        let text = match bytes {
            Ok(bytes) if bytes.len() > MOST_BYTES => {
                Err(format!("is larger than {} KiB; make it smaller", MOST_BYTES >> 10))
            }
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| "is not UTF-8; save it so".to_owned()),
            Err(e) => Err(format!("cannot be read: {e}; check its mode")),
        };
        text.map_err(|what| self.report(name, 1, what)).ok()
    }

    /// Reads a file of texts over those of the same language, or over the English ones.
    fn language(&self, name: &str, language: &str, text: &str, languages: &mut Vec<Texts>) {
        let is_it = |texts: &Texts| texts.language.eq_ignore_ascii_case(language);
        let index = languages.iter().position(is_it).unwrap_or_else(|| {
            let tag = language.split('-').next().unwrap_or_default();
            let base = built_in().iter().find(|texts| texts.language.eq_ignore_ascii_case(tag));
            let base = base.unwrap_or(&built_in()[0]).clone();
            languages.push(Texts { language: language.to_owned(), ..base });
            languages.len() - 1
        });
        let path = self.path(name);
        let reader = Reader::new(&path, text, self.reader.env);
        let table = reader.parse();
        if reader.is_clean() {
            texts(&Section::root(&reader, &table), &mut languages[index]);
        }
        for problem in reader.into_problems() {
            self.reader.report_elsewhere(problem);
        }
    }
}

fn texts(root: &Section<'_>, texts: &mut Texts) {
    texts.direction = root.choice("dir", &DIRECTIONS).unwrap_or(texts.direction);
    texts.own.extend(root.named_texts("own"));
    for (name, keys) in english() {
        let Some(section) = root.section(name) else { continue };
        let of_section = texts.sections.entry(name.clone()).or_default();
        for (key, original) in keys {
            let Some(text) = section.text(key) else { continue };
            let (known, used) = (placeholders(original), placeholders(text.value));
            let named = |name: &str| format!("{{{name}}}");
            if let Some(unknown) = used.difference(&known).next() {
                let (unknown, known) = (named(unknown), known.into_iter().map(named).collect::<Vec<_>>());
                let remedy = instead(&unknown, known.iter().map(String::as_str));
                section.reader.report(text.at, format!("{unknown} stands for nothing here{remedy}"));
            } else if let Some(missing) = known.difference(&used).next() {
                let missing = named(missing);
                section.reader.report(
                    text.at,
                    format!("{name}.{key} does not say {missing}; add it, or nobody knows who is meant"),
                );
            }
            of_section.insert(key.clone(), text.value.to_owned());
        }
    }
}
