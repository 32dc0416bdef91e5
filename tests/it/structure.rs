//! The layer table of the crate's documentation holds: a module uses only its own layer and those above it.

use std::{collections::HashMap, fs, path::Path};

/// Each module of `src/` with all its text, submodules included.
fn modules(folder: &Path) -> HashMap<String, String> {
    let mut modules: HashMap<String, String> = HashMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let first = path.strip_prefix(folder).unwrap().components().next().unwrap();
                let name = Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned();
                modules.entry(name).or_default().push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    modules
}

fn layers(table: &str) -> HashMap<String, u32> {
    let rows = table.lines().filter_map(|line| line.strip_prefix("//! | "));
    let mut layers = HashMap::new();
    for row in rows {
        let mut cells = row.split('|').map(str::trim);
        let Some(layer) = cells.next().and_then(|cell| cell.parse().ok()) else {
            continue;
        };
        for name in cells.next().unwrap().split(", ") {
            layers.insert(name.trim_matches(['[', ']', '`']).to_owned(), layer);
        }
    }
    layers
}

/// The modules a text uses: `use crate::{a::…, b}` and paths `crate::a::…`.
fn used(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        if !rest.starts_with('{') {
            names.push(name(rest));
            continue;
        }
        let (mut depth, mut at_name) = (0, true);
        for (at, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => at_name = true,
                c if depth == 1 && at_name && c.is_alphanumeric() => {
                    names.push(name(&rest[at..]));
                    at_name = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

#[test]
fn no_module_uses_one_of_a_lower_layer() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let layers = layers(&fs::read_to_string(source.join("lib.rs")).unwrap());
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (name, text) in modules(&source).iter().filter(|(name, _)| !matches!(name.as_str(), "lib" | "main")) {
        let layer = layers.get(name).unwrap_or_else(|| panic!("{name} has no layer in lib.rs"));
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for other in used(&code) {
            seen += 1;
            if layers.get(&other).is_none_or(|of_other| of_other > layer) {
                wrong.push(format!("{name} (layer {layer}) uses {other} (layer {:?})", layers.get(&other)));
            }
        }
    }
    assert!(seen > 50, "the test reads the code: {seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
