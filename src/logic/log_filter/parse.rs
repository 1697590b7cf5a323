//! From a filter's text to its terms.

use super::{Comparison, FILTER_BYTES_MAX, FILTER_TERMS_MAX, Filter, Number, Term, Text};

/// What is wrong with a filter, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFilter {
    /// Byte offset in the text.
    pub at: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

const FIELDS: &str = "Numbers: status ms us queue_ms connect_ms first_byte_ms bytes_in bytes_out retries. Texts: method host \
                      path client listener route backend node end reason request_id traceparent ua referer.";

/// What a name leads to: a number with what its unit is multiplied by, or a text.
enum Field {
    Number(Number, f64),
    Text(Text),
}

/// Longer operators first: `>=` begins with `>`.
const OPERATORS: [&str; 8] = ["!=", "!~", ">=", "<=", "=", "~", ">", "<"];

/// One term as it was written.
struct Token {
    at: usize,
    /// `None` is a word alone.
    field: Option<(String, &'static str)>,
    value: String,
    quoted: bool,
}

impl Filter {
    /// Reads a filter; an empty one matches every line. Never panics, whatever the text is.
    ///
    /// # Errors
    /// More than [`FILTER_BYTES_MAX`] bytes or [`FILTER_TERMS_MAX`] terms, an unknown field, an operator or value that
    /// does not fit the field, a quote that is not closed.
    pub fn parse(text: &str) -> Result<Self, BadFilter> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(bad(FILTER_BYTES_MAX, "The filter is longer than 512 bytes.", "Leave terms out."));
        }
        let tokens = tokens(text)?;
        if let Some(over) = tokens.get(FILTER_TERMS_MAX) {
            return Err(bad(over.at, "The filter has more than 16 terms.", "Leave terms out."));
        }
        let terms = tokens.iter().map(term).collect::<Result<_, _>>()?;
        let source = tokens.iter().map(Token::written).collect::<Vec<_>>().join(" ").into();
        Ok(Self { source, terms })
    }
}

impl Token {
    fn written(&self) -> String {
        let value = if self.quoted {
            format!("\"{}\"", self.value.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            self.value.clone()
        };
        match &self.field {
            Some((name, operator)) => format!("{name}{operator}{value}"),
            None => value,
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, BadFilter> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        let rest = &text[at..];
        if rest.is_empty() {
            return Ok(found);
        }
        let field = field_and_operator(rest);
        let skipped = field.as_ref().map_or(0, |(name, operator)| name.len() + operator.len());
        let (value, quoted, length) = value(&rest[skipped..], at + skipped)?;
        found.push(Token { at, field, value, quoted });
        at += skipped + length;
    }
}

/// `name` and operator at the beginning of a term; `None` where it begins otherwise and so is a word alone.
fn field_and_operator(rest: &str) -> Option<(String, &'static str)> {
    let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_'))?;
    let operator = OPERATORS.into_iter().find(|operator| rest[end..].starts_with(operator))?;
    (end > 0).then(|| (rest[..end].to_owned(), operator))
}

/// A value, whether it was quoted, and how many bytes it took.
fn value(rest: &str, at: usize) -> Result<(String, bool, usize), BadFilter> {
    let Some(inside) = rest.strip_prefix('"') else {
        let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
        return Ok((rest[..length].to_owned(), false, length));
    };
    let mut value = String::new();
    let mut characters = inside.char_indices();
    while let Some((offset, character)) = characters.next() {
        match character {
            '"' => return Ok((value, true, offset + 2)),
            '\\' => value.extend(characters.next().map(|(_, kept)| kept)),
            _ => value.push(character),
        }
    }
    Err(bad(at, "A quote is not closed.", "Put a \" at the end of the value."))
}

fn term(token: &Token) -> Result<Term, BadFilter> {
    let Some((name, operator)) = &token.field else { return text(token, Text::Path, "~") };
    match field(name) {
        Some(Field::Number(Number::Status, _)) if class(&token.value).is_some() => status(token, operator),
        Some(Field::Number(of, scale)) => number(token, of, scale, operator),
        Some(Field::Text(of)) => text(token, of, operator),
        None => Err(bad(token.at, format!("There is no field `{name}`."), FIELDS)),
    }
}

fn field(name: &str) -> Option<Field> {
    const MS: f64 = 1000.0;
    Some(match name {
        "status" => Field::Number(Number::Status, 1.0),
        "ms" => Field::Number(Number::TotalUs, MS),
        "us" => Field::Number(Number::TotalUs, 1.0),
        "queue_ms" => Field::Number(Number::QueueUs, MS),
        "connect_ms" => Field::Number(Number::ConnectUs, MS),
        "first_byte_ms" => Field::Number(Number::FirstByteUs, MS),
        "bytes_in" => Field::Number(Number::BytesIn, 1.0),
        "bytes_out" => Field::Number(Number::BytesOut, 1.0),
        "retries" => Field::Number(Number::Retries, 1.0),
        "method" => Field::Text(Text::Method),
        "host" => Field::Text(Text::Host),
        "path" => Field::Text(Text::Path),
        "client" => Field::Text(Text::Client),
        "listener" => Field::Text(Text::Listener),
        "route" => Field::Text(Text::Route),
        "backend" => Field::Text(Text::Backend),
        "node" => Field::Text(Text::Node),
        "end" => Field::Text(Text::End),
        "reason" => Field::Text(Text::Reason),
        "request_id" => Field::Text(Text::RequestId),
        "traceparent" => Field::Text(Text::Traceparent),
        "ua" => Field::Text(Text::UserAgent),
        "referer" => Field::Text(Text::Referer),
        _ => return None,
    })
}

/// `5xx`.
fn class(value: &str) -> Option<u64> {
    match value.as_bytes() {
        [digit @ b'0'..=b'9', b'x' | b'X', b'x' | b'X'] => Some(u64::from(digit - b'0')),
        _ => None,
    }
}

fn status(token: &Token, operator: &str) -> Result<Term, BadFilter> {
    let class = class(&token.value).unwrap_or_default();
    match operator {
        "=" => Ok(Term::Class(class, true)),
        "!=" => Ok(Term::Class(class, false)),
        _ => Err(bad(token.at, "A class of statuses takes = and !=.", "Write status>=500.")),
    }
}

fn number(token: &Token, of: Number, scale: f64, operator: &str) -> Result<Term, BadFilter> {
    let comparison = match operator {
        "=" => Comparison::Equal,
        "!=" => Comparison::Unequal,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => return Err(bad(token.at, "A number takes = != < <= > >=.", "Use ~ and !~ with texts.")),
    };
    let value = token.value.parse::<f64>().ok().filter(|value| value.is_finite());
    let Some(value) = value else {
        let message = format!("`{}` is not a number.", token.value);
        return Err(bad(token.at, message, "Write a number without a unit, as in ms>100."));
    };
    // Counts are whole: 1.4 ms is 1400 us, and no rounding of the multiplication may stand in between.
    let scaled = value * scale;
    let whole = scaled.round();
    let value = if (scaled - whole).abs() < 1e-6 { whole } else { scaled };
    Ok(Term::Number(of, comparison, value))
}

fn text(token: &Token, of: Text, operator: &str) -> Result<Term, BadFilter> {
    let value: Box<[u8]> = token.value.to_ascii_lowercase().into_bytes().into();
    match operator {
        "=" => Ok(Term::Is(of, value, true)),
        "!=" => Ok(Term::Is(of, value, false)),
        "~" | "!~" if value.is_empty() => {
            Err(bad(token.at, "Every text contains the empty one.", "Leave the term out."))
        }
        "~" => Ok(Term::Contains(of, value, true)),
        "!~" => Ok(Term::Contains(of, value, false)),
        _ => Err(bad(token.at, "A text takes = != ~ !~.", "Use < and > with numbers.")),
    }
}

fn bad(at: usize, message: impl Into<String>, hint: &'static str) -> BadFilter {
    BadFilter { at, message: message.into(), hint }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (filter, at) in [
            ("status=200 colour=red", 11),
            ("ms>fast", 0),
            ("ms>", 0),
            ("ms~1", 0),
            ("ms>inf", 0),
            ("node>3", 0),
            ("status>5xx", 0),
            ("path~", 0),
            ("\"\"", 0),
            ("a ua~\"x", 5),
        ] {
            let bad = Filter::parse(filter).unwrap_err();
            assert_eq!(bad.at, at, "{filter}: {bad:?}");
            assert!(!bad.message.is_empty() && !bad.hint.is_empty());
        }
        assert!(Filter::parse(&"a ".repeat(16)).is_ok());
        assert_eq!(Filter::parse(&"a ".repeat(17)).unwrap_err().at, 32);
        assert!(Filter::parse(&"a".repeat(513)).is_err());
    }

    #[test]
    fn a_filter_is_written_as_it_was_read() {
        let filter = Filter::parse("  status>=500   ua~\"a \\\"b\\\\\"  users ").unwrap();
        assert_eq!(filter.source(), "status>=500 ua~\"a \\\"b\\\\\" users");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}|[a-z_]{1,8}[!=<>~]{1,3}[\"\\\\ a-z0-9.]{0,20}") {
            let _ = Filter::parse(&text);
        }

        #[test]
        fn what_is_written_reads_as_the_same(text in "([a-z_]{1,10}[!=<>~]{0,2}[\"\\\\a-z0-9/.]{0,10} ?){0,4}") {
            if let Ok(filter) = Filter::parse(&text) {
                prop_assert_eq!(Filter::parse(filter.source()), Ok(filter));
            }
        }
    }
}
