//! What describes the command line elsewhere: completions of shells, and manual pages.

use std::process::ExitCode;

use clap::{Command, ValueEnum};
use clap_mangen::Man;

use super::say;

/// A shell that there are completions for.
#[derive(Clone, Copy, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl From<Shell> for clap_complete::Shell {
    fn from(shell: Shell) -> Self {
        match shell {
            Shell::Bash => Self::Bash,
            Shell::Zsh => Self::Zsh,
            Shell::Fish => Self::Fish,
        }
    }
}

/// Prints completions.
pub fn completions(shell: Shell, cli: &mut Command) -> Result<ExitCode, String> {
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::from(shell), cli, "vestibule", &mut script);
    print(&script)
}

/// Prints the manual page of a command, or of all.
pub fn page(command: Option<&str>, mut cli: Command) -> Result<ExitCode, String> {
    // Fills in the names of commands, and options that all have.
    cli.build();
    let page = match command {
        None => cli,
        Some(name) => {
            let Some(found) = cli.find_subcommand(name) else {
                let all: Vec<&str> = cli.get_subcommands().map(Command::get_name).collect();
                return Err(format!("there is no command {name:?}; use one of {}", all.join(", ")));
            };
            found.clone()
        }
    };
    let mut text = Vec::new();
    Man::new(page).render(&mut text).map_err(|e| format!("the page cannot be written: {e}"))?;
    print(&text)
}

fn print(text: &[u8]) -> Result<ExitCode, String> {
    say(String::from_utf8_lossy(text).trim_end())
}
