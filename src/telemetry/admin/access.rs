//! Whom the admin API lets in: by name of the host that they ask for, and by a token.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::logic::limits::{TOKEN_BYTES_MAX, TOKEN_BYTES_MIN};

/// What a reload may change: whether writes are taken, and whom the API lets in.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Are writes taken?
    pub writable: bool,
    /// Who is let in.
    pub access: Access,
}

/// Whom the API lets in; without a token everybody who reaches the address may call, which is for loopback alone.
#[derive(Debug, Clone, Default)]
pub struct Access {
    token: Option<Token>,
    /// In lower case.
    names: Vec<Box<str>>,
}

/// What a caller must know. Only its digest is kept: there is nothing to print by mistake.
#[derive(Clone)]
struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(withheld)")
    }
}

impl Access {
    /// Reads the token from its file (one line of 16 to 512 visible ASCII characters), where there is one. `names` are those
    /// that the API goes by beside its addresses.
    ///
    /// # Errors
    /// The operator's: a file that cannot be read, or that holds no token. The message names the file, never its content.
    pub fn load(token_file: Option<&Path>, names: &[Box<str>]) -> io::Result<Self> {
        let token = token_file.map(read_token).transpose()?;
        Ok(Self { token, names: names.iter().map(|name| name.to_ascii_lowercase().into()).collect() })
    }

    /// Is this a name that the API goes by?
    pub(super) fn has_name(&self, host: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Does a caller need a token?
    pub(super) fn needs_token(&self) -> bool {
        self.token.is_some()
    }

    /// Is this the token? Digests are compared, in constant time: how long it takes tells neither where a guess goes wrong
    /// nor how long the token is.
    pub(super) fn accepts(&self, presented: &[u8]) -> bool {
        self.token.as_ref().is_none_or(|token| bool::from(digest(presented).ct_eq(&token.0)))
    }

    /// The same for one that was made fit for a subprotocol: base64url without padding.
    pub(super) fn accepts_encoded(&self, presented: &str) -> bool {
        URL_SAFE_NO_PAD.decode(presented).is_ok_and(|token| self.accepts(&token))
    }
}

fn read_token(path: &Path) -> io::Result<Token> {
    let problem = |what: String| io::Error::other(format!("admin.token_file {}: {what}", path.display()));
    let text = std::fs::read(path).map_err(|error| problem(error.to_string()))?;
    let token = text.trim_ascii();
    if !(TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len()) {
        return Err(problem(format!(
            "a token has {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} characters; `openssl rand -hex 32` makes one"
        )));
    }
    if !token.iter().all(u8::is_ascii_graphic) {
        return Err(problem("a token is one line of visible ASCII characters without spaces".into()));
    }
    Ok(Token(digest(token)))
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The access that a file with this content gives.
    fn with_file(content: &[u8]) -> io::Result<Access> {
        let name = format!("plimsoll-token-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        let access = Access::load(Some(&path), &["LB.internal".into()]);
        std::fs::remove_file(&path).unwrap();
        access
    }

    #[test]
    fn only_the_token_is_accepted() {
        let access = with_file(b"0123456789abcdef\n").unwrap();
        assert!(access.needs_token() && access.accepts(b"0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123456789abcdef\n"] {
            assert!(!access.accepts(wrong.as_bytes()), "{wrong:?}");
        }
        assert!(access.accepts_encoded("MDEyMzQ1Njc4OWFiY2RlZg"));
        assert!(!access.accepts_encoded("0123456789abcdef") && !access.accepts_encoded("$"));
    }

    #[test]
    fn a_file_without_a_token_is_the_operators_mistake_and_its_content_is_not_told() {
        for content in
            [&b"short"[..], b"", b"two words are not a token", b"0123456789abcde\xff", &[b'x'; 600]]
        {
            let error = with_file(content).unwrap_err().to_string();
            assert!(error.starts_with("admin.token_file") && !error.contains("words are"), "{error}");
        }
        assert!(Access::load(Some(Path::new("/nonexistent/token")), &[]).is_err());
    }

    #[test]
    fn names_are_compared_whole_and_without_case() {
        let access = with_file(b"0123456789abcdef").unwrap();
        assert!(access.has_name("lb.INTERNAL"));
        assert!(!access.has_name("lb.internal.evil.test") && !access.has_name("internal"));
        assert!(!format!("{access:?}").contains("0123"));
    }
}
