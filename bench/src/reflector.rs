//! The floor: one thread that sends back what comes, from one connected socket per leg, at the server's pace, without looking at it.

use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use crate::failure::{Result, Tried};
use crate::generator::SERVER;
use crate::os::{self, Ring};

/// Sub-slots of a tick, as the server's wheel has.
const SLOTS: usize = 20;
const SLOT_NS: u64 = 1_000_000;

/// How packets are received and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A system call for each.
    Plain,
    /// All receives of a sub-slot by one system call, and all sends by another, through io_uring.
    Ring,
}

/// The reflector's sockets, between runs.
pub struct Reflector {
    sockets: Vec<UdpSocket>,
}

/// A reflector at work. Dropping it without [`Self::stop`] leaves its thread running.
pub struct Reflecting {
    thread: JoinHandle<Vec<UdpSocket>>,
    number: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
}

impl Reflector {
    /// A socket for each phone; answers their ports too.
    ///
    /// # Errors
    /// The system has no more ports or files.
    pub fn open(phones: &[SocketAddr]) -> Result<(Self, Vec<u16>)> {
        let mut sockets = Vec::with_capacity(phones.len());
        let mut ports = Vec::with_capacity(phones.len());
        for phone in phones {
            let socket = UdpSocket::bind(SocketAddrV4::new(SERVER, 0)).tried("binding a port of the reflector")?;
            socket.set_nonblocking(true).tried("a socket of the reflector")?;
            socket.connect(phone).tried("connecting the reflector")?;
            ports.push(socket.local_addr().tried("an address of the reflector")?.port());
            sockets.push(socket);
        }
        Ok((Self { sockets }, ports))
    }

    /// Starts reflecting on a CPU.
    ///
    /// # Errors
    /// No thread.
    pub fn start(self, cpu: usize, method: Method) -> Result<Reflecting> {
        let number = Arc::new(AtomicU32::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (told, stopped) = (number.clone(), stop.clone());
        let reflect = move || {
            let _ = os::pin(cpu);
            let legs = self.sockets.len().div_ceil(SLOTS);
            let mut ring = (method == Method::Ring).then(|| Ring::open(legs).ok()).flatten();
            told.store(os::thread_id(), Ordering::Release);
            reflect(&self.sockets, ring.as_mut(), &stopped);
            self.sockets
        };
        let thread =
            std::thread::Builder::new().name("reflector".to_owned()).spawn(reflect).tried("starting the reflector")?;
        Ok(Reflecting { thread, number, stop })
    }
}

impl Reflecting {
    /// The thread's number, once it has one.
    pub fn thread(&self) -> u32 {
        loop {
            match self.number.load(Ordering::Acquire) {
                0 => std::thread::yield_now(),
                number => return number,
            }
        }
    }

    /// Stops, and gives the sockets back.
    pub fn stop(self) -> Reflector {
        self.stop.store(true, Ordering::Release);
        Reflector { sockets: self.thread.join().unwrap_or_default() }
    }
}

fn reflect(sockets: &[UdpSocket], mut ring: Option<&mut Ring>, stop: &AtomicBool) {
    let mut buffer = [0u8; 2_048];
    let start = os::monotonic();
    let mut slot = 0u64;
    while !stop.load(Ordering::Acquire) {
        os::sleep_until(start + slot * SLOT_NS);
        let due = sockets.iter().skip((slot % SLOTS as u64) as usize).step_by(SLOTS);
        slot += 1;
        if let Some(ring) = &mut ring {
            ring.reflect(due);
            continue;
        }
        for socket in due {
            if let Ok(len) = socket.recv(&mut buffer)
                && let Some(bytes) = buffer.get(..len)
            {
                let _ = socket.send(bytes);
            }
        }
    }
}
