//! Sockets of a thread.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::error::WebRtcError;

pub(super) fn bound<T>(
    transport: &'static str,
    address: SocketAddr,
    result: std::io::Result<T>,
) -> Result<T, WebRtcError> {
    result.map_err(|source| WebRtcError::Bind { transport, address, source })
}

fn socket(kind: Type, protocol: Protocol, address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

pub(super) fn bind_udp(address: SocketAddr, buffer: usize) -> std::io::Result<UdpSocket> {
    let socket = socket(Type::DGRAM, Protocol::UDP, address)?;
    // A smaller buffer works too.
    let _ = socket.set_recv_buffer_size(buffer);
    let _ = socket.set_send_buffer_size(buffer);
    socket.bind(&SockAddr::from(address))?;
    Ok(socket.into())
}

pub(super) fn bind_tcp(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = socket(Type::STREAM, Protocol::TCP, address)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(128)?;
    Ok(socket.into())
}
