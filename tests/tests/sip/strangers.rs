//! Packets from those who are not in the call.

use std::net::{IpAddr, Ipv4Addr};

use phone::capture::RtpEndpoint;
use phone::{Codec, Mouth};
use system_tests::SOON;
use system_tests::ears::{hears, never_heard_since, silent_since_invite, tones, voice};
use system_tests::office::Office;

#[tokio::test(flavor = "multi_thread")]
async fn rtp_from_another_address_or_port_is_never_heard_and_draws_no_sound() {
    let [a, stranger, _] = tones::<3>();
    let office = Office::open().await;
    let first = office.joins("first", "room", "Customer", "", Mouth::Silence).await;
    let second = office.joins("second", "room", "Agent", "", Mouth::Silence).await;
    let target = first.call.remote().and_then(|remote| remote.address).expect("the call has no media address");
    let mut strangers = Vec::new();
    for ip in [Ipv4Addr::new(127, 0, 0, 9), Ipv4Addr::LOCALHOST] {
        let spray = RtpEndpoint::bind(IpAddr::V4(ip), Codec::Pcmu).unwrap();
        spray.say(voice(stranger)).await.unwrap();
        spray.send_to(target).unwrap();
        strangers.push(spray);
    }
    assert!(second.call.ear().wait_more(100, SOON).await);
    silent_since_invite("a stranger was heard", &second.call).await;
    for spray in &strangers {
        assert!(spray.line().sent().packets > 50, "the stranger has not sent");
        assert_eq!(spray.ear().counters().received, 0, "a stranger receives the call");
    }
    // The rightful phone is still heard, and only it.
    first.speaks(a).await;
    hears("the phone speaks", &[first.heard(Some(a)), second.heard(None)], &[("second", "first")]).await;
    never_heard_since("the phone speaks", &second.call, stranger, second.call.ear().packets()[0].at).await;
}
