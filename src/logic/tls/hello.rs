//! The name and the protocols that a TLS ClientHello asks for (RFC 8446, 4.1.2; RFC 6066, 3; RFC 7301, 3.1).
//!
//! A hello may be split over records, and records over packets. Its bytes are walked through where they are, without being
//! put together first: only a name and protocols are copied, once all of it is there.
//! Our own: `tls-parser` reads single records and leaves putting a split hello together to its caller, and rustls'
//! `Acceptor` is a whole TLS stack, which wants to own the bytes that go on to the node.

use crate::logic::fault::Fault;
use crate::logic::limits::{HELLO_BYTES_MAX, HELLO_PROTOCOLS_MAX};

/// How a connection begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// With a ClientHello.
    Tls(Hello),
    /// With anything else.
    Other,
}

/// What a ClientHello asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// The server's name in lower case, without a dot at its end; `None` where the client gives none.
    pub name: Option<Box<[u8]>>,
    /// Application protocols that it offers, in its order.
    pub protocols: Vec<Box<[u8]>>,
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEAD_BYTES: usize = 5;
/// The longest plaintext of one record (RFC 8446, 5.1).
const RECORD_BYTES_MAX: usize = 1 << 14;
/// The longest name that DNS can hold (RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 255;
const SERVER_NAME: u16 = 0;
const PROTOCOLS: u16 = 16;

/// Reads how a connection begins; `None` while its hello is not whole.
///
/// # Errors
/// [`Fault::BadHello`] for one that began as TLS and cannot be a hello any more, or that is too long.
pub fn read(bytes: &[u8]) -> Result<Option<Opening>, Fault> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    if first != HANDSHAKE || bytes.get(1).is_some_and(|&major| major != 3) {
        return Ok(Some(Opening::Other));
    }
    // Where the limit is does not depend on how much came at once.
    let bytes = &bytes[..bytes.len().min(HELLO_BYTES_MAX)];
    match hello(&mut Walk { bytes, record: 0 }) {
        Ok(hello) => Ok(Some(Opening::Tls(hello))),
        Err(Stop::Short) if bytes.len() < HELLO_BYTES_MAX => Ok(None),
        Err(Stop::Short | Stop::Bad) => Err(Fault::BadHello),
    }
}

/// Why walking ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// More has to come.
    Short,
    /// No hello looks like this.
    Bad,
}

fn hello(walk: &mut Walk<'_>) -> Result<Hello, Stop> {
    if walk.byte()? != CLIENT_HELLO {
        return Err(Stop::Bad);
    }
    let mut left = walk.number(3)?;
    if left > HELLO_BYTES_MAX {
        return Err(Stop::Bad);
    }
    // All lengths within are held against the whole before what they measure is waited for.
    let all = &mut left;
    walk.skip(take(all, 2 + 32)?)?;
    for (prefix, most) in [(1, 32), (2, usize::MAX), (1, usize::MAX)] {
        // Session id, cipher suites, compression methods.
        let length = walk.length(all, prefix)?;
        if length > most {
            return Err(Stop::Bad);
        }
        walk.skip(take(all, length)?)?;
    }
    if *all == 0 {
        // Before TLS 1.2 extensions may be left out (RFC 5246, 7.4.1.2).
        return Ok(Hello::default());
    }
    let extensions = walk.length(all, 2)?;
    if extensions != *all {
        return Err(Stop::Bad);
    }
    read_extensions(walk, extensions)
}

fn read_extensions(walk: &mut Walk<'_>, mut left: usize) -> Result<Hello, Stop> {
    let (mut name, mut protocols) = (None, None);
    while left > 0 {
        take(&mut left, 2)?;
        let kind = walk.number(2)?;
        let length = walk.length(&mut left, 2)?;
        take(&mut left, length)?;
        // No kind may come twice (RFC 8446, 4.2); of these two, which one counts would be ambiguous.
        let repeated = match u16::try_from(kind) {
            Ok(SERVER_NAME) => name.replace(server_name(walk, length)?).is_some(),
            Ok(PROTOCOLS) => protocols.replace(read_protocols(walk, length)?).is_some(),
            _ => {
                walk.skip(length)?;
                false
            }
        };
        if repeated {
            return Err(Stop::Bad);
        }
    }
    Ok(Hello { name, protocols: protocols.unwrap_or_default() })
}

/// One name of a host: the only kind that there is, and only one of it (RFC 6066, 3).
fn server_name(walk: &mut Walk<'_>, mut left: usize) -> Result<Box<[u8]>, Stop> {
    let list = walk.length(&mut left, 2)?;
    take(&mut left, 1)?;
    let kind = walk.byte()?;
    let length = walk.length(&mut left, 2)?;
    if kind != 0 || length != left || list != length + 3 || length == 0 || length > NAME_BYTES_MAX {
        return Err(Stop::Bad);
    }
    let mut name = walk.copy(length)?;
    name.make_ascii_lowercase();
    if name.last() == Some(&b'.') {
        name.pop();
    }
    Ok(name.into())
}

fn read_protocols(walk: &mut Walk<'_>, mut left: usize) -> Result<Vec<Box<[u8]>>, Stop> {
    let list = walk.length(&mut left, 2)?;
    if list != left || list == 0 {
        return Err(Stop::Bad);
    }
    let mut protocols = Vec::new();
    while left > 0 {
        let length = walk.length(&mut left, 1)?;
        take(&mut left, length)?;
        if length == 0 || protocols.len() == HELLO_PROTOCOLS_MAX {
            return Err(Stop::Bad);
        }
        protocols.push(walk.copy(length)?.into());
    }
    Ok(protocols)
}

/// Takes `count` from what is left.
fn take(left: &mut usize, count: usize) -> Result<usize, Stop> {
    *left = left.checked_sub(count).ok_or(Stop::Bad)?;
    Ok(count)
}

/// Walks through the handshake's bytes, past the heads of the records that they come in.
struct Walk<'a> {
    bytes: &'a [u8],
    /// Bytes of the record at hand that were not walked through.
    record: usize,
}

impl Walk<'_> {
    fn byte(&mut self) -> Result<u8, Stop> {
        let mut found = 0;
        self.pass(1, |piece| found = piece[0])?;
        Ok(found)
    }

    /// A number of so many bytes.
    fn number(&mut self, bytes: usize) -> Result<usize, Stop> {
        (0..bytes).try_fold(0, |number, _| Ok(number << 8 | usize::from(self.byte()?)))
    }

    /// A length that is itself `prefix` of the bytes that are left; it must fit the rest of them.
    fn length(&mut self, left: &mut usize, prefix: usize) -> Result<usize, Stop> {
        take(left, prefix)?;
        let length = self.number(prefix)?;
        if length > *left { Err(Stop::Bad) } else { Ok(length) }
    }

    fn skip(&mut self, count: usize) -> Result<(), Stop> {
        self.pass(count, |_| {})
    }

    fn copy(&mut self, count: usize) -> Result<Vec<u8>, Stop> {
        let mut copied = Vec::new();
        self.pass(count, |piece| copied.extend_from_slice(piece))?;
        Ok(copied)
    }

    /// Gives the next `count` bytes, a piece for each record that they are in.
    fn pass(&mut self, mut count: usize, mut give: impl FnMut(&[u8])) -> Result<(), Stop> {
        while count > 0 {
            if self.record == 0 {
                self.open_record()?;
            }
            let piece = count.min(self.record);
            let (now, rest) = self.bytes.split_at_checked(piece).ok_or(Stop::Short)?;
            give(now);
            self.bytes = rest;
            self.record -= piece;
            count -= piece;
        }
        Ok(())
    }

    fn open_record(&mut self) -> Result<(), Stop> {
        let wrong = |at: usize, expected: u8| self.bytes.get(at).is_some_and(|&byte| byte != expected);
        // The minor version is to be ignored (RFC 8446, 5.1).
        if wrong(0, HANDSHAKE) || wrong(1, 3) {
            return Err(Stop::Bad);
        }
        let (head, rest) = self.bytes.split_first_chunk::<RECORD_HEAD_BYTES>().ok_or(Stop::Short)?;
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        // An empty one carries nothing on (RFC 8446, 5.1), and could be sent for ever.
        if length == 0 || length > RECORD_BYTES_MAX {
            return Err(Stop::Bad);
        }
        (self.bytes, self.record) = (rest, length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_length(prefix: usize, bytes: &[u8]) -> Vec<u8> {
        let length = bytes.len().to_be_bytes();
        [&length[length.len() - prefix..], bytes].concat()
    }

    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &with_length(2, body)].concat()
    }

    fn name(name: &str) -> Vec<u8> {
        extension(0, &with_length(2, &[&[0][..], &with_length(2, name.as_bytes())].concat()))
    }

    fn protocols(all: &[&str]) -> Vec<u8> {
        let list: Vec<_> = all.iter().flat_map(|one| with_length(1, one.as_bytes())).collect();
        extension(16, &with_length(2, &list))
    }

    /// The handshake message of a hello with these extensions.
    fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
        let body = [
            &[3, 3][..],
            &[7; 32],
            &with_length(1, &[9; 32]),
            &with_length(2, &[0x13, 0x01, 0x13, 0x02]),
            &with_length(1, &[0]),
            &with_length(2, &extensions.concat()),
        ]
        .concat();
        [&[1][..], &with_length(3, &body)].concat()
    }

    /// In records of `most` bytes at most.
    fn records(message: &[u8], most: usize) -> Vec<u8> {
        message.chunks(most).flat_map(|piece| [&[22, 3, 1][..], &with_length(2, piece)].concat()).collect()
    }

    fn asks(name: Option<&str>, protocols: &[&str]) -> Opening {
        Opening::Tls(Hello {
            name: name.map(|name| name.as_bytes().into()),
            protocols: protocols.iter().map(|one| one.as_bytes().into()).collect(),
        })
    }

    fn ordinary() -> Vec<u8> {
        message(&[
            extension(43, &[2, 3, 4]),
            protocols(&["h2", "http/1.1"]),
            extension(51, &[0; 1300]),
            name("DB.Example.com."),
        ])
    }

    #[test]
    fn a_hello_is_read_however_it_is_split_and_every_cut_of_it_is_a_part() {
        for most in [1, 2, 5, 43, 500, RECORD_BYTES_MAX] {
            let hello = records(&ordinary(), most);
            for end in 0..hello.len() {
                assert_eq!(read(&hello[..end]), Ok(None), "records of {most}, cut at {end}");
            }
            let whole = Ok(Some(asks(Some("db.example.com"), &["h2", "http/1.1"])));
            assert_eq!(read(&hello), whole, "records of {most}");
            assert_eq!(read(&[&hello[..], b"\x17\x03\x03more"].concat()), whole);
        }
    }

    #[test]
    fn name_and_protocols_may_be_missing() {
        let of = |extensions: &[Vec<u8>]| read(&records(&message(extensions), 1000));
        assert_eq!(of(&[]), Ok(Some(asks(None, &[]))));
        assert_eq!(of(&[name("a.b")]), Ok(Some(asks(Some("a.b"), &[]))));
        assert_eq!(of(&[protocols(&["postgresql"])]), Ok(Some(asks(None, &["postgresql"]))));
        // Without even the length of extensions, as in old versions.
        let mut bare = message(&[]);
        bare.truncate(bare.len() - 2);
        bare[3] -= 2;
        assert_eq!(read(&records(&bare, 1000)), Ok(Some(asks(None, &[]))));
    }

    #[test]
    fn what_is_not_tls_is_told_by_its_first_bytes() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\0\0\0\x08\x04\xd2\x16\x2f",
            b"\x16\x02",
            b"\x80\x2e\x01",
            b"\x15\x03",
        ] {
            assert_eq!(read(bytes), Ok(Some(Opening::Other)), "{bytes:?}");
        }
        assert_eq!(read(b""), Ok(None));
        assert_eq!(read(b"\x16"), Ok(None));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let of = |extensions: &[Vec<u8>]| read(&records(&message(extensions), 1000));
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        let many = vec!["x"; HELLO_PROTOCOLS_MAX + 1];
        for extensions in [
            &[name("a"), name("b")][..],
            &[protocols(&["a"]), protocols(&["b"])],
            &[name("")],
            &[name(&long)],
            &[protocols(&[])],
            &[protocols(&[""])],
            &[protocols(&many)],
            &[extension(0, &[])],
            &[extension(0, &[0, 3, 1, 0, 0])],
            &[extension(0, &[0, 9, 0, 0, 1, b'a'])],
            &[extension(0, &[0, 4, 0, 0, 1, b'a', 0])],
            &[extension(16, &[0, 2, 5, b'a'])],
            &[vec![0]],
            &[vec![0, 0, 0, 9, 0]],
        ] {
            assert_eq!(of(extensions), Err(Fault::BadHello), "{extensions:?}");
        }
        let good = records(&ordinary(), 1000);
        for (at, byte) in [(5, 2), (6, 1), (4, 0), (3, 0x40)] {
            let mut bad = good.clone();
            bad[at] = byte;
            if at == 4 {
                bad[3] = 0;
            }
            assert_eq!(read(&bad), Err(Fault::BadHello), "byte {at}");
        }
        let mut other_record = records(&ordinary(), 100);
        other_record[105] = 23;
        assert_eq!(read(&other_record), Err(Fault::BadHello));
    }

    #[test]
    fn it_is_waited_for_no_longer_than_its_limit() {
        let padded =
            |bytes: usize| records(&message(&[extension(21, &vec![0; bytes]), name("a")]), RECORD_BYTES_MAX);
        assert_eq!(read(&padded(15_000)), Ok(Some(asks(Some("a"), &[]))));
        assert_eq!(read(&padded(17_000)), Err(Fault::BadHello));
        // Many small records are as long as their heads make them.
        let thin = records(&message(&[extension(21, &[0; 4000])]), 1);
        assert_eq!(read(&thin[..HELLO_BYTES_MAX - 1]), Ok(None));
        assert_eq!(read(&thin[..HELLO_BYTES_MAX]), Err(Fault::BadHello));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_a_longer_input_never_unsays_an_answer(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            most in 1_usize..400,
        ) {
            let small = message(&[protocols(&["h2"]), name("db.example.com"), extension(51, &[0; 30])]);
            let mut input = records(&small, most);
            for (at, byte) in changes {
                let at = at.index(input.len());
                input[at] = byte;
            }
            let whole = read(&input);
            for end in 0..input.len() {
                let part = read(&input[..end]);
                prop_assert!(part == Ok(None) || part == whole, "cut at {end}: {part:?}, then {whole:?}");
            }
        }
    }
}
