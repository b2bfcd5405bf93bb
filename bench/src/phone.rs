//! A phone of this process, for probes that need to know when each packet came.

use std::net::{SocketAddrV4, UdpSocket};

use audio::FRAME_8K;

use crate::failure::{Result, Tried};
use crate::generator::{PHONES, SERVER};
use crate::os::{self, Inbox};

/// The word of silence in µ-law.
pub const SILENCE: u8 = 0xff;
const HEADER: usize = 12;

/// A phone.
pub struct Phone {
    socket: UdpSocket,
    sequence: u16,
    ssrc: u32,
}

/// A packet that came.
pub struct Heard {
    /// When the server sent it, ns of the real-time clock.
    pub at: i64,
    /// Its first sample that is not silence.
    pub first_sound: Option<usize>,
}

impl Phone {
    /// Binds a port.
    ///
    /// # Errors
    /// The system has none.
    pub fn open(number: usize) -> Result<Self> {
        let socket = UdpSocket::bind(SocketAddrV4::new(PHONES, 0)).tried("binding a probe's port")?;
        socket.set_nonblocking(true).tried("a probe's socket")?;
        os::stamp_arrivals(&socket, 64 << 10).tried("a probe's socket")?;
        Ok(Self { socket, sequence: 0, ssrc: 0x7000_0000 + number as u32 })
    }

    /// Its port.
    ///
    /// # Errors
    /// The system does not know.
    pub fn port(&self) -> Result<u16> {
        Ok(self.socket.local_addr().tried("a probe's address")?.port())
    }

    /// Ties it to its port of the server.
    ///
    /// # Errors
    /// The system refuses.
    pub fn connect(&self, port: u16) -> Result<()> {
        self.socket.connect(SocketAddrV4::new(SERVER, port)).tried("connecting a probe")
    }

    /// Sends the next packet.
    pub fn say(&mut self, words: &[u8; FRAME_8K]) {
        let mut packet = [0u8; HEADER + FRAME_8K];
        packet[0] = 0x80;
        packet[1] = u8::from(self.sequence == 0) << 7;
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(self.sequence) * FRAME_8K as u32).to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        packet[HEADER..].copy_from_slice(words);
        self.sequence = self.sequence.wrapping_add(1);
        let _ = self.socket.send(&packet);
    }

    /// Tells of each packet that came.
    pub fn hear(&self, inbox: &mut Inbox, mut heard: impl FnMut(Heard)) {
        loop {
            let count = inbox.receive(&self.socket);
            for n in 0..count {
                let Some((bytes, arrived)) = inbox.get(n) else { continue };
                let first_sound = bytes
                    .get(HEADER..)
                    .and_then(|words| words.iter().position(|word| *word != SILENCE && *word != 0x7f));
                heard(Heard { at: arrived.at, first_sound });
            }
            if count < os::BATCH {
                return;
            }
        }
    }
}
