//! Text with a counter in it: what is sent may differ from request to request.

/// The placeholder that a template may hold: the number of the request within the run, from 0.
pub const COUNTER: &str = "{{counter}}";

/// Fixed text and places for the counter, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Counter,
}

impl Template {
    /// Bytes that are sent as they are, placeholder or not.
    #[must_use]
    pub fn fixed(bytes: &[u8]) -> Self {
        let text = (!bytes.is_empty()).then(|| Piece::Text(bytes.to_vec()));
        Self { pieces: text.into_iter().collect() }
    }

    /// Text in which every [`COUNTER`] is replaced.
    #[must_use]
    pub fn with_counter(text: &[u8]) -> Self {
        let mut template = Self::default();
        let mut rest = text;
        while let Some(at) = memchr::memmem::find(rest, COUNTER.as_bytes()) {
            template.push(&rest[..at]);
            template.pieces.push(Piece::Counter);
            rest = &rest[at + COUNTER.len()..];
        }
        template.push(rest);
        template
    }

    fn push(&mut self, bytes: &[u8]) {
        self.pieces.extend(Self::fixed(bytes).pieces);
    }

    /// Whether every request is the same.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        !self.pieces.contains(&Piece::Counter)
    }

    /// Whether nothing is sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes of request number `number`.
    #[must_use]
    pub fn length(&self, number: u64) -> usize {
        self.pieces.iter().map(|piece| piece.length(number)).sum()
    }

    /// Appends request number `number`.
    pub fn render(&self, number: u64, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Counter => push_decimal(number, out),
            }
        }
    }
}

impl Piece {
    fn length(&self, number: u64) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Counter => number.checked_ilog10().unwrap_or(0) as usize + 1,
        }
    }
}

/// Appends a number without allocating.
pub fn push_decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &Template, number: u64) -> String {
        let mut out = Vec::new();
        template.render(number, &mut out);
        assert_eq!(out.len(), template.length(number));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_counter_stands_wherever_it_is_named() {
        let template = Template::with_counter(b"{{counter}}: id={{counter}}, {{other}}");
        assert!(!template.is_fixed());
        assert_eq!(rendered(&template, 0), "0: id=0, {{other}}");
        assert_eq!(rendered(&template, 1234), "1234: id=1234, {{other}}");
        assert_eq!(rendered(&template, u64::MAX), format!("{0}: id={0}, {{{{other}}}}", u64::MAX));
    }

    #[test]
    fn fixed_text_keeps_its_braces() {
        let template = Template::fixed(b"{{counter}}");
        assert!(template.is_fixed());
        assert_eq!(rendered(&template, 9), "{{counter}}");
        assert!(Template::fixed(b"").is_empty());
    }
}
