//! Other people's SIP: sipp with scenarios of its own dialect, baresip as it is packaged; what they hear is measured by the same ears.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use phone::Codec;
use phone::analysis::{Track, levels_20ms};
use phone::capture::RtpEndpoint;
use serde_json::json;
use system_tests::SOON;
use system_tests::capture::Capture;
use system_tests::ears::{SPEAKING, tones, voice};
use system_tests::office::{DOMAIN, Office};
use system_tests::program::tone_wav;
use system_tests::server::{PASSWORD, ServerOptions};
use system_tests::tool::{Scratch, Tool, package_dir};
use tokio::process::Command;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A UDP port that is free now. Tools that bind it themselves get it a moment later.
fn free_port() -> u16 {
    let socket = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap();
    socket.local_addr().unwrap().port()
}

fn sipp(folder: &Scratch, scenario: &str, arguments: &[&str]) -> Tool {
    let mut command = Command::new("sipp");
    command.arg("-sf").arg(package_dir().join("scenarios").join(scenario)).args(arguments);
    command.args(["-m", "1", "-nostdin", "-timeout", "60s", "-timeout_error", "-trace_err"]).current_dir(folder.path());
    Tool::start("sipp", &mut command)
}

async fn heard_at_level(what: &str, ear: &phone::Ear, tone: u32) {
    let heard = ear.wait_heard(tone, -30.0, std::time::Instant::now(), SOON).await;
    assert!(heard.is_some(), "{what}: {tone} Hz is not heard; {:?}", ear.counters());
    assert!(ear.wait_more(50, SOON).await);
    let packets = ear.since(heard.unwrap().at + Duration::from_millis(100));
    let level = levels_20ms(&Track::new(&packets).samples, tone).median();
    assert!((level - SPEAKING).abs() < 1.0, "{what}: {level:.1} dBFS");
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_as_a_carrier_challenges_us_and_gets_the_right_password() {
    let [c, a, _] = tones::<3>();
    let office = Office::open().await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", voice(c)).await;
    let rtp = RtpEndpoint::bind(LOOPBACK, Codec::Pcmu).unwrap();
    rtp.say(voice(a)).await.unwrap();
    let (folder, port) = (Scratch::new("sipp"), free_port());
    let (rtp_port, port_text) = (rtp.port().to_string(), port.to_string());
    let mut sipp =
        sipp(&folder, "carrier-with-digest.xml", &["-i", "127.0.0.1", "-p", &port_text, "-key", "rtp_port", &rtp_port]);
    let arguments = [
        "trunk",
        "create",
        "carrier",
        "--account",
        &office.account.auth_id,
        "--host",
        "127.0.0.1",
        "--port",
        &port_text,
        "--username",
        "aside",
        "--password",
        "trunk-secret",
        "--allow-prefix",
        "1",
        "--allow-caller-id",
        "1",
    ];
    office.server.aside(&arguments).await;
    let mark = office.program.mark();
    let body = json!({ "role": "agent", "from": "14155550100", "to": "14155550177", "enter_sound": "none", "exit_sound": "none",
        "dial_music": "none", "status_callback_url": office.program.url("/events"), "status_callback_method": "POST" });
    office.rest.post(&format!("/MultiPartyCall/uuid_{}/Participant/", customer.room), body).await;
    let joined = office.program.event("ParticipantJoin", mark, |_| true).await;
    heard_at_level("behind sipp", rtp.ear(), c).await;
    heard_at_level("the customer", &customer.call.ear(), a).await;
    office.rest.delete(&format!("/Call/{}/", joined.param("ParticipantCallUUID"))).await;
    assert!(sipp.ended(SOON).await.success(), "{}", sipp.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_as_a_caller_is_heard_and_hears() {
    let [c, a, _] = tones::<3>();
    let office = Office::open().await;
    let agent = office.joins("agent", "room", "Agent", "stayAlone=\"true\"", voice(a)).await;
    office.room_document("number", "room", "Customer", "");
    let app = office.server.application(&office.account, "number", &office.program.url("/answer/number"), &[]).await;
    let account = &office.account.auth_id;
    office.server.aside(&["trunk", "create", "carrier", "--account", account, "--source", "127.0.0.1/32"]).await;
    office.server.aside(&["number", "create", "14155550123", "--account", account, "--app", &app]).await;
    let rtp = RtpEndpoint::bind(LOOPBACK, Codec::Pcma).unwrap();
    rtp.say(voice(c)).await.unwrap();
    let folder = Scratch::new("sipp");
    let (server, port, rtp_port) =
        (office.server.at().sip_udp.to_string(), free_port().to_string(), rtp.port().to_string());
    let arguments =
        [&server, "-i", "127.0.0.1", "-p", &port, "-key", "rtp_port", &rtp_port, "-key", "number", "14155550123"];
    let mut sipp = sipp(&folder, "caller.xml", &arguments);
    let joined = office.program.event("ParticipantJoin", 0, |event| event.param("ParticipantRole") == "customer").await;
    // The endpoint learns where to send from the first packet that it receives; until then it says nothing.
    heard_at_level("behind sipp", rtp.ear(), a).await;
    heard_at_level("the agent", &agent.call.ear(), c).await;
    office.rest.delete(&format!("/Call/{}/", joined.param("ParticipantCallUUID"))).await;
    assert!(sipp.ended(SOON).await.success(), "{}", sipp.transcript());
}

/// sipp as an endpoint with a password: it registers and calls `hotline`.
fn sipp_endpoint(folder: &Scratch, office: &Office, port: u16, rtp_port: u16, agent: &str) -> Tool {
    let (server, port, rtp_port) = (office.server.at().sip_udp.to_string(), port.to_string(), rtp_port.to_string());
    let keys = [
        ("rtp_port", rtp_port.as_str()),
        ("user", "sipp"),
        ("domain", DOMAIN),
        ("number", "hotline"),
        ("agent", agent),
    ];
    let mut arguments = vec![server.as_str(), "-i", "127.0.0.1", "-p", &port];
    for (key, value) in keys {
        arguments.extend(["-key", key, value]);
    }
    sipp(folder, "endpoint.xml", &arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_as_an_endpoint_registers_calls_is_heard_and_hears() {
    let [c, a, _] = tones::<3>();
    let office = Office::open().await;
    let agent = office.joins("agent", "room", "Agent", "stayAlone=\"true\"", voice(a)).await;
    office.room_document("sipp", "room", "Customer", "");
    let app = office.server.application(&office.account, "sipp", &office.program.url("/answer/sipp"), &[]).await;
    office.server.endpoint(&office.account, "sipp", Some(&app)).await;
    let rtp = RtpEndpoint::bind(LOOPBACK, Codec::Pcmu).unwrap();
    rtp.say(voice(c)).await.unwrap();
    let folder = Scratch::new("sipp");
    let mut sipp = sipp_endpoint(&folder, &office, free_port(), rtp.port(), "SIPp");
    let joined = office.program.event("ParticipantJoin", 0, |event| event.param("ParticipantRole") == "customer").await;
    heard_at_level("behind sipp", rtp.ear(), a).await;
    heard_at_level("the agent", &agent.call.ear(), c).await;
    office.rest.delete(&format!("/Call/{}/", joined.param("ParticipantCallUUID"))).await;
    assert!(sipp.ended(SOON).await.success(), "{}", sipp.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_fails_at_a_challenge_it_does_not_know_gets_one_that_it_does_the_next_time() {
    let office = Office::open().await;
    office.program.document("/answer/sipp", r#"<GetDigits timeout="1"/>"#);
    let app = office.server.application(&office.account, "sipp", &office.program.url("/answer/sipp"), &[]).await;
    office.server.endpoint(&office.account, "sipp", Some(&app)).await;
    let (folder, port) = (Scratch::new("sipp"), free_port());
    let mut first = sipp_endpoint(&folder, &office, port, 4000, "somebody");
    assert!(!first.ended(SOON).await.success(), "this sipp knows SHA-256, and this test shows nothing");
    // What comes within a second was sent before the first challenge could be answered.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let mut second = sipp_endpoint(&folder, &office, port, 4000, "somebody");
    assert!(second.ended(SOON * 2).await.success(), "{}", second.transcript());
    office.server.metric_becomes("aside_sip_bindings_bound", 1.0).await;
}

/// baresip with one account and a tone for a voice.
fn baresip(folder: &Scratch, account: &str, sip_port: u16, rtp_port: u16, tone: u32) -> Tool {
    let tone_file = folder.path().join("tone.wav");
    std::fs::write(&tone_file, tone_wav(tone, SPEAKING, 120)).unwrap();
    let config = format!(
        "sip_listen 127.0.0.1:{sip_port}\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aufile.so\nmodule aubridge.so\n\
         module_app account.so\nmodule_app menu.so\naudio_source aufile,{}\naudio_player aubridge,nowhere\n\
         audio_alert aubridge,nowhere\nrtp_ports {rtp_port}-{}\n",
        tone_file.display(),
        rtp_port + 9
    );
    std::fs::write(folder.path().join("config"), config).unwrap();
    std::fs::write(folder.path().join("accounts"), format!("{account}\n")).unwrap();
    let mut command = Command::new("baresip");
    command.arg("-f").arg(folder.path());
    Tool::start("baresip", &mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn baresip_registers() {
    let office = Office::open().await;
    office.server.endpoint(&office.account, "baresip", None).await;
    let folder = Scratch::new("baresip");
    let server = office.server.at().sip_udp;
    let account =
        format!("<sip:baresip@{DOMAIN}>;auth_user=baresip;auth_pass={PASSWORD};outbound=\"sip:{server}\";regint=600");
    let baresip = baresip(&folder, &account, free_port(), free_port() & !1, 1000);
    let said = baresip
        .line("the outcome of REGISTER", SOON, |line| {
            line.contains("baresip@") && (line.contains("OK") || line.contains("Register:"))
        })
        .await;
    assert!(said.contains("200 OK"), "{said}");
    office.server.metric_becomes("aside_sip_bindings_bound", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baresip_answers_and_exchanges_sound_as_seen_on_the_wire() {
    let [c, b, _] = tones::<3>();
    // baresip knows no loopback interface and speaks RTP from another address of this machine.
    let office = Office::with(ServerOptions::default().set("media", "bind", "\"0.0.0.0\"")).await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", voice(c)).await;
    let (folder, sip_port, rtp_port) = (Scratch::new("baresip"), free_port(), free_port() & !1);
    let account = "<sip:14155550177@127.0.0.1>;regint=0;answermode=auto;audio_codecs=PCMU";
    let mut capture = Capture::start(&format!("udp portrange {rtp_port}-{}", rtp_port + 9)).await;
    let mut baresip = baresip(&folder, account, sip_port, rtp_port, b);
    baresip.line("its start", SOON, |line| line.contains("baresip is ready")).await;
    let port = sip_port.to_string();
    let trunk = [
        "trunk",
        "create",
        "desk",
        "--account",
        &office.account.auth_id,
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--allow-prefix",
        "1",
        "--allow-caller-id",
        "1",
    ];
    office.server.aside(&trunk).await;
    let mark = office.program.mark();
    let body = json!({ "role": "agent", "from": "14155550100", "to": "14155550177", "enter_sound": "none", "exit_sound": "none",
        "dial_music": "none", "status_callback_url": office.program.url("/events"), "status_callback_method": "POST" });
    office.rest.post(&format!("/MultiPartyCall/uuid_{}/Participant/", customer.room), body).await;
    let joined = office.program.event("ParticipantJoin", mark, |_| true).await;
    let heard = customer.call.ear().wait_heard(b, -45.0, std::time::Instant::now(), SOON).await;
    assert!(heard.is_some(), "the customer does not hear baresip\n{}", baresip.transcript());
    heard_at_level("the customer", &customer.call.ear(), b).await;
    if let Some(capture) = &mut capture {
        let is_ours = |stream: &phone::capture::Stream| (rtp_port..rtp_port + 10).contains(&stream.to.port());
        let wire = capture.until(SOON, |pcap| pcap.streams(100).iter().any(is_ours)).await;
        let stream = wire.streams(100).into_iter().find(is_ours).unwrap();
        let samples = Track::new(&wire.to_port(stream.to.port(), &[])).samples;
        let level = levels_20ms(&samples[samples.len() / 2..], c).median();
        assert!((level - SPEAKING).abs() < 1.0, "baresip receives the customer at {level:.1} dBFS");
        assert!(levels_20ms(&samples, b).max() < phone::analysis::SILENT_20MS_DBFS, "baresip receives itself");
    }
    office.rest.delete(&format!("/Call/{}/", joined.param("ParticipantCallUUID"))).await;
    office.program.event("ParticipantExit", mark, |_| true).await;
    baresip.kill().await;
}
