//! When packets arrive: what was said as a whisper stays one, wherever it has to wait.

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use common::{Client, PATIENCE, call, call_over_tcp, config, runtime, talk};
use media::PathPacket;
use webrtc::{WebRtc, WebRtcConfig};

/// Whoever wakes this stands still until he may go on.
struct Barrier {
    reached: SyncSender<()>,
    open: Mutex<Receiver<()>>,
}

impl Wake for Barrier {
    fn wake(self: Arc<Self>) {
        if self.reached.try_send(()).is_ok() {
            let _ = self.open.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(PATIENCE);
        }
    }
}

/// What a client said just before a moment and, if `also`, just after it, while the thread of its leg stood still all that time; the
/// moment, on the media plane's clock.
fn said_to_a_standing_thread(tcp: bool, also: bool) -> (Vec<PathPacket>, Duration) {
    let runtime = runtime();
    let clock = Instant::now();
    let engine = WebRtc::start(WebRtcConfig { clock, ..config() }).expect("an engine");
    let mut client = Client::new();
    let mut leg =
        if tcp { call_over_tcp(&runtime, &engine, &mut client) } else { call(&runtime, &engine, &mut client) };
    talk(&mut client, &mut leg.media, 5);
    let mut bystander = Client::new();
    let mut other = call(&runtime, &engine, &mut bystander);

    let ((reached, stands), (open, barred)) = (sync_channel(1), sync_channel(1));
    let waker = Waker::from(Arc::new(Barrier { reached, open: Mutex::new(barred) }));
    let mut end = pin!(other.events.next());
    assert!(end.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    bystander.rtc.close().expect("closing");
    bystander.until("the thread stands still, telling of the end", |_| stands.try_recv().is_ok());

    client.say(b"a whisper");
    client.drain();
    let moment = clock.elapsed();
    std::thread::sleep(Duration::from_millis(50));
    if also {
        client.say(b"aloud");
        client.drain();
    }
    open.send(()).expect("the thread waits");
    let mut heard = Vec::new();
    client.until("all is heard", |_| {
        // Some of the talk before may still come.
        let said = |packet: &PathPacket| [&b"a whisper"[..], b"aloud"].contains(&packet.payload());
        heard.extend(std::iter::from_fn(|| leg.media.receive()).filter(said));
        heard.len() == 1 + usize::from(also)
    });
    assert_eq!(heard[0].payload(), b"a whisper");
    (heard, moment)
}

#[test]
fn a_whisper_that_waits_in_the_socket_of_the_webrtc_thread_stays_a_whisper() {
    let (heard, moment) = said_to_a_standing_thread(false, true);
    assert!(heard[0].arrival <= moment, "{:?} after {moment:?}", heard[0].arrival);
    assert!(heard[1].arrival > moment, "{:?} before {moment:?}: what is said later counts as later", heard[1].arrival);
}

#[test]
fn a_whisper_that_waits_in_a_tcp_stream_stays_a_whisper() {
    for also in [false, true] {
        let (heard, moment) = said_to_a_standing_thread(true, also);
        assert!(heard[0].arrival <= moment, "{:?} after {moment:?}, also: {also}", heard[0].arrival);
    }
}
