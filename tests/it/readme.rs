//! Every `console` block of the pages for users is run as it stands, in its order and in one shell, and prints what it says.
//!
//! Between the blocks, where readers do not see them: `<!-- run: COMMAND -->` is run as well, and `<!-- file: NAME -->` writes the
//! block that follows to a file. What differs each time (dates, ids, the commit, curl's version) is compared by its kind.

use std::{
    fmt::Write,
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::free_port;

/// A line of the page to act on.
enum Step {
    Hidden(String),
    File(String, String),
    /// A command, what it prints, and where it stands.
    Shown {
        command: String,
        prints: Vec<String>,
        line: usize,
    },
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut file = None;
    let mut lines = page.lines().enumerate();
    let marked = |line: &str, mark: &str| {
        line.strip_prefix(mark).and_then(|rest| rest.strip_suffix("-->")).map(|text| text.trim().to_owned())
    };
    while let Some((_, line)) = lines.next() {
        if let Some(command) = marked(line, "<!-- run:") {
            steps.push(Step::Hidden(command));
        } else if let Some(name) = marked(line, "<!-- file:") {
            file = Some(name);
        } else if let Some(kind) = line.strip_prefix("```") {
            let block: Vec<(usize, &str)> = lines.by_ref().take_while(|(_, line)| *line != "```").collect();
            if let Some(name) = file.take() {
                steps.push(Step::File(name, block.iter().fold(String::new(), |text, (_, line)| text + line + "\n")));
            } else if kind == "console" {
                for (number, line) in block {
                    match (line.strip_prefix("$ "), steps.last_mut()) {
                        (Some(command), _) => {
                            let (command, prints) = (command.to_owned(), Vec::new());
                            steps.push(Step::Shown { command, prints, line: number + 1 });
                        }
                        (None, Some(Step::Shown { prints, .. })) => prints.push(line.to_owned()),
                        (None, _) => panic!("line {}: a console block begins with `$ `", number + 1),
                    }
                }
            }
        }
    }
    steps
}

/// The ports of the page, and those of the test.
struct Ports([(&'static str, String); 3]);

impl Ports {
    fn of_test(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (shown, own)| text.replace(shown, own))
    }

    fn of_page(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (shown, own)| text.replace(own, shown))
    }
}

const BEGIN: &str = "@@ begin ";

/// One script: each command in the same shell, its output between marks.
fn script(steps: &[Step], ports: &Ports) -> String {
    // What a command says to standard error is shown as well.
    let mut script = "exec 2>&1\ntrap 'kill $(jobs -p)' EXIT\n".to_owned();
    let set_ports = ports.0.iter().map(|(shown, own)| format!("s/{shown}/{own}/")).collect::<Vec<_>>().join("; ");
    writeln!(
        script,
        "vestibule() {{ command vestibule \"$@\"; local code=$?; if [ \"$1\" = init ]; then sed -i '{set_ports}' proxy.toml; fi; return $code; }}"
    )
    .unwrap();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Hidden(command) => writeln!(script, "{}", ports.of_test(command)).unwrap(),
            Step::File(name, text) => writeln!(script, "cat > {name} <<'@@'\n{}@@", ports.of_test(text)).unwrap(),
            Step::Shown { command, prints, .. } => {
                writeln!(script, "echo '{BEGIN}{number}'").unwrap();
                // A server does not end: it prints what it prints, and the page goes on in another terminal.
                if command == "vestibule run" {
                    let lines = prints.len();
                    writeln!(script, "command vestibule run > run.log 2>&1 &").unwrap();
                    writeln!(script, "until [ \"$(wc -l < run.log)\" -ge {lines} ]; do sleep 0.05; done").unwrap();
                    writeln!(script, "head -{lines} run.log").unwrap();
                } else {
                    writeln!(script, "{}", ports.of_test(command)).unwrap();
                }
                writeln!(script, "echo '{BEGIN}end'").unwrap();
            }
        }
    }
    script
}

/// A line without what differs each time.
fn by_kind(line: &str) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || ":._/+-".contains(c);
    let mut text = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end =
            if is_of_word(first) { rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (word, after) = rest.split_at(end);
        let is_date =
            word.len() >= 20 && word.as_bytes()[4] == b'-' && word.as_bytes()[10] == b'T' && word.ends_with('Z');
        let is_id = word.len() >= 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
        text += match word {
            _ if is_date => "DATE",
            _ if is_id => "ID",
            _ if word.starts_with("curl/") => "CURL",
            word => word,
        };
        rest = after;
    }
    // Without git a build has no commit to name.
    text.replace(" (ID)", "").trim_end().to_owned()
}

/// Runs the blocks of a page; how many commands there were.
fn run(page: &str) -> usize {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join(page)).unwrap();
    let steps = steps(&text);
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_vestibule"), bin.join("vestibule")).unwrap();
    let port = || free_port().to_string();
    let ports = Ports([("8080", port()), ("9901", port()), ("3000", port())]);
    fs::write(folder.path().join("script"), script(&steps, &ports)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("timeout");
    command.args(["120", "bash", "../script"]).env("PATH", path).env_remove("RUST_LOG");
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    let done = command.current_dir(work).stdin(Stdio::null()).output();
    let done = done.expect("bash and timeout are there");
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_ne!(done.status.code(), Some(124), "it does not end: {printed}");
    let mut wrong = Vec::new();
    let mut count = 0;
    for (number, step) in steps.iter().enumerate() {
        let Step::Shown { command, prints, line } = step else { continue };
        count += 1;
        let begin = format!("{BEGIN}{number}\n");
        let output = printed.split_once(&begin).and_then(|(_, rest)| rest.split_once(&format!("{BEGIN}end\n")));
        let output = ports.of_page(output.map_or("", |(output, _)| output));
        let kinds = |lines: &mut dyn Iterator<Item = &str>| {
            let lines: Vec<String> = lines.map(by_kind).filter(|line| !line.is_empty()).collect();
            lines
        };
        let (is, shown) = (kinds(&mut output.lines()), kinds(&mut prints.iter().map(String::as_str)));
        if is != shown {
            wrong.push(format!("{page}:{line}: `{command}` prints\n{output}and not\n{}\n", prints.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    count
}

#[test]
fn every_console_block_of_the_pages_prints_what_it_says() {
    assert!(run("README.md") >= 10, "the README is read");
    run("docs/running.md");
}

#[test]
fn what_differs_each_time_is_compared_by_its_kind() {
    let line =
        r#"2026-11-20T12:33:32.892700Z  INFO "55e4e675de4964670000000000000000" curl/7.88.1 v 0.1.0 (f3880a5b1c2d)"#;
    assert_eq!(by_kind(line), "DATE  INFO \"ID\" CURL v 0.1.0");
    assert_eq!(by_kind("proxy.toml:11:1: deadbeef"), "proxy.toml:11:1: deadbeef");
}
