//! The guide's four tasks. The program is `apps/call-centre.mjs`, which uses the npm package `plivo` unmodified and finds this server by
//! environment variables alone.

use phone::{Call, CallOptions, Mouth, Phone, Transport};
use serde_json::Value;
use system_tests::SOON;
use system_tests::ears::{Heard, SETTLING, hears, silent_since_invite, stays_silent, tones, voice};
use system_tests::node::{ByFrontDoor, Script};
use system_tests::office::{DOMAIN, registered};
use system_tests::server::{Server, ServerOptions};

/// The wait music of the application.
const MUSIC: u32 = 600;

struct CallCentre {
    app: Script,
    customer: Phone,
    agent: Phone,
    supervisor: Phone,
    // Ends last.
    server: Server,
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

impl CallCentre {
    /// The whole call centre; `supervisor_task` is where the supervisor's own calls go.
    async fn open(supervisor_task: &str, mouths: [Mouth; 3]) -> Self {
        let (server, account) = Server::start(ServerOptions::default()).await;
        let door = ByFrontDoor::of(&server, &account).await;
        let app = Script::node("call-centre.mjs", &door, &[("SOUNDS", "none")]).await;
        let url = |path: &str| format!("http://callcenter.test:{}{path}", app.port());
        let hangup = url("/hangup/");
        for (name, path) in [("customer", "/add/customer/"), ("agent", "/add/agent/"), ("supervisor", supervisor_task)]
        {
            let id = server.application(&account, name, &url(path), &["--hangup-url", &hangup]).await;
            server.endpoint(&account, name, Some(&id)).await;
        }
        let [customer, agent, supervisor] = mouths;
        let customer = registered(&server, "customer", DOMAIN, customer, Transport::Udp).await;
        let agent = registered(&server, "agent", DOMAIN, agent, Transport::Udp).await;
        let supervisor = registered(&server, "supervisor", DOMAIN, supervisor, Transport::Udp).await;
        Self { app, customer, agent, supervisor, server }
    }

    /// Task 1: the customer calls, the agent is dialled and answers. Returns both calls and the MPCUUID.
    async fn customer_meets_agent(&self) -> (Call, Call, String) {
        let customer = self.customer.call("hotline", CallOptions::default()).unwrap();
        let opened = self.app.event("MPCInitialized", 0, |_| true).await;
        customer.wait_answered(SOON).await.unwrap();
        let ringing = self.agent.incoming(SOON).await.expect("the agent's phone does not ring");
        let agent = ringing.answer().await.unwrap();
        self.app.event("ParticipantJoin", 0, |event| event["ParticipantRole"] == "agent").await;
        (customer, agent, text(&opened, "MPCUUID"))
    }

    /// The supervisor calls by himself; returns his call and his MemberID.
    async fn supervisor_calls(&self) -> (Call, String) {
        let mark = self.app.mark();
        let call = self.supervisor.call("hotline", CallOptions::default()).unwrap();
        call.wait_answered(SOON).await.unwrap();
        let joined = self.app.event("ParticipantJoin", mark, |event| event["ParticipantRole"] == "supervisor").await;
        (call, text(&joined, "MemberID"))
    }

    /// Every request that the server made of the program was signed so that Plivo's library accepts it.
    fn every_webhook_was_signed(&self) {
        let reports = self.app.reports();
        let webhooks: Vec<&Value> = reports.iter().filter(|report| report.get("webhook").is_some()).collect();
        assert!(webhooks.len() >= 4, "{reports:?}");
        for webhook in webhooks {
            assert!(webhook["v3"] == true && webhook["v2"] == true, "refused by the library: {webhook}");
        }
        let failed: Vec<&Value> = reports.iter().filter(|report| report.get("failed").is_some()).collect();
        assert!(failed.is_empty(), "{failed:?}");
        let panics = self.server.process().err.matching(|line| line.contains("panicked"));
        assert!(panics.is_empty(), "{panics:?}");
    }
}

fn people<'a>(calls: [&'a Call; 3], voices: [Option<u32>; 3]) -> [Heard<'a>; 3] {
    let [customer, agent, supervisor] = calls;
    [
        Heard { name: "customer", call: customer, tone: voices[0] },
        Heard { name: "agent", call: agent, tone: voices[1] },
        Heard { name: "supervisor", call: supervisor, tone: voices[2] },
    ]
}

const ALL_HEAR_ALL: [(&str, &str); 6] = [
    ("customer", "agent"),
    ("customer", "supervisor"),
    ("agent", "customer"),
    ("agent", "supervisor"),
    ("supervisor", "customer"),
    ("supervisor", "agent"),
];
const COACHING: [(&str, &str); 5] = [
    ("customer", "agent"),
    ("agent", "customer"),
    ("agent", "supervisor"),
    ("supervisor", "customer"),
    ("supervisor", "agent"),
];

#[tokio::test(flavor = "multi_thread")]
async fn task_1_a_customer_waits_with_music_until_the_agent_answers_then_they_hear_each_other() {
    let [c, a, _] = tones::<3>();
    let centre = CallCentre::open("/coach_the_agent/", [voice(c), voice(a), Mouth::Silence]).await;
    let customer = centre.customer.call("hotline", CallOptions::default()).unwrap();
    let opened = centre.app.event("MPCInitialized", 0, |_| true).await;
    assert_eq!(text(&opened, "MPCName"), "hotline");
    customer.wait_answered(SOON).await.unwrap();
    assert!(!text(&opened, "ParticipantCallFrom").is_empty());
    let ringing = centre.agent.incoming(SOON).await.expect("the agent's phone does not ring");
    ringing.ring().await.unwrap();
    assert!(customer.ear().wait_heard(MUSIC, -30.0, std::time::Instant::now(), SOON).await.is_some(), "no wait music");
    let agent = ringing.answer().await.unwrap();
    let joined = centre.app.event("ParticipantJoin", 0, |event| event["ParticipantRole"] == "agent").await;
    assert_eq!(text(&joined, "MPCUUID"), text(&opened, "MPCUUID"));
    let two = [
        Heard { name: "customer", call: &customer, tone: Some(c) },
        Heard { name: "agent", call: &agent, tone: Some(a) },
    ];
    hears("after the agent's answer", &two, &[("customer", "agent"), ("agent", "customer")]).await;
    let since = std::time::Instant::now() - SETTLING;
    system_tests::ears::never_heard_since("the music is over", &customer, MUSIC, since).await;

    customer.hangup().await.unwrap();
    agent.wait_ended(SOON).await.unwrap();
    let end = centre.app.event("MPCEnd", 0, |_| true).await;
    assert_eq!(text(&end, "MPCUUID"), text(&opened, "MPCUUID"));
    centre.app.event("Hangup", 0, |event| event["Direction"] == "inbound").await;
    centre.every_webhook_was_signed();
}

#[tokio::test(flavor = "multi_thread")]
async fn task_2_the_agent_fetches_a_supervisor_whom_the_customer_does_not_hear() {
    let [c, a, s] = tones();
    let centre = CallCentre::open("/coach_the_agent/", [Mouth::Silence, Mouth::Silence, voice(s)]).await;
    let (customer, agent, mpc) = centre.customer_meets_agent().await;
    // The music is heard until the agent is in; the proof begins where it ends.
    let quiet = customer.ear().wait_quiet(MUSIC, -60.0, std::time::Instant::now(), SETTLING, SOON).await;
    assert!(quiet.is_some(), "the wait music goes on");
    let since = std::time::Instant::now();
    centre.app.click(&format!("/add_supervisor/{mpc}")).await;
    let supervisor =
        centre.supervisor.incoming(SOON).await.expect("the supervisor's phone does not ring").answer().await.unwrap();
    centre.app.event("ParticipantJoin", 0, |event| event["ParticipantRole"] == "supervisor").await;
    hears(
        "supervisor alone speaks",
        &people([&customer, &agent, &supervisor], [None, None, Some(s)]),
        &[("agent", "supervisor")],
    )
    .await;
    system_tests::ears::silent_since("the customer heard the supervisor", &customer, since).await;
    silent_since_invite("the supervisor heard himself", &supervisor).await;

    customer.say(voice(c)).await.unwrap();
    agent.say(voice(a)).await.unwrap();
    hears("all speak", &people([&customer, &agent, &supervisor], [Some(c), Some(a), Some(s)]), &COACHING).await;
    system_tests::ears::never_heard_since("whole call", &customer, s, since).await;
    centre.every_webhook_was_signed();
}

#[tokio::test(flavor = "multi_thread")]
async fn task_3_a_supervisor_calls_in_and_whispers_and_no_byte_of_it_reaches_the_customer() {
    let [c, a, s] = tones();
    let centre = CallCentre::open("/coach_the_agent/", [Mouth::Silence, Mouth::Silence, voice(s)]).await;
    let (customer, agent, _) = centre.customer_meets_agent().await;
    let quiet = customer.ear().wait_quiet(MUSIC, -60.0, std::time::Instant::now(), SETTLING, SOON).await;
    assert!(quiet.is_some(), "the wait music goes on");
    let since = std::time::Instant::now();
    let (supervisor, _) = centre.supervisor_calls().await;
    hears(
        "supervisor alone speaks",
        &people([&customer, &agent, &supervisor], [None, None, Some(s)]),
        &[("agent", "supervisor")],
    )
    .await;
    system_tests::ears::silent_since("the customer heard the supervisor", &customer, since).await;
    stays_silent("the supervisor hears nobody yet", &supervisor, 25).await;

    customer.say(voice(c)).await.unwrap();
    agent.say(voice(a)).await.unwrap();
    hears("all speak", &people([&customer, &agent, &supervisor], [Some(c), Some(a), Some(s)]), &COACHING).await;
    // The coached customer's ear again, to the byte, while only the supervisor sounds.
    customer.say(Mouth::Silence).await.unwrap();
    agent.say(Mouth::Silence).await.unwrap();
    assert!(customer.ear().wait_quiet(a, -60.0, std::time::Instant::now(), SETTLING * 2, SOON).await.is_some());
    let since = std::time::Instant::now();
    assert!(customer.ear().wait_more(100, SOON).await);
    system_tests::ears::silent_since("the customer heard the supervisor", &customer, since).await;
    supervisor.hangup().await.unwrap();
    assert!(customer.ear().wait_more(50, SOON).await, "the call goes on without the supervisor");
    system_tests::ears::silent_since("the supervisor's exit was heard", &customer, since).await;
    centre.every_webhook_was_signed();
}

#[tokio::test(flavor = "multi_thread")]
async fn task_4_the_supervisor_talks_to_both_and_back_and_nobody_dials_again() {
    let [c, a, s] = tones();
    let centre = CallCentre::open("/coach_the_agent/", [voice(c), voice(a), voice(s)]).await;
    let (customer, agent, mpc) = centre.customer_meets_agent().await;
    let (supervisor, member) = centre.supervisor_calls().await;
    let three = [&customer, &agent, &supervisor];
    let voices = [Some(c), Some(a), Some(s)];
    hears("coaching", &people(three, voices), &COACHING).await;
    centre.app.click(&format!("/supervisor/{mpc}/{member}/both")).await;
    hears("talking to both", &people(three, voices), &ALL_HEAR_ALL).await;
    centre.app.event("ParticipantCoachModeStop", 0, |event| event["MemberID"] == member.as_str()).await;
    centre.app.click(&format!("/supervisor/{mpc}/{member}/agent")).await;
    let again = std::time::Instant::now() + SETTLING;
    hears("coaching again", &people(three, voices), &COACHING).await;
    system_tests::ears::never_heard_since("coaching again", &customer, s, again).await;
    centre.app.event("ParticipantCoachModeStart", 0, |event| event["MemberID"] == member.as_str()).await;

    // Or by other instructions for the same call.
    let call_uuid = centre.app.event("ParticipantJoin", 0, |event| event["MemberID"] == member.as_str()).await;
    let mark = centre.app.mark();
    centre.app.click(&format!("/transfer/{}/talk_to_customer", text(&call_uuid, "ParticipantCallUUID"))).await;
    centre.app.event("ParticipantJoin", mark, |event| event["ParticipantRole"] == "supervisor").await;
    hears("after the transfer", &people(three, voices), &ALL_HEAR_ALL).await;
    for call in three {
        assert!(call.earlier_lines().is_empty(), "somebody had to connect again");
        assert!(phone::analysis::continuity(&call.ear().packets()).ssrcs.len() == 1, "a stream began anew");
    }
    centre.every_webhook_was_signed();
}

#[tokio::test(flavor = "multi_thread")]
async fn task_4_a_supervisor_who_calls_the_other_number_is_heard_by_both() {
    let [c, a, s] = tones();
    let centre = CallCentre::open("/talk_to_customer/", [voice(c), voice(a), voice(s)]).await;
    let (customer, agent, _) = centre.customer_meets_agent().await;
    let (supervisor, _) = centre.supervisor_calls().await;
    hears("all", &people([&customer, &agent, &supervisor], [Some(c), Some(a), Some(s)]), &ALL_HEAR_ALL).await;
    centre.every_webhook_was_signed();
}
