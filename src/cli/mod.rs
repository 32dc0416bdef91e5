//! The command line: what may be typed, and one function a command.

pub(crate) mod ask;
mod explain;
mod health;
mod init;
mod manual;
mod revoke;
mod sign;

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::{
    admin::Order,
    config::{Config, LogFormat, Problem, Reach, Severity},
    demo,
    handover::Predecessor,
    identity::TenantId,
    log, secret,
    service::Service,
    time::Clock,
};

/// Turns a support widget's token into a portal session, and tells the app behind who is calling.
#[derive(Parser)]
#[command(name = "vestibule", version = env!("VESTIBULE_VERSION"), arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What to log, as RUST_LOG spells it: error, warn, info, debug, trace
    #[arg(long, global = true, env = "RUST_LOG", default_value = "info", hide_env_values = true)]
    log: String,
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration
    #[arg(short = 'c', long = "config", default_value = "proxy.toml")]
    file: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Serve
    #[command(after_help = "Example:\n  vestibule run -c /etc/vestibule/proxy.toml")]
    Run(#[command(flatten)] ConfigFile),
    /// Say everything that is wrong with a configuration, or what it does
    #[command(after_help = "Example:\n  vestibule check -c proxy.toml")]
    Check {
        /// Exit 1 on a warning too
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Write a starter proxy.toml and its secrets into this folder; overwrites nothing
    #[command(after_help = "Example:\n  mkdir portal && cd portal && vestibule init && vestibule check")]
    Init,
    /// Print 32 random bytes, base64url
    #[command(after_help = "Example:\n  (umask 077; vestibule secret > acme.key)")]
    Secret,
    /// Sign a widget token, for trying things out
    #[command(
        after_help = "Examples:\n  vestibule token --tenant ten_acme --user maya --role agent --ttl 10m\n  vestibule token --tenant ten_acme --user maya --email maya@acme.example --claim locale=de"
    )]
    Token {
        /// The tenant's id
        #[arg(long)]
        tenant: String,
        /// The user's id (an e-mail address in the productlane dialect)
        #[arg(long)]
        user: String,
        /// A role; may be given more than once
        #[arg(long = "role")]
        roles: Vec<String>,
        /// The user's e-mail address
        #[arg(long)]
        email: Option<String>,
        /// The user's name
        #[arg(long)]
        name: Option<String>,
        /// The user's plan
        #[arg(long)]
        plan: Option<String>,
        /// A further claim, such as `locale=de`; may be given more than once. The value is JSON where it can be read as such
        #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = sign::claim)]
        claims: Vec<(String, serde_json::Value)>,
        /// How long it lives: 90s, 10m, 1h [default: 1h, or less where the tenant allows less]
        #[arg(long, value_parser = duration)]
        ttl: Option<Duration>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Show each check of the decision about a token, and how to mend the one that fails
    #[command(
        after_help = "Example:\n  vestibule token --tenant ten_acme --user maya | vestibule explain --path /tickets"
    )]
    Explain {
        /// The host asked for [default: a host of the route or tenant, else localhost]
        #[arg(long)]
        host: Option<String>,
        /// The path asked for
        #[arg(long, default_value = "/")]
        path: String,
        /// The method
        #[arg(long, default_value = "GET")]
        method: String,
        /// Where the token is [default: standard input]
        #[arg(long)]
        token_file: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// End sessions and tokens at once, through the admin listener of a running Vestibule
    #[command(
        after_help = "Examples:\n  vestibule revoke --tenant ten_acme --user maya\n  vestibule revoke --tenant ten_acme --everyone"
    )]
    #[command(group(clap::ArgGroup::new("whom").required(true).args(["user", "session", "everyone"])))]
    Revoke {
        /// The tenant's id
        #[arg(long)]
        tenant: String,
        /// Whose sessions and tokens end
        #[arg(long)]
        user: Option<String>,
        /// Which session ends: `session` in the log line of its exchange
        #[arg(long)]
        session: Option<String>,
        /// All sessions and tokens of the tenant end
        #[arg(long)]
        everyone: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Ask a running Vestibule on this machine whether it lives
    #[command(after_help = "Example:\n  vestibule health -c proxy.toml && echo alive")]
    Health(#[command(flatten)] ConfigFile),
    /// Show all of it on this machine: a customer's app, Vestibule and a helpdesk
    #[command(after_help = "Example:\n  vestibule demo")]
    Demo {
        /// The port of the customer's app; 0 for any free one
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Print completions for a shell
    #[command(after_help = "Example:\n  vestibule completions bash > /etc/bash_completion.d/vestibule")]
    Completions {
        /// For which shell
        shell: manual::Shell,
    },
    /// Print the manual page, or that of a command
    #[command(after_help = "Examples:\n  vestibule man > vestibule.1\n  vestibule man token | man -l -")]
    Man {
        /// Of which command [default: of all of them, in short]
        command: Option<String>,
    },
}

/// What went wrong, in one line or several; all of it goes to standard error.
type Failure = String;

/// Runs the command line of this process. Wrong usage exits 2, any other failure 1.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Run(config) => run(&config.file, &cli.log),
        Command::Check { strict, config } => check(&config.file).map(|(done, warnings)| match warnings {
            Warnings::Some if strict => ExitCode::FAILURE,
            Warnings::Some | Warnings::None => done,
        }),
        Command::Init => init::init(Path::new("")),
        Command::Secret => say(&secret::generate()),
        Command::Token { tenant, user, roles, email, name, plan, claims, ttl, config } => {
            let wanted = sign::Wanted { user, roles, email, name, plan, claims, ttl };
            load(&config.file).and_then(|config| token(&config, &tenant, &wanted))
        }
        Command::Explain { host, path, method, token_file, config } => load(&config.file).and_then(|config| {
            let token = read_token(token_file.as_deref())?;
            explain::explain(&config, host.as_deref(), &path, &method, &token, Clock::system().now())
        }),
        Command::Revoke { tenant, user, session, everyone, config } => {
            revoke::revoke(&config.file, &Order { tenant, user, session, everyone })
        }
        Command::Health(config) => health::ask(&config.file),
        Command::Demo { port } => demo(port, &cli.log),
        Command::Completions { shell } => manual::completions(shell, &mut Cli::command()),
        Command::Man { command } => manual::page(command.as_deref(), Cli::command()),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("{failure}");
        ExitCode::FAILURE
    })
}

/// Prints a result. Nobody there to read it is a failure like any other, not a panic.
fn say(text: &str) -> Result<ExitCode, Failure> {
    let done = writeln!(std::io::stdout(), "{text}");
    done.map(|()| ExitCode::SUCCESS).map_err(|e| format!("standard output cannot be written: {e}"))
}

fn load(file: &Path) -> Result<Config, Failure> {
    Config::load(file, Clock::system().now()).map_err(|problems| errors(&problems))
}

/// Where the Vestibule of a file listens, whatever else is in the file.
fn reach(file: &Path) -> Result<Reach, Failure> {
    Reach::load(file).map_err(|problems| errors(&problems))
}

/// The errors alone: warnings are for `check` and for the log.
fn errors(problems: &[Problem]) -> Failure {
    let errors: Vec<_> = problems.iter().filter(|problem| problem.severity == Severity::Error).cloned().collect();
    lines(&errors)
}

/// One a line.
fn lines(problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn run(file: &Path, filter: &str) -> Result<ExitCode, Failure> {
    let predecessor = Predecessor::find()?;
    let (config, sources) = Config::load_noting(file, Clock::system().now());
    let config = config.map_err(|problems| errors(&problems)).inspect_err(|failure| {
        if let Some(predecessor) = &predecessor {
            predecessor.failed(failure);
        }
    })?;
    let _logging = log::start(filter, config.log)?;
    for warning in &config.warnings {
        log::caution(&warning.to_string());
    }
    let threads = config.listen.threads;
    let service = Service { file: file.to_owned(), config, sources, predecessor };
    in_runtime(threads, service.run())?.map(|()| ExitCode::SUCCESS)
}

/// Runs to the end on a runtime of its own; 0 threads means one per core.
fn in_runtime<T>(threads: usize, work: impl Future<Output = T>) -> Result<T, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build().map_err(|e| format!("no threads to run on: {e}"))?;
    let done = runtime.block_on(work);
    // What is left are idle connections.
    runtime.shutdown_background();
    Ok(done)
}

fn demo(port: u16, filter: &str) -> Result<ExitCode, Failure> {
    let _logging = log::start(filter, LogFormat::Text)?;
    in_runtime(0, demo::run(port))?.map(|()| ExitCode::SUCCESS).map_err(|e| e.to_string())
}

/// Whether there was something to warn of.
enum Warnings {
    None,
    Some,
}

fn check(file: &Path) -> Result<(ExitCode, Warnings), Failure> {
    let config = Config::check(file, Clock::system().now()).map_err(|problems| lines(&problems))?;
    let warnings = if config.warnings.is_empty() {
        Warnings::None
    } else {
        eprintln!("{}", lines(&config.warnings));
        Warnings::Some
    };
    Ok((say(&config.summary())?, warnings))
}

fn token(config: &Config, tenant: &str, wanted: &sign::Wanted) -> Result<ExitCode, Failure> {
    let found = config.tenants.alone(&TenantId::new(tenant)).and_then(|candidates| candidates.sole());
    let tenant: &Arc<_> = found.ok_or_else(|| {
        let all: Vec<&str> = config.tenants.iter().map(|tenant| tenant.id.as_str()).collect();
        format!("there is no tenant {tenant:?}; use one of {}", all.join(", "))
    })?;
    say(&sign::sign(tenant, wanted, Clock::system().now())?)
}

fn read_token(file: Option<&Path>) -> Result<String, Failure> {
    let (bytes, name) = match file {
        Some(file) => (std::fs::read(file), file.display().to_string()),
        None => {
            let mut bytes = Vec::new();
            (std::io::stdin().read_to_end(&mut bytes).map(|_| bytes), "standard input".to_owned())
        }
    };
    let bytes = bytes.map_err(|e| format!("{name} cannot be read: {e}"))?;
    if bytes.contains(&0) {
        return Err(format!("{name} is UTF-16, as PowerShell writes it; save it as UTF-8 or ASCII"));
    }
    let text = String::from_utf8(bytes).map_err(|e| format!("{name} is not text: {}", e.utf8_error()))?;
    Ok(text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']).to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::time::parse_duration(text).ok_or_else(|| "write 90s, 10m or 1h".into())
}
