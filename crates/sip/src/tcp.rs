//! SIP over TCP: Content-Length is the only framing (RFC 3261 §18.3), so a lie about it ends the connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::guard::Medium;
use crate::message::Message;
use crate::parse::{Fault, Head, head_end};
use crate::transport::{Flow, Input, Transport, Wire};

const CONNECT: Duration = Duration::from_secs(10);
const WRITE: Duration = Duration::from_secs(10);

pub(crate) async fn accept(wire: Arc<Wire>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = wire.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors: give the closing ones time instead of spinning.
                tracing::warn!(%error, "cannot accept a SIP connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(local) = stream.local_addr() else { continue };
        let Some((connection, receiver)) = wire.connections.open(Transport::Tcp, remote, local, true) else { continue };
        let flow = Flow { transport: Transport::Tcp, local, remote, connection };
        tokio::spawn(serve(wire.clone(), stream, flow, receiver, true));
    }
}

pub(crate) async fn connect(wire: Arc<Wire>, flow: Flow, receiver: mpsc::Receiver<Bytes>) {
    match timeout(CONNECT, TcpStream::connect(flow.remote)).await {
        Ok(Ok(stream)) => serve(wire, stream, flow, receiver, false).await,
        _ => wire.close(flow.connection).await,
    }
}

async fn serve(wire: Arc<Wire>, stream: TcpStream, flow: Flow, receiver: mpsc::Receiver<Bytes>, accepted: bool) {
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let writing = tokio::spawn(write(writer, receiver));
    tokio::select! {
        () = wire.stop.cancelled() => {}
        () = read(&wire, reader, &flow, accepted) => {}
    }
    // Forgetting drops the sender: what was queued is still written, then the stream closes.
    wire.close(flow.connection).await;
    let _ = timeout(WRITE, writing).await;
}

async fn write(mut writer: OwnedWriteHalf, mut receiver: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = receiver.recv().await {
        if !matches!(timeout(WRITE, writer.write_all(&bytes)).await, Ok(Ok(()))) {
            return;
        }
    }
    let _ = writer.shutdown().await;
}

async fn read(wire: &Arc<Wire>, mut reader: OwnedReadHalf, flow: &Flow, accepted: bool) {
    let mut buffer = BytesMut::with_capacity(4_096);
    // Who connects has something to say; a connection that says nothing whole is only there to take a place.
    let mut begun = accepted.then(Instant::now);
    let mut heard = !accepted;
    loop {
        match next(wire, &mut buffer, flow) {
            Frame::Message(message) => {
                (begun, heard) = (None, true);
                if !wire.guard.admit(Medium::Stream, flow.remote.ip(), Instant::now(), &wire.counters) {
                    return;
                }
                wire.counters.messages_in.add();
                if wire.input.send(Input::Message(*message, *flow)).await.is_err() {
                    return;
                }
                continue;
            }
            Frame::Refused(fault) => {
                (begun, heard) = (None, true);
                wire.refuse(fault, flow);
                if !wire.guard.admit(Medium::Stream, flow.remote.ip(), Instant::now(), &wire.counters) {
                    return;
                }
                continue;
            }
            Frame::Broken(fault) => {
                wire.refuse(fault, flow);
                return;
            }
            Frame::Partial if buffer.is_empty() && heard => begun = None,
            Frame::Partial => {
                begun.get_or_insert_with(Instant::now);
            }
        }
        let patience = match begun {
            Some(at) => wire.limits.half_message.saturating_sub(at.elapsed()),
            None => wire.limits.connection_idle,
        };
        match timeout(patience, reader.read_buf(&mut buffer)).await {
            Ok(Ok(n)) if n > 0 => {}
            Ok(_) => return,
            Err(_) => {
                wire.counters.connections_timed_out.add();
                return;
            }
        }
    }
}

enum Frame {
    Message(Box<Message>),
    /// A whole message that is refused; the stream goes on behind it.
    Refused(Fault),
    /// Where the next message begins is unknown.
    Broken(Fault),
    Partial,
}

fn next(wire: &Wire, buffer: &mut BytesMut, flow: &Flow) -> Frame {
    while buffer.first().is_some_and(|b| matches!(b, b'\r' | b'\n')) {
        // RFC 5626 §3.5.1: a double CRLF is a ping, a single one its pong.
        if buffer.starts_with(b"\r\n\r\n") {
            wire.send(flow, Bytes::from_static(b"\r\n"));
            buffer.advance(4);
        } else if buffer.len() < 4 && b"\r\n\r\n".starts_with(buffer) && !buffer.starts_with(b"\r\n") {
            break;
        } else {
            buffer.advance(if buffer.starts_with(b"\r\n") { 2 } else { 1 });
        }
    }
    let limits = &wire.limits;
    let Some(end) = head_end(buffer) else {
        if buffer.len() > limits.message_bytes {
            return Frame::Broken(Fault { code: 513, reason: "message is larger than the limit".into(), head: None });
        }
        return Frame::Partial;
    };
    let head = match Head::parse(buffer.get(..end).unwrap_or(&[]), flow.remote, limits) {
        Ok(head) => head,
        Err(fault) => return Frame::Broken(fault),
    };
    let length = match head.content_length() {
        Ok(Some(length)) => length,
        Ok(None) => return Frame::Broken(head.fault(400, "missing Content-Length header")),
        Err(fault) => return Frame::Broken(fault),
    };
    if end.saturating_add(length) > limits.message_bytes {
        return Frame::Broken(head.fault(513, "message is larger than the limit"));
    }
    if buffer.len() < end + length {
        return Frame::Partial;
    }
    buffer.advance(end);
    match head.finish(buffer.split_to(length).freeze()) {
        Ok(message) => Frame::Message(Box::new(message)),
        Err(fault) => Frame::Refused(fault),
    }
}
