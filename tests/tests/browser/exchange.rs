//! Pages with JsSIP and SIP.js as clients of jambonz applications.

use phone::Mouth;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::browser::{Browsers, Library, Microphone, Opening, PagePhone, Site};
use system_tests::ears::voice;
use system_tests::jambonz::app::Told;
use system_tests::jambonz::exchange::Exchange;

use super::crowd::{Ear, Person, TONES, hears};

const LIBRARIES: [Library; 2] = [Library::JsSip, Library::SipJs];

struct Stage {
    site: Site,
    browsers: Browsers,
    exchange: Exchange,
}

impl Stage {
    async fn open() -> Self {
        let (browsers, site) = (Browsers::start().await, Site::start().await);
        let exchange = Exchange::with(site.allowed(Exchange::options())).await;
        Self { site, browsers, exchange }
    }

    /// A registered page, and an application of its own that runs these verbs; its sid.
    async fn phone(&self, library: Library, verbs: Value) -> (PagePhone, String) {
        self.phone_saying(library, verbs, Microphone::Silence).await
    }

    async fn phone_saying(&self, library: Library, verbs: Value, says: Microphone) -> (PagePhone, String) {
        let name = library.name();
        let hook = json!({ "url": self.exchange.app.ws(&format!("/call/{name}")), "method": "WS" });
        let sid = self.exchange.application(name, hook.clone(), hook, json!({})).await;
        self.exchange.app.verbs(&format!("/call/{name}"), verbs);
        self.exchange.client(name).await;
        let page = PagePhone::open(&self.browsers, &self.site, name, library, Opening::default().saying(says)).await;
        page.register(&self.exchange.office.server, name, &self.exchange.office.account.realm).await;
        (page, sid)
    }

    fn address(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.exchange.office.account.realm)
    }

    async fn session(&self, name: &str, mark: usize) -> Told {
        let path = format!("/call/{name}");
        let is = |told: &Told| told.name == path && told.kind == "session:new";
        self.exchange.app.told().expect(&format!("a session at {path}"), mark, SOON, is).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_of_the_page_chooses_the_application_and_it_gets_all_of_them() {
    let stage = Stage::open().await;
    for library in LIBRARIES {
        let (page, sid) = stage.phone(library, json!([{ "verb": "pause", "length": 60 }])).await;
        let name = library.name();
        let mark = stage.exchange.app.mark();
        page.calls(&stage.address("whatever"), &[("X-Application-Sid", &sid), ("X-Case", "seven")]).await;
        let told = stage.session(name, mark).await;
        assert_eq!(told.data["sip"]["headers"]["X-Case"], "seven", "{name}: {:#}", told.data["sip"]["headers"]);
        assert_eq!(page.state().await["headers"]["uuid"], json!(told.call_sid), "{name}");
        page.run("hangUp()").await;
        page.call_is("ended").await;
        page.tab.close().await;
    }
    stage.exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_from_the_page_is_told_to_the_program_which_decides() {
    let stage = Stage::open().await;
    for library in LIBRARIES {
        let hook = format!("/dial-refer/{}", library.name());
        let verbs = json!([{ "verb": "config", "referHook": hook }, { "verb": "pause", "length": 60 }]);
        let (page, sid) = stage.phone(library, verbs).await;
        stage.exchange.app.verbs(&hook, json!([{ "verb": "pause", "length": 60 }]));
        let mark = stage.exchange.app.mark();
        page.calls(&stage.address(&format!("app-{sid}")), &[]).await;
        let told = stage.session(library.name(), mark).await;
        page.run("refer('sip:desk@example.com')").await;
        let asked = stage.exchange.app.hears(&told.call_sid, &hook, mark, |_| true).await;
        let details = &asked.data["refer_details"];
        assert_eq!(
            (&details["refer_to_user"], &details["referring_call_sid"]),
            (&json!("desk"), &json!(told.call_sid))
        );
        page.tab.until("window.phone.state.referred === 200").await;
        page.run("hangUp()").await;
        page.call_is("ended").await;
        page.tab.close().await;
    }
    stage.exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_acts_on_a_transfer_from_the_page_has_the_caller_hear_the_next_one() {
    let [customer, agent, desk, _] = TONES;
    let stage = Stage::open().await;
    let exchange = &stage.exchange;
    let next = exchange.phone("desk", voice(desk)).await;
    for library in LIBRARIES {
        let (name, hook) = (library.name(), format!("/dial-refer/{}", library.name()));
        let (page, _) = stage.phone_saying(library, json!([]), Microphone::Tone(agent)).await;
        let to = |user: &str| json!([{ "type": "user", "name": stage.address(user).trim_start_matches("sip:") }]);
        let dial = json!([{ "verb": "dial", "target": to(name), "answerOnBridge": true, "referHook": hook }]);
        let caller = format!("caller-{name}");
        exchange.app.verbs(&format!("/call/{caller}"), dial);
        exchange.app.verbs(&hook, json!([]));
        let path = format!("/moved/{name}");
        exchange.app.verbs(&path, json!([{ "verb": "dial", "target": to("desk"), "answerOnBridge": true }]));
        let phone = exchange.phone(&caller, voice(customer)).await;
        let dialler = exchange.dials(&caller, phone).await;
        page.rings().await;
        page.run("answer()").await;
        page.call_is("live").await;
        dialler.answered().await;
        let ear = dialler.call.ear();
        let talks = [
            Person { name: "caller", ear: Ear::Phone(&ear), tone: customer },
            Person { name, ear: Ear::Tab(&page.tab), tone: agent },
        ];
        hears("before the transfer", &talks, &[("caller", name), (name, "caller")]).await;
        let mark = exchange.app.mark();
        page.run(&format!("refer({})", json!(stage.address("desk")))).await;
        let asked = exchange.app.told().expect("the transfer", mark, SOON, |told| told.name == hook).await;
        assert_eq!(asked.data["refer_details"]["refer_to_user"], "desk", "{:#}", asked.data);
        page.tab.until("window.phone.state.referred === 200").await;
        // The program does it: the caller's call goes on with other verbs.
        exchange.rest.update(&dialler.sid, json!({ "call_hook": exchange.app.http(&path) })).await;
        let incoming =
            next.incoming(SOON).await.unwrap_or_else(|| panic!("{name}: the next one's phone does not ring"));
        let call = incoming.answer().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        page.call_is("ended").await;
        let theirs = call.ear();
        let talks = [
            Person { name: "caller", ear: Ear::Phone(&ear), tone: customer },
            Person { name: "desk", ear: Ear::Phone(&theirs), tone: desk },
            Person { name, ear: Ear::Tab(&page.tab), tone: agent },
        ];
        hears("after the transfer", &talks, &[("caller", "desk"), ("desk", "caller")]).await;
        call.hangup().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        page.tab.close().await;
    }
    stage.exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_dialled_by_a_verb_and_its_answer_is_told() {
    let stage = Stage::open().await;
    for library in LIBRARIES {
        let (page, _) = stage.phone(library, json!([])).await;
        let target = json!([{ "type": "user", "name": stage.address(library.name()).trim_start_matches("sip:") }]);
        let dial = json!([{ "verb": "dial", "target": target, "answerOnBridge": true, "actionHook": "/dial/done" }]);
        let name = format!("dialler-{}", library.name());
        stage.exchange.app.verbs(&format!("/call/{name}"), dial);
        let phone = stage.exchange.phone(&name, Mouth::Silence).await;
        let dialler = stage.exchange.dials(&name, phone).await;
        page.rings().await;
        page.run("answer()").await;
        page.call_is("live").await;
        dialler.answered().await;
        page.run("hangUp()").await;
        let done = stage.exchange.app.hears(&dialler.sid, "/dial/done", dialler.mark, |_| true).await;
        assert_eq!(done.text("dial_call_status"), "completed", "{:#}", done.data);
        page.tab.close().await;
    }
    stage.exchange.closes().await;
}
