//! Command lines that are not ours, as they are typed by those who know wrk, hey or oha: what they get instead.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Error, Parser};

use super::Cli;
use crate::console::tell;
use crate::run::USAGE;

/// Flags of others that mean nothing here, and what there is in their place.
const FLAGS: [(&str, &str); 10] = [
    (
        "-x",
        "no proxy is asked (hey, oha): let the URL name the proxy itself, and --host the server behind it",
    ),
    (
        "--proxy",
        "no proxy is asked (oha): let the URL name the proxy itself, and --host the server behind it",
    ),
    ("-h2", "HTTP/2 is not spoken (hey): connections are HTTP/1.1, so ask for more of them with -c"),
    ("--http2", "HTTP/2 is not spoken (oha): connections are HTTP/1.1, so ask for more of them with -c"),
    (
        "-p",
        "HTTP/2 is not spoken (oha's parallel requests of a connection): ask for more connections with -c",
    ),
    ("-w", "the answers that are under way at the end are always awaited (oha): leave it out"),
    ("-j", "JSON is written with --json FILE, and to standard output with --json - (oha)"),
    ("-s", "scripts are not run (wrk): --template numbers requests, and several URLs with weights mix them"),
    (
        "--script",
        "scripts are not run (wrk): --template numbers requests, and several URLs with weights mix them",
    ),
    ("-U", "a user agent is a header here: -H 'user-agent: …' (hey)"),
];
/// hey's flags that have a word behind one dash. To us that is a row of letters, and the first may be one of ours.
const WORDS: [&str; 5] =
    ["-host", "-cpus", "-disable-compression", "-disable-keepalive", "-disable-redirects"];

/// Reads the command line of this process.
///
/// # Errors
/// When there is nothing to run: the exit code, after everything was said.
pub fn parse() -> Result<Cli, ExitCode> {
    read(std::env::args_os().collect()).map_err(|refusal| refusal.say())
}

/// Why nothing is run.
#[derive(Debug)]
enum Refusal {
    /// In our own words.
    Own(String),
    /// In those of clap; it may be the help that was asked for.
    Clap(Box<Error>),
}

impl Refusal {
    fn say(self) -> ExitCode {
        match self {
            Self::Own(text) => {
                tell(format_args!("loadgen: {text}\nTry `loadgen --help`."));
                ExitCode::from(USAGE)
            }
            Self::Clap(error) => {
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
            }
        }
    }
}

fn read(arguments: Vec<OsString>) -> Result<Cli, Refusal> {
    let is_run = is_run(&arguments);
    if let Some(text) = arguments.iter().take_while(|argument| *argument != "--").find_map(one_dash)
        && is_run
    {
        return Err(Refusal::Own(text));
    }
    Cli::try_parse_from(arguments).map_err(|error| explain(error, is_run))
}

/// Whether the flags are those of a run: subcommands have flags of their own under the same letters.
fn is_run(arguments: &[OsString]) -> bool {
    let command = Cli::command();
    let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    arguments.get(1).is_none_or(|first| !names.iter().any(|name| first == name) && first != "help")
}

/// What clap would take for `-h` and be content with.
fn one_dash(argument: &OsString) -> Option<String> {
    let argument = argument.to_str()?;
    if WORDS.contains(&argument) {
        return Some(format!("`{argument}`: long flags have two dashes here: -{argument}"));
    }
    (argument == "-h2").then(|| instead(argument)).flatten()
}

fn instead(flag: &str) -> Option<String> {
    let (_, text) = FLAGS.into_iter().find(|(name, _)| *name == flag)?;
    Some(format!("`{flag}`: {text}"))
}

fn explain(mut error: Error, is_run: bool) -> Refusal {
    if error.kind() == ErrorKind::UnknownArgument {
        let flag = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(flag)) => flag.clone(),
            _ => String::new(),
        };
        if let Some(text) = instead(&flag).filter(|_| is_run) {
            return Refusal::Own(text);
        }
        if flag.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            return Refusal::Own(format!("`{flag}`: no flag takes an amount below zero"));
        }
        drop_advice(&mut error);
    }
    Refusal::Clap(Box::new(error))
}

/// The advice to write `-- --flag` takes a slip of the finger for a URL.
fn drop_advice(error: &mut Error) {
    if let Some(ContextValue::StyledStrs(advice)) = error.remove(ContextKind::Suggested) {
        let kept: Vec<_> =
            advice.into_iter().filter(|line| !line.to_string().contains("as a value")).collect();
        if !kept.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(kept));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arguments: &[&str]) -> String {
        let line = ["loadgen"].iter().chain(arguments).map(OsString::from).collect();
        match read(line).expect_err("it is refused") {
            Refusal::Own(text) => text,
            Refusal::Clap(error) => error.to_string(),
        }
    }

    #[test]
    fn flags_of_others_are_answered_with_ours() {
        for (arguments, words) in [
            (&["-x", "http://proxy/", "u"][..], "--host"),
            (&["-h2", "u"], "HTTP/1.1"),
            (&["u", "-w"], "always awaited"),
            (&["u", "-j"], "--json -"),
            (&["u", "-p", "4"], "-c"),
            (&["-s", "x.lua", "u"], "--template"),
            (&["-host", "x", "u"], "--host"),
            (&["-cpus", "2", "u"], "--cpus"),
            (&["u", "-c", "-5"], "below zero"),
            (&["u", "-d", "-5s"], "below zero"),
        ] {
            let text = refused(arguments);
            assert!(text.contains(words) && !text.contains("as a value"), "{arguments:?}: {text}");
        }
    }

    #[test]
    fn the_letters_of_a_subcommand_are_its_own() {
        let line = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(read(line("loadgen node -p 8080")).is_ok());
        assert!(read(line("loadgen u -- -h2")).is_ok(), "behind two dashes all are URLs");
        assert!(!refused(&["u", "--frobnicate"]).contains("as a value"));
    }

    #[test]
    fn the_last_of_a_repeated_flag_counts_and_lists_grow() {
        let line = "loadgen u v -c 1 -c 2 -q 5 -R 6 -H a:1 -H b:2 --warmup 1s --warmup 2s --quiet --quiet";
        let run = read(line.split(' ').map(OsString::from).collect()).unwrap().run;
        assert_eq!((run.connections, run.rate, run.headers.len(), run.urls.len()), (2, Some(6.0), 2, 2));
        assert_eq!(run.warmup.as_secs(), 2);
    }
}
