//! Names the commit in `vestibule --version`: that of `VESTIBULE_REVISION`, else of the git checkout this is. A source archive, or
//! a machine without git, has none.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo::rerun-if-env-changed=VESTIBULE_REVISION");
    println!("cargo::rerun-if-changed=build.rs");
    let given = env::var("VESTIBULE_REVISION").ok().filter(|revision| !revision.trim().is_empty());
    let revision = given.map(|revision| revision.trim().to_owned()).or_else(of_checkout);
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let version = revision.map_or(version.clone(), |revision| format!("{version} ({revision})"));
    println!("cargo::rustc-env=VESTIBULE_VERSION={version}");
}

fn of_checkout() -> Option<String> {
    // Within another project's checkout the commit would be that project's.
    if !git(&["rev-parse", "--show-prefix"])?.is_empty() {
        return None;
    }
    let revision = git(&["rev-parse", "--short=12", "HEAD"])?;
    // A file that is missing would run this script at every build.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    let heads = ["HEAD", "logs/HEAD", "packed-refs"].map(str::to_owned).into_iter().chain(branch);
    let files = heads.filter_map(|name| git(&["rev-parse", "--git-path", &name])).map(PathBuf::from);
    for file in files.filter(|file| file.exists()) {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    Some(revision)
}

fn git(args: &[&str]) -> Option<String> {
    let folder = env::var("CARGO_MANIFEST_DIR").ok()?;
    let done = Command::new("git").args(args).current_dir(Path::new(&folder)).output().ok()?;
    let text = String::from_utf8(done.stdout).ok()?;
    done.status.success().then(|| text.trim_end().to_owned())
}
