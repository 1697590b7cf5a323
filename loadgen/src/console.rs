//! Standard output and standard error. Whoever reads them may leave first (`| head`): what was measured is
//! measured all the same, so that is no failure of a run.

use std::io::{self, Write};

/// Writes to standard output.
///
/// # Errors
/// It cannot be written, for another reason than that nobody reads it any more.
pub fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a line to standard error. When even that fails, nobody is there to be told.
pub fn tell(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
