//! Phones made with JsSIP, SIP.js and plivo-browser-sdk, unmodified, and what the program is told of their calls.

use phone::Mouth;
use serde_json::json;
use system_tests::SOON;
use system_tests::browser::{Library, Microphone};
use system_tests::ears::voice;
use system_tests::office::DOMAIN;
use system_tests::program::{Asked, Reply, tone_wav};

use super::crowd::{Ear, Person, TONES, hears};
use super::desk::{Desk, HOTLINE};

const PAGE: u32 = TONES[0];
const PHONE: u32 = TONES[1];

#[tokio::test(flavor = "multi_thread")]
async fn each_library_registers_and_calls_in_with_headers_that_reach_the_program() {
    let desk = Desk::open().await;
    for library in Library::ALL {
        let page = desk.phone(library, Microphone::Silence).await;
        let name = library.name();
        let path = format!("/answer/{name}");
        desk.office.program.document(&path, "<Wait length=\"120\"/>");
        let mark = desk.office.program.mark();
        page.calls(HOTLINE, &[("X-PH-Note", "north"), ("X-PH-Case", "7")]).await;
        let asked = desk.office.program.asked().expect("instructions", mark, SOON, |asked| asked.path == path).await;
        assert_eq!((asked.param("X-PH-Note"), asked.param("X-PH-Case")), ("north", "7"), "{name}: {asked:?}");
        assert_eq!(asked.param("From"), format!("sip:{name}@{DOMAIN}"), "{name}: {asked:?}");
        assert_eq!(asked.param("Direction"), "inbound", "{name}: {asked:?}");
        let state = page.state().await;
        assert_eq!(state["headers"]["uuid"], asked.param("CallUUID"), "{name} does not see its X-CallUUID: {state}");
        // From its side, then from the program's.
        page.run("hangUp()").await;
        let over = desk.hung_up(&page, mark).await;
        assert_eq!((over.param("HangupCauseCode"), over.param("HangupSource")), ("4000", "Caller"), "{name}: {over:?}");
        page.call_is("ended").await;
        let mark = desk.office.program.mark();
        page.calls(HOTLINE, &[]).await;
        let asked = desk.office.program.asked().expect("instructions", mark, SOON, |asked| asked.path == path).await;
        desk.office.rest.delete(&format!("/Call/{}/", asked.param("CallUUID"))).await;
        page.call_is("ended").await;
        let over = desk.hung_up(&page, mark).await;
        assert_eq!(over.param("HangupSource"), "API Request", "{name}: {over:?}");
        page.tab.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_library_is_called_answers_is_heard_and_hears() {
    let desk = Desk::open().await;
    let caller = desk.telephone("caller", "Customer", voice(PHONE)).await;
    let ear = caller.call.ear();
    for library in Library::ALL {
        let page = desk.phone(library, Microphone::Tone(PAGE)).await;
        let name = library.name();
        let people = [
            Person { name, ear: Ear::Tab(&page.tab), tone: PAGE },
            Person { name: "caller", ear: Ear::Phone(&ear), tone: PHONE },
        ];
        let joined = desk.adds(&page, &caller.room, "agent").await;
        let state = page.state().await;
        let known = if library == Library::Plivo { &state["incoming"] } else { &state["headers"]["uuid"] };
        assert_eq!(*known, joined.param("ParticipantCallUUID"), "{name} does not see its X-CallUUID: {state}");
        let note = if library == Library::Plivo { &state["headers"]["X-Ph-Note"] } else { &state["headers"]["extra"] };
        assert_eq!(*note, "south", "{name} does not see the program's header: {state}");
        hears(&format!("{name} was added"), &people, &[(name, "caller"), ("caller", name)]).await;
        // The program takes him out: his page says so.
        let mark = desk.office.program.mark();
        desk.office.rest.delete(&format!("/Call/{}/", joined.param("ParticipantCallUUID"))).await;
        page.call_is("ended").await;
        let exit = |told: &Asked| told.param("MemberID") == joined.param("MemberID");
        desk.office.program.event("ParticipantExit", mark, exit).await;
        page.tab.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_on_hold_is_silent_both_ways_and_sounds_again_afterwards() {
    let desk = Desk::open().await;
    let caller = desk.telephone("caller", "Customer", voice(PHONE)).await;
    let ear = caller.call.ear();
    for library in [Library::JsSip, Library::SipJs] {
        let page = desk.phone(library, Microphone::Tone(PAGE)).await;
        let name = library.name();
        let (tab, phone) = (Ear::Tab(&page.tab), Ear::Phone(&ear));
        desk.calls_in(&page, "Agent", "").await;
        let both = [Person { name, ear: tab, tone: PAGE }, Person { name: "caller", ear: phone, tone: PHONE }];
        hears(&format!("{name} before the hold"), &both, &[(name, "caller"), ("caller", name)]).await;
        page.run("hold(true)").await;
        page.tab.until("window.phone.state.held === true").await;
        let held = phone.hears(&[PAGE]).await[0];
        let held = if held.is_silent() { held } else { phone.hears(&[PAGE]).await[0] };
        assert!(held.is_silent(), "{name} is on hold and is heard: {held:?}");
        // The direction is sendonly: the server sends him nothing at all.
        let sent = page.tab.eval(INBOUND).await.as_u64();
        assert!(phone.hears(&[PAGE]).await[0].is_silent(), "{name} is on hold and is heard");
        assert_eq!(page.tab.eval(INBOUND).await.as_u64(), sent, "{name} is on hold and is sent sound");
        page.run("hold(false)").await;
        page.tab.until("window.phone.state.held === false").await;
        tab.comes_to_hear(name, PHONE).await;
        hears(&format!("{name} after the hold"), &both, &[(name, "caller"), ("caller", name)]).await;
        let mark = desk.office.program.mark();
        page.run("hangUp()").await;
        desk.hung_up(&page, mark).await;
        page.tab.close().await;
    }
}

/// Packets of sound that the page has received.
const INBOUND: &str = "Promise.all(window.__peers.map((peer) => peer.getStats())).then((reports) => reports.flatMap((report) => [...report.values()])
    .filter(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio').reduce((sum, { packetsReceived }) => sum + packetsReceived, 0))";

#[tokio::test(flavor = "multi_thread")]
async fn keys_reach_the_program_by_info_and_as_rtp_events() {
    let desk = Desk::open().await;
    for library in Library::ALL {
        let page = desk.phone(library, Microphone::Silence).await;
        let name = library.name();
        let digits = desk.office.program.url(&format!("/digits/{name}"));
        let prompt = format!("<Play loop=\"20\">{}</Play>", desk.office.program.url("/prompt.wav"));
        desk.office.program.reply("/prompt.wav", Reply::Plain(200, "audio/wav", tone_wav(PHONE, -20.0, 1)));
        let gather = format!("<GetDigits action=\"{digits}\" numDigits=\"3\" timeout=\"10\">{prompt}</GetDigits>");
        desk.office.program.document(&format!("/answer/{name}"), &gather);
        desk.office.program.document(&format!("/digits/{name}"), &gather);
        let ways: &[&str] = if library == Library::Plivo { &["dtmf"] } else { &["dtmf", "event"] };
        page.calls(HOTLINE, &[]).await;
        for way in ways {
            Ear::Tab(&page.tab).comes_to_hear(name, PHONE).await;
            let mark = desk.office.program.mark();
            // RTP events are made by the browser, which forgets those that are not sent yet when it is given others.
            let presses: &[&str] = if *way == "event" { &["429"] } else { &["4", "2", "9"] };
            for keys in presses {
                page.run(&format!("{way}('{keys}')")).await;
            }
            let path = format!("/digits/{name}");
            let told = desk.office.program.asked().expect("digits", mark, SOON, |asked| asked.path == path).await;
            assert_eq!(told.param("Digits"), "429", "{name} by {way}: {told:?}");
        }
        page.tab.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_and_the_page_says_so() {
    let desk = Desk::open().await;
    for library in Library::ALL {
        let page = desk.page(library, Microphone::Silence).await;
        let wanted = json!({
            "websocket": format!("ws://{}/sip", desk.office.server.at().api), "user": library.name(), "password": "wrong-horse-7",
            "domain": DOMAIN,
        });
        page.run(&format!("start({wanted})")).await;
        page.tab.until("window.phone.state.registered || window.phone.state.failed").await;
        let state = page.state().await;
        assert!(state["registered"] == false && state["failed"] != json!(null), "{library:?}: {state}");
        page.tab.close().await;
    }
    desk.office.server.metric_becomes("aside_sip_bindings_bound", 0.0).await;
}

const TALK: [(&str, &str); 6] = [
    ("customer", "agent"),
    ("customer", "second"),
    ("agent", "customer"),
    ("agent", "second"),
    ("second", "customer"),
    ("second", "agent"),
];

#[tokio::test(flavor = "multi_thread")]
async fn one_page_of_each_library_and_a_telephone_hear_in_each_mode_exactly_those_they_may() {
    let desk = Desk::open().await;
    let [c, a, s, t] = TONES;
    let customer = desk.phone(Library::JsSip, Microphone::Tone(c)).await;
    let agent = desk.phone(Library::SipJs, Microphone::Tone(a)).await;
    let supervisor = desk.phone(Library::Plivo, Microphone::Tone(s)).await;
    let telephone = desk.telephone("telephone", "Agent", voice(t)).await;
    let ear = telephone.call.ear();
    let person = |name, ear, tone| Person { name, ear, tone };
    let people = [
        person("customer", Ear::Tab(&customer.tab), c),
        person("agent", Ear::Tab(&agent.tab), a),
        person("supervisor", Ear::Tab(&supervisor.tab), s),
        person("second", Ear::Phone(&ear), t),
    ];
    desk.calls_in(&customer, "Customer", "").await;
    desk.calls_in(&agent, "Agent", "").await;
    let talking = [people[0], people[1], people[3]];
    hears("talk", &talking, &TALK).await;
    let joined = desk.adds(&supervisor, &telephone.room, "supervisor").await;
    let (room, number) = (&telephone.room, joined.param("MemberID"));
    let listens = [("supervisor", "customer"), ("supervisor", "agent"), ("supervisor", "second")];
    let whispers = [("agent", "supervisor"), ("second", "supervisor")];
    let barges = [("customer", "supervisor")];
    let of = |parts: &[&[(&'static str, &'static str)]]| parts.concat();
    for (mode, allowed) in [
        ("whisper", of(&[&TALK, &listens, &whispers])),
        ("barge", of(&[&TALK, &listens, &whispers, &barges])),
        ("monitor", of(&[&TALK, &listens])),
        ("whisper", of(&[&TALK, &listens, &whispers])),
    ] {
        desk.office.native.mode(room, number, mode).await;
        hears(mode, &people, &allowed).await;
    }
    // The telephone falls silent, and nothing of him is left anywhere.
    telephone.says(Mouth::Silence).await;
    let talk: Vec<_> =
        of(&[&TALK, &listens, &whispers]).into_iter().filter(|(_, speaker)| *speaker != "second").collect();
    hears("the telephone is silent", &people, &talk).await;
}
