//! Each library as customer, agent and supervisor in turn, in one room with a telephone that SIPp signals for: through all modes, judged by what was
//! sent to each of the four.

use std::net::{IpAddr, Ipv4Addr};

use phone::Codec;
use phone::capture::RtpEndpoint;
use system_tests::browser::{Library, Microphone, PagePhone, Scene, instant};
use system_tests::ears::voice;
use system_tests::office::DOMAIN;
use system_tests::tool::{Scratch, Tool, package_dir};
use tokio::process::Command;

use super::crowd::{Ear, Person, STRETCH, comes_to_hear};
use super::desk::Desk;
use super::stage::TALK_OF_THREE;

/// Voices of the three pages and of the telephone, Hz: far from one another for Opus, and no distortion of G.711 makes one out of others.
const TONES: [u32; 4] = [900, 1_900, 3_100, 500];

type Pairs = [(&'static str, &'static str)];

const TALK: &Pairs = TALK_OF_THREE;
const LISTENS: &Pairs = &[("supervisor", "customer"), ("supervisor", "agent"), ("supervisor", "second")];
const WHISPERS: &Pairs = &[("agent", "supervisor"), ("second", "supervisor")];
const SPEAKS: &Pairs = &[("customer", "supervisor")];
const TAKES_OVER: &Pairs = &[("customer", "supervisor"), ("supervisor", "customer")];

/// SIPp as an endpoint with a password; it registers, calls `hotline` and stays. It cannot keep what it receives, so its sound comes and goes at a
/// port of ours, which its SDP names.
fn sipp(desk: &Desk, folder: &Scratch, rtp_port: u16) -> Tool {
    let port = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    let port = port.map(|address| address.port()).unwrap_or_else(|error| panic!("no port: {error}")).to_string();
    let (server, rtp_port) = (desk.office.server.at().sip_udp.to_string(), rtp_port.to_string());
    let mut command = Command::new("sipp");
    command.arg("-sf").arg(package_dir().join("scenarios/endpoint.xml")).current_dir(folder.path());
    command.args([
        server.as_str(),
        "-i",
        "127.0.0.1",
        "-p",
        &port,
        "-m",
        "1",
        "-nostdin",
        "-timeout",
        "240s",
        "-timeout_error",
    ]);
    for (key, value) in [
        ("rtp_port", rtp_port.as_str()),
        ("user", "sipp"),
        ("domain", DOMAIN),
        ("number", "hotline"),
        ("agent", "SIPp"),
    ] {
        command.args(["-key", key, value]);
    }
    Tool::start("sipp", &mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_library_is_customer_agent_and_supervisor_beside_sipp_and_hears_in_each_mode_exactly_those_it_may() {
    let desk = Desk::open().await;
    let office = &desk.office;
    let mut pages: Vec<PagePhone> = Vec::new();
    for (library, tone) in Library::ALL.into_iter().zip(TONES) {
        pages.push(desk.phone(library, Microphone::Tone(tone)).await);
    }
    let app = office.server.application(&office.account, "sipp", &office.program.url("/answer/sipp"), &[]).await;
    office.server.endpoint(&office.account, "sipp", Some(&app)).await;
    for turn in 0..pages.len() {
        let [customer, agent, supervisor] = [0, 1, 2].map(|role| (turn + role) % pages.len());
        let who = |page: usize| pages[page].tab.name();
        let cast = format!("{} calls, {} answers, {} supervises", who(customer), who(agent), who(supervisor));
        let mark = office.program.mark();
        desk.calls_in(&pages[customer], "Customer", "").await;
        let folder = Scratch::new("sipp");
        let rtp = RtpEndpoint::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), Codec::Pcmu)
            .unwrap_or_else(|error| panic!("no ear: {error}"));
        rtp.say(voice(TONES[3])).await.unwrap_or_else(|error| panic!("no mouth: {error}"));
        office.room_document("sipp", "room", "Agent", "");
        let _sipp = sipp(&desk, &folder, rtp.port());
        let joined = |role: &'static str| {
            office.program.event("ParticipantJoin", mark, move |told| told.param("ParticipantRole") == role)
        };
        joined("agent").await;
        desk.calls_in(&pages[agent], "Agent", "").await;
        let room = joined("customer").await.param("MPCUUID").to_owned();
        let number = desk.adds(&pages[supervisor], &room, "supervisor").await.param("MemberID").to_owned();
        let person = |name, page: usize| Person { name, ear: Ear::Tab(&pages[page].tab), tone: TONES[page] };
        let people = [
            person("customer", customer),
            person("agent", agent),
            person("supervisor", supervisor),
            Person { name: "second", ear: Ear::Phone(rtp.ear()), tone: TONES[3] },
        ];
        // Everybody is there: SIPp's telephone learns where to send from what it receives.
        comes_to_hear(&cast, people[0].ear, TONES[3]).await;
        comes_to_hear(&cast, people[3].ear, TONES[customer]).await;
        let mut scene = Scene::of(&people);
        for (mode, allowed) in [
            ("barge", [TALK, LISTENS, WHISPERS, SPEAKS].concat()),
            ("whisper", [TALK, LISTENS, WHISPERS].concat()),
            ("takeover", TAKES_OVER.to_vec()),
            ("stop", [TALK, LISTENS].concat()),
            ("whisper", [TALK, LISTENS, WHISPERS].concat()),
            ("monitor", [TALK, LISTENS].concat()),
        ] {
            let answer = office.native.mode(&room, &number, mode).await;
            let at = instant(answer["applied_at"].as_str().unwrap_or_default());
            scene.begins(&format!("{cast}: {mode}"), at, &allowed);
            scene.lasts(STRETCH).await;
        }
        scene.is_as_it_should_be_and_no_other_way().await;
        office.native.delete(&format!("/rooms/{room}")).await;
        for page in &pages {
            page.call_is("ended").await;
        }
    }
}
