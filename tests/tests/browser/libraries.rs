//! Phones made with JsSIP, SIP.js and plivo-browser-sdk, unmodified, and what the program is told of their calls.

use serde_json::json;
use system_tests::SOON;
use system_tests::browser::{Browsers, Library, Microphone, Scene, Site, now};
use system_tests::ears::voice;
use system_tests::office::{DOMAIN, Office};
use system_tests::program::{Asked, Reply, tone_wav};
use system_tests::server::ServerOptions;

use super::crowd::{Ear, ON_THE_WAY, Person, STRETCH, TONES, comes_to_hear, hears};
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
        // The direction is sendonly: the server sends him nothing at all.
        let sent = page.tab.eval(INBOUND).await.as_u64();
        let mut scene = Scene::of(&both);
        scene.begins(&format!("{name} on hold"), now() + ON_THE_WAY, &[]);
        scene.lasts(STRETCH).await;
        scene.is_as_it_should_be().await;
        assert_eq!(page.tab.eval(INBOUND).await.as_u64(), sent, "{name} is on hold and is sent sound");
        page.run("hold(false)").await;
        page.tab.until("window.phone.state.held === false").await;
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
        desk.office.program.document(&format!("/digits/{name}"), "<Wait length=\"60\"/>");
        let ways: &[&str] = if library == Library::Plivo { &["dtmf"] } else { &["dtmf", "event"] };
        // A call for each: JsSIP keeps a queue of keys in a call, whichever way they go.
        for way in ways {
            page.calls(HOTLINE, &[]).await;
            comes_to_hear(name, Ear::Tab(&page.tab), PHONE).await;
            let mark = desk.office.program.mark();
            // RTP events are made by the browser, which forgets those that are not sent yet when it is given others.
            let presses: &[&str] = if *way == "event" { &["429"] } else { &["4", "2", "9"] };
            for keys in presses {
                page.run(&format!("{way}('{keys}')")).await;
            }
            let path = format!("/digits/{name}");
            let told = desk.office.program.asked().expect("digits", mark, SOON, |asked| asked.path == path).await;
            assert_eq!(told.param("Digits"), "429", "{name} by {way}: {told:?}");
            page.run("hangUp()").await;
            desk.hung_up(&page, mark).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_library_registers_calls_is_heard_and_hears_over_tls() {
    let (browsers, site) = (Browsers::start().await, Site::start().await);
    let options = site.allowed(ServerOptions::default()).set("http", "https", "\"127.0.0.1:0\"");
    let desk = Desk { site, browsers, office: Office::with(options).await };
    let announced =
        desk.office.server.process().out.expect("an announcement", 0, SOON, |line| line.starts_with('{')).await;
    let announced: serde_json::Value = serde_json::from_str(&announced).unwrap_or_default();
    let https = announced["https"].as_str().unwrap_or_else(|| panic!("no HTTPS address: {announced}"));
    let caller = desk.telephone("caller", "Customer", voice(PHONE)).await;
    let ear = caller.call.ear();
    let page = desk.page(Library::JsSip, Microphone::Tone(PAGE)).await;
    page.register_by(&format!("wss://{https}/sip"), "jssip", DOMAIN).await;
    desk.calls_in(&page, "Agent", "").await;
    let people = [
        Person { name: "jssip", ear: Ear::Tab(&page.tab), tone: PAGE },
        Person { name: "caller", ear: Ear::Phone(&ear), tone: PHONE },
    ];
    hears("over TLS", &people, &[("jssip", "caller"), ("caller", "jssip")]).await;
}
