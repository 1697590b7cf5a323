//! `${VAR}`, `${VAR:-default}` and `${VAR:?message}` in values.
//!
//! What a variable holds becomes part of one value: it is never read as YAML, so it can add no key. `$$` is a dollar
//! sign, and a dollar sign that opens no brace is one too.

use super::problem::Problem;
use super::quoted;
use super::tree::{Node, Scalar, Value};

/// Where variables come from: `std::env::var`, or a table in a test.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Fills in every value of the tree.
pub(super) fn fill_in(node: &mut Node, environment: Environment<'_>, problems: &mut Vec<Problem>) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| fill_in(item, environment, problems)),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|(_, value)| fill_in(value, environment, problems));
        }
        Value::Scalar(scalar) if scalar.text.contains('$') => match fill(&scalar.text, environment) {
            Ok(text) => *scalar = Scalar { text, filled: true, plain: scalar.plain },
            Err(trouble) => {
                node.broken.set(true);
                problems.push(Problem::error(node.span.clone(), trouble.message).help(trouble.help));
            }
        },
        Value::Scalar(_) => {}
    }
}

struct Trouble {
    message: String,
    help: String,
}

fn fill(text: &str, environment: Environment<'_>) -> Result<String, Trouble> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix('{') {
            let (inside, tail) = tail.split_once('}').ok_or_else(unclosed)?;
            out.push_str(&variable(inside, environment)?);
            rest = tail;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn variable(inside: &str, environment: Environment<'_>) -> Result<String, Trouble> {
    let (name, otherwise) = match inside.split_once(':') {
        Some((name, otherwise)) => (name, Some(otherwise)),
        None => (inside, None),
    };
    check_name(name, inside)?;
    check_operator(name, otherwise)?;
    // As in a shell, with a colon an empty variable counts as one that is not set.
    let value = environment(name).filter(|value| otherwise.is_none() || !value.is_empty());
    match (value, otherwise) {
        (Some(value), _) => Ok(value),
        (None, None) => Err(unset(name)),
        (None, Some(otherwise)) => without(name, otherwise),
    }
}

fn without(name: &str, otherwise: &str) -> Result<String, Trouble> {
    if let Some(default) = otherwise.strip_prefix('-') {
        if default.contains("${") {
            return Err(Trouble {
                message: format!("the default of `${{{name}}}` holds another variable"),
                help: "a default is a plain text".into(),
            });
        }
        return Ok(default.into());
    }
    match otherwise.trim_start_matches('?') {
        "" => Err(unset(name)),
        message => Err(Trouble {
            message: format!("the environment variable `{name}` is not set: {message}"),
            help: format!("set `{name}` before the start"),
        }),
    }
}

fn check_operator(name: &str, otherwise: Option<&str>) -> Result<(), Trouble> {
    if otherwise.is_none_or(|otherwise| otherwise.starts_with(['-', '?'])) {
        return Ok(());
    }
    Err(Trouble {
        message: format!("what follows `{name}:` must begin with `-` or `?`"),
        help: format!("write `${{{name}:-default}}` or `${{{name}:?message}}`"),
    })
}

fn check_name(name: &str, inside: &str) -> Result<(), Trouble> {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if letters && !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() {
        return Ok(());
    }
    Err(Trouble {
        message: format!("{} is not a name of an environment variable", quoted(inside)),
        help: "letters, digits and `_`; write `$$` for a dollar sign".into(),
    })
}

fn unset(name: &str) -> Trouble {
    Trouble {
        message: format!("the environment variable `{name}` is not set"),
        help: format!("set it before the start, or give a default: `${{{name}:-value}}`"),
    }
}

fn unclosed() -> Trouble {
    Trouble {
        message: "`${` has no closing `}`".into(),
        help: "write `${NAME}`, or `$$` for a dollar sign".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let environment = |name: &str| match name {
            "PORT" => Some("8080".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("${PORT}".to_owned()),
            _ => None,
        };
        fill(text, &environment).map_err(|trouble| trouble.message)
    }

    #[test]
    fn variables_are_filled_in_once() {
        for (text, expected) in [
            (":${PORT}", ":8080"),
            ("${PORT}${PORT}", "80808080"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${NONE:-}", ""),
            ("${NONE:-a:b-c?d}", "a:b-c?d"),
            ("${PORT:?needed}", "8080"),
            ("${TRICK}", "${PORT}"),
            ("$$${PORT} $$ $x 5$", "$8080 $ $x 5$"),
        ] {
            assert_eq!(filled(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_missing_or_malformed_says_so() {
        for (text, expected) in [
            ("${NONE}", "`NONE` is not set"),
            ("${NONE:?ask the operator}", "ask the operator"),
            ("${EMPTY:?}", "`EMPTY` is not set"),
            ("${PORT", "no closing"),
            ("${}", "not a name"),
            ("${1A}", "not a name"),
            ("${A B}", "not a name"),
            ("${PORT:8080}", "must begin with"),
            ("${NONE:-${PORT}}", "holds another variable"),
        ] {
            let message = filled(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
