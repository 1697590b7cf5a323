//! What goes with a datagram: addresses in C's form, control messages, and the options that ask for them.
#![allow(unsafe_code, reason = "control messages are written to and read from memory as C lays it out")]

use std::io;
use std::mem::{self, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

/// Room for the control messages of one message: a segment's size and a packet info, with their headers.
pub(super) type Control = [u64; 16];

/// One of our addresses, and the interface that it is to leave by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) ip: IpAddr,
    interface: u32,
}

/// The size of segments and our address, as a message's control messages tell.
pub(super) fn read_control(control: &Control, length: usize) -> (usize, Option<Local>) {
    let (mut segment, mut local) = (0, None);
    // SAFETY: a plain C structure for which zeroes are a valid value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    // It is only read from.
    header.msg_control = (&raw const *control).cast_mut().cast();
    header.msg_controllen = length.min(size_of::<Control>());
    // SAFETY: the walk goes by the lengths of the messages and stays within the buffer, which is aligned for their headers.
    // Only the kernel has written there, and data is read unaligned, in the size of its kind.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(&raw const header);
        while let Some(message) = next.as_ref() {
            let data = libc::CMSG_DATA(message);
            match (message.cmsg_level, message.cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    segment = usize::try_from(data.cast::<libc::c_int>().read_unaligned()).unwrap_or(0);
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    let ip = Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)).into();
                    // The way back is found by the address; to name the interface would forbid any other way.
                    local = Some(Local { ip, interface: 0 });
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    let interface = if ip.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
                    local = Some(Local { ip: ip.into(), interface });
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(&raw const header, message);
        }
    }
    (segment, local)
}

/// Writes control messages. Returns their length.
pub(super) fn write_control(control: &mut Control, segment: usize, local: Option<Local>) -> usize {
    let mut used = 0;
    if segment > 0 {
        let segment = u16::try_from(segment).unwrap_or(u16::MAX);
        used += put_control(control, used, (libc::SOL_UDP, libc::UDP_SEGMENT), segment);
    }
    match local {
        Some(Local { ip: IpAddr::V4(ip), interface }) => {
            let address = libc::in_addr { s_addr: u32::from(ip).to_be() };
            let info = libc::in_pktinfo {
                ipi_ifindex: libc::c_int::try_from(interface).unwrap_or(0),
                ipi_spec_dst: address,
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            used += put_control(control, used, (libc::IPPROTO_IP, libc::IP_PKTINFO), info);
        }
        Some(Local { ip: IpAddr::V6(ip), interface }) => {
            let ipi6_addr = libc::in6_addr { s6_addr: ip.octets() };
            let info = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: interface };
            used += put_control(control, used, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), info);
        }
        None => {}
    }
    used
}

fn put_control<T: Copy>(
    control: &mut Control,
    at: usize,
    kind: (libc::c_int, libc::c_int),
    data: T,
) -> usize {
    // SAFETY: these two only compute with lengths.
    let (length, space) = unsafe {
        (libc::CMSG_LEN(size_of::<T>() as libc::c_uint), libc::CMSG_SPACE(size_of::<T>() as libc::c_uint))
    };
    assert!(at + space as usize <= size_of::<Control>(), "the control messages have room");
    // SAFETY: there is room for this message, and `at` is a sum of CMSG_SPACEs, so it is aligned for a header.
    unsafe {
        let message = (&raw mut *control).byte_add(at).cast::<libc::cmsghdr>();
        message.write(libc::cmsghdr { cmsg_len: length as usize, cmsg_level: kind.0, cmsg_type: kind.1 });
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(data);
    }
    space as usize
}

pub(super) fn address(name: &libc::sockaddr_storage, length: usize) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: a storage is as large as any address and aligned for it, and the family says which it is.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            // The flow label is the sender's of one datagram: it tells no client from another.
            Some(SocketAddrV6::new(ip, u16::from_be(name.sin6_port), 0, name.sin6_scope_id).into())
        }
        _ => None,
    }
}

pub(super) fn put_address(address: SocketAddr, name: &mut libc::sockaddr_storage) -> libc::socklen_t {
    match address {
        SocketAddr::V4(address) => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: a storage is as large as any address and aligned for it.
            unsafe { (&raw mut *name).cast::<libc::sockaddr_in>().write(v4) };
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(address) => {
            let v6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            };
            // SAFETY: as above.
            unsafe { (&raw mut *name).cast::<libc::sockaddr_in6>().write(v6) };
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

/// Asks the kernel to join what comes in a row. A kernel without that has datagrams come one by one.
pub(crate) fn join_received(socket: impl AsFd) {
    let _ = switch_on(socket, libc::SOL_UDP, libc::UDP_GRO);
}

/// Asks for our own address with each datagram: on a socket that is bound to all of them, the answer must come from the one
/// that was asked.
///
/// # Errors
/// Of a socket that is neither.
pub(crate) fn tell_own_address(socket: impl AsFd, ipv6: bool) -> io::Result<()> {
    match ipv6 {
        true => switch_on(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        false => switch_on(socket, libc::IPPROTO_IP, libc::IP_PKTINFO),
    }
}

fn switch_on(socket: impl AsFd, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the value is an int that lives until the call returns, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
