#![allow(
    unsafe_code,
    reason = "monoio streams give their descriptor only as a number; rustix wants a borrowed one"
)]
//! The socket options that monoio does not know.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    time::Duration,
};

use monoio::net::TcpStream;

/// Closes a connection with RST instead of FIN: a linger time of zero makes `close(2)` do so.
pub(crate) fn reset(stream: TcpStream) -> io::Result<()> {
    // SAFETY: `stream` owns the descriptor and lives until the end of this function, longer than the borrow.
    let fd = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
    rustix::net::sockopt::set_socket_linger(fd, Some(Duration::ZERO))?;
    drop(stream);
    Ok(())
}
