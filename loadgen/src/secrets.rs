//! Secrets of a command line: a report is made to be passed on, and holds the command that made it.
//!
//! Masked are passwords (`-a`), headers that carry a proof of who asks, and user names with passwords in URLs. The
//! rest is left readable: without it nobody could repeat the run.

/// What stands in a secret's place.
const MASK: &str = "***";
/// Headers whose values are secrets.
const HEADERS: [&str; 5] = ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"];
/// Header names with one of these in them, as `x-amz-security-token`, carry secrets too.
const WORDS: [&str; 5] = ["token", "secret", "password", "api-key", "apikey"];
/// Short flags of a run that take no value: in `-La USER:PASSWORD` the flag before the value is the last one.
const SWITCHES: &str = "LhV";

/// What an argument means for the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Plain,
    Password,
    Header,
}

/// A command line, program first, with its secrets masked. Masked again it stays the same.
#[must_use]
pub fn mask(command: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut next = Next::Plain;
    let mask_one = |argument: String| match std::mem::replace(&mut next, Next::Plain) {
        Next::Plain => {
            let (masked, follows) = mask_flag(&argument);
            next = follows;
            masked
        }
        value => mask_value(value, &argument),
    };
    command.into_iter().map(mask_one).collect()
}

/// A URL without the user name and password that may stand before its host.
#[must_use]
pub fn mask_url(url: &str) -> String {
    let Some(start) = url.find("://").map(|at| at + 3) else { return url.to_owned() };
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    match url[start..end].rfind('@') {
        Some(at) => format!("{}{MASK}{}", &url[..start], &url[start + at..]),
        None => url.to_owned(),
    }
}

fn mask_flag(argument: &str) -> (String, Next) {
    if let Some(long) = argument.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let meaning = match name {
            "basic-auth" => Next::Password,
            "header" => Next::Header,
            _ => return (mask_url(argument), Next::Plain),
        };
        return match value {
            Some(value) => (format!("--{name}={}", mask_value(meaning, value)), Next::Plain),
            None => (argument.to_owned(), meaning),
        };
    }
    match argument.strip_prefix('-').and_then(split_short) {
        Some((at, meaning)) => mask_short(argument, at + 1, meaning),
        None => (mask_url(argument), Next::Plain),
    }
}

/// Where the flag ends that takes the value, and what that value is.
fn split_short(flags: &str) -> Option<(usize, Next)> {
    let (at, flag) = flags.char_indices().find(|(_, flag)| !SWITCHES.contains(*flag))?;
    match flag {
        'a' => Some((at + 1, Next::Password)),
        'H' => Some((at + 1, Next::Header)),
        _ => None,
    }
}

fn mask_short(argument: &str, at: usize, meaning: Next) -> (String, Next) {
    let (flag, value) = argument.split_at(at);
    if value.is_empty() {
        return (argument.to_owned(), meaning);
    }
    let equals = if value.starts_with('=') { "=" } else { "" };
    (format!("{flag}{equals}{}", mask_value(meaning, &value[equals.len()..])), Next::Plain)
}

fn mask_value(meaning: Next, value: &str) -> String {
    match (meaning, value.split_once(':')) {
        (Next::Plain, _) => value.to_owned(),
        (Next::Password, _) | (Next::Header, None) => MASK.to_owned(),
        (Next::Header, Some((name, _))) if is_secret(name) => format!("{name}: {MASK}"),
        (Next::Header, Some(_)) => value.to_owned(),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    HEADERS.contains(&name.as_str()) || WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(arguments: &[&str]) -> Vec<String> {
        let once = mask(arguments.iter().map(|&argument| argument.to_owned()));
        assert_eq!(mask(once.clone()), once, "masked twice is masked once");
        once
    }

    #[test]
    fn passwords_are_masked_however_they_are_given() {
        assert_eq!(masked(&["loadgen", "-a", "u:pw", "http://h/"]), ["loadgen", "-a", "***", "http://h/"]);
        for (given, kept) in [
            ("-au:pw", "-a***"),
            ("-a=u:pw", "-a=***"),
            ("-Lau:pw", "-La***"),
            ("--basic-auth=u:pw", "--basic-auth=***"),
        ] {
            assert_eq!(masked(&[given]), [kept]);
        }
        assert_eq!(masked(&["--basic-auth", "u:pw", "-c", "5"]), ["--basic-auth", "***", "-c", "5"]);
        assert_eq!(masked(&["-La", "u:pw"]), ["-La", "***"]);
    }

    #[test]
    fn headers_that_prove_who_asks_are_masked_and_others_are_not() {
        for name in ["authorization", "Cookie", "Proxy-Authorization", "X-API-Key", "x-amz-security-token"] {
            let header = format!("{name}: abc:def");
            assert_eq!(masked(&["-H", &header]), ["-H".to_owned(), format!("{name}: ***")]);
            assert_eq!(masked(&[&format!("-H{header}")]), [format!("-H{name}: ***")]);
            assert_eq!(masked(&[&format!("--header={header}")]), [format!("--header={name}: ***")]);
        }
        assert_eq!(
            masked(&["-H", "accept: */*", "--header", "x: y"]),
            ["-H", "accept: */*", "--header", "x: y"]
        );
    }

    #[test]
    fn user_and_password_of_a_url_are_masked() {
        for (given, kept) in [
            ("http://u:p@w@h:80/a@b", "http://***@h:80/a@b"),
            ("3@http://u:p@h/", "3@http://***@h/"),
            ("--events=ws://t@h/ws", "--events=ws://***@h/ws"),
            ("http://h/?to=a@b", "http://h/?to=a@b"),
            ("3@http://h/", "3@http://h/"),
            ("a@b", "a@b"),
        ] {
            assert_eq!(masked(&[given]), [kept]);
        }
    }
}
