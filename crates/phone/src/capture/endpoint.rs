//! An RTP end whose signalling is done by somebody else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::codec::Codec;
use crate::media::{Ear, Line, LineError, LineOptions, Misbehave, Mouth, Remote, Switched};

/// A port pair with mouth and ear. Give [`port`](Self::port) to the tool that writes the session description (sipp: `-mp`).
#[derive(Debug)]
pub struct RtpEndpoint {
    line: Line,
    codec: Codec,
}

impl RtpEndpoint {
    /// Binds a port pair. It sends to wherever the first packet comes from, or to what [`send_to`](Self::send_to) says.
    pub fn bind(ip: IpAddr, codec: Codec) -> Result<Self, LineError> {
        Self::open(LineOptions { ip, latch: true, ..LineOptions::default() }, codec)
    }

    /// As [`bind`](Self::bind) with every option of a line.
    pub fn open(options: LineOptions, codec: Codec) -> Result<Self, LineError> {
        let line = Line::open(options)?;
        line.connect(Remote::plain(codec, None))?;
        Ok(Self { line, codec })
    }

    /// The RTP port (even; RTCP is the next).
    pub fn port(&self) -> u16 {
        self.line.port()
    }

    /// Where to send.
    pub fn send_to(&self, remote: SocketAddr) -> Result<(), LineError> {
        self.line.connect(Remote::plain(self.codec, Some(remote)))
    }

    /// Switches the mouth.
    pub async fn say(&self, mouth: Mouth) -> Result<Switched, LineError> {
        self.line.say(mouth).await
    }

    /// Switches a fault.
    pub fn misbehave(&self, fault: Misbehave) -> Result<(), LineError> {
        self.line.misbehave(fault)
    }

    /// The ear.
    pub fn ear(&self) -> &Arc<Ear> {
        self.line.ear()
    }

    /// The line underneath.
    pub fn line(&self) -> &Line {
        &self.line
    }
}
