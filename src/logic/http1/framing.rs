//! How long a body is (RFC 9112, 6), decided once, without a doubt left.

use super::field::{Known, classify, elements};
use crate::logic::message::Field;

/// How the end of a message's body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// This many bytes.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// Until the connection closes: responses only.
    UntilClose,
}

/// The framing fields of a message contradict each other or the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ambiguous;

/// What the framing fields say, before the message's kind is considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FramingFields {
    /// The one `Content-Length`.
    pub length: Option<u64>,
    /// The one `Transfer-Encoding`, which is `chunked`.
    pub chunked: bool,
}

impl FramingFields {
    /// Reads them. RFC 9112, 6.3, lets a recipient repair some of what is refused here; whoever repairs must hope
    /// that everybody behind repairs alike.
    ///
    /// # Errors
    /// [`Ambiguous`] for both fields at once, for either of them twice, for a length that is not digits only or
    /// beyond 64 bits, and for a coding list that is not exactly `chunked`.
    pub fn read(fields: &[Field<'_>]) -> Result<Self, Ambiguous> {
        let mut found = Self::default();
        for field in fields {
            match classify(field.name) {
                Known::ContentLength if found.length.is_none() => {
                    found.length = Some(parse_length(field.value)?)
                }
                Known::TransferEncoding if !found.chunked => found.chunked = is_chunked(field.value)?,
                Known::ContentLength | Known::TransferEncoding => return Err(Ambiguous),
                _ => {}
            }
        }
        if found.chunked && found.length.is_some() {
            return Err(Ambiguous);
        }
        Ok(found)
    }

    /// The framing of a request: without either field there is no body (RFC 9112, 6.3, rule 7).
    pub fn of_request(self) -> Framing {
        match self {
            Self { chunked: true, .. } => Framing::Chunked,
            Self { length: Some(0) | None, .. } => Framing::None,
            Self { length: Some(length), .. } => Framing::Length(length),
        }
    }

    /// The framing of a final response that may have a body (RFC 9112, 6.3, rule 8).
    pub fn of_response(self) -> Framing {
        match self {
            Self { chunked: true, .. } => Framing::Chunked,
            Self { length: Some(length), .. } => Framing::Length(length),
            Self { length: None, .. } => Framing::UntilClose,
        }
    }
}

/// Digits only: no sign, no space, no list, no overflow.
fn parse_length(value: &[u8]) -> Result<u64, Ambiguous> {
    if value.is_empty() || value.len() > 19 {
        return Err(Ambiguous);
    }
    value.iter().try_fold(0_u64, |total, byte| match byte {
        // 19 digits cannot overflow 64 bits.
        b'0'..=b'9' => Ok(total * 10 + u64::from(byte - b'0')),
        _ => Err(Ambiguous),
    })
}

fn is_chunked(value: &[u8]) -> Result<bool, Ambiguous> {
    let mut codings = elements(value);
    match (codings.next(), codings.next()) {
        // An empty element would be skipped by a list parser and tripped over by another.
        (Some(one), None) if one.eq_ignore_ascii_case(b"chunked") && one.len() == value.len() => Ok(true),
        _ => Err(Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<FramingFields, Ambiguous> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        FramingFields::read(&fields)
    }

    #[test]
    fn plain_cases() {
        assert_eq!(read(&[]).unwrap().of_request(), Framing::None);
        assert_eq!(read(&[("content-length", "0")]).unwrap().of_request(), Framing::None);
        assert_eq!(read(&[("content-length", "0")]).unwrap().of_response(), Framing::Length(0));
        assert_eq!(read(&[("Content-Length", "5")]).unwrap().of_request(), Framing::Length(5));
        assert_eq!(read(&[("Transfer-Encoding", "Chunked")]).unwrap().of_request(), Framing::Chunked);
        assert_eq!(read(&[]).unwrap().of_response(), Framing::UntilClose);
    }

    #[test]
    fn whatever_could_be_read_in_two_ways_is_refused() {
        for bad in [
            &[("content-length", "5"), ("content-length", "5")][..],
            &[("content-length", "5, 5")],
            &[("content-length", "+5")],
            &[("content-length", "-5")],
            &[("content-length", "")],
            &[("content-length", "0x5")],
            &[("content-length", "5 ")],
            &[("content-length", "99999999999999999999")],
            &[("content-length", "5"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "chunked, chunked")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "identity")],
            &[("transfer-encoding", "")],
            &[("transfer-encoding", ",chunked")],
            &[("transfer-encoding", "chunked;q=1")],
            &[("transfer-encoding", "\"chunked\"")],
        ] {
            assert_eq!(read(bad), Err(Ambiguous), "{bad:?}");
        }
    }
}
