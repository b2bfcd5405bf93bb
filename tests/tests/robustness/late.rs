//! Instructions that come when others are in force, and instructions that lead nowhere.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use phone::{Call, CallError, CallOptions, CallState, EndCause, Mouth};
use reqwest::Method;
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{hears, tones, voice};
use system_tests::log::Log;
use system_tests::office::{NO_SOUNDS, Office};
use system_tests::server::PROGRAM_HOST;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Status and body.
type Words = (u16, String);

/// A program that keeps every request waiting until it is told what to answer.
struct Slow {
    port: u16,
    asked: Arc<Log<String>>,
    answered: Arc<Log<u16>>,
    tell: watch::Sender<Option<Words>>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Waiting {
    asked: Arc<Log<String>>,
    answered: Arc<Log<u16>>,
    told: watch::Receiver<Option<Words>>,
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Slow {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, told) = watch::channel(None);
        let (asked, answered) = (Arc::new(Log::default()), Arc::new(Log::default()));
        let waiting = Waiting { asked: Arc::clone(&asked), answered: Arc::clone(&answered), told };
        let router = axum::Router::new().fallback(wait_and_answer).with_state(waiting);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, asked, answered, tell, serving }
    }

    fn url(&self) -> String {
        // As long as it may take: the test says when it answers, not a clock.
        format!("http://{PROGRAM_HOST}:{}/slow#rt=40000&tt=55000&rc=0", self.port)
    }

    /// The CallUUID of the request at place `from`.
    async fn call_uuid(&self, from: usize) -> String {
        self.asked.expect("request for instructions", from, SOON, |_| true).await
    }

    /// Lets both requests have their answer.
    async fn answers(&self, status: u16, body: &str) {
        self.tell.send_replace(Some((status, body.to_owned())));
        self.answered.expect_times("answers given", 2, 0, SOON, |_| true).await;
    }
}

async fn wait_and_answer(State(mut waiting): State<Waiting>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let mut fields = url::form_urlencoded::parse(query.as_bytes()).chain(url::form_urlencoded::parse(&body));
    let uuid = fields.find_map(|(name, value)| (name == "CallUUID").then(|| value.into_owned()));
    waiting.asked.push(uuid.unwrap_or_default());
    let told = waiting.told.wait_for(Option::is_some).await.unwrap().clone();
    let (status, body) = told.unwrap();
    waiting.answered.push(status);
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/xml")], body).into_response()
}

/// Two calls are kept waiting by their answer URL. One is moved into room "a" with a customer; then the answer comes. Returns the office and the
/// call that was not moved, to which the answer must happen.
async fn answer_comes_after_a_move(status: u16, document: impl Fn(&Office) -> String) -> (Office, Call, String) {
    let [c, a, _] = tones::<3>();
    let office = Office::open().await;
    let slow = Slow::start().await;
    let customer = office.joins("customer", "a", "Customer", "stayAlone=\"true\"", voice(c)).await;
    let app = office
        .server
        .application(&office.account, "slow", &slow.url(), &["--hangup-url", &office.program.url("/hangup/slow")])
        .await;
    for name in ["agent", "other"] {
        office.server.endpoint(&office.account, name, Some(&app)).await;
    }
    let phone = office.connect("agent", voice(a), phone::Transport::Udp).await;
    let other_phone = office.connect("other", Mouth::Silence, phone::Transport::Udp).await;
    let mark = office.program.mark();
    let call = phone.call("hotline", CallOptions::default()).unwrap();
    let uuid = slow.call_uuid(0).await;
    let other = other_phone.call("hotline", CallOptions::default()).unwrap();
    let other_uuid = slow.call_uuid(1).await;

    let body = json!({ "call_uuid": uuid, "role": "agent", "enter_sound": "none", "exit_sound": "none",
        "status_callback_url": office.program.url("/events"), "status_callback_method": "POST" });
    office.rest.post("/MultiPartyCall/name_a/Participant/", body).await;
    call.wait_answered(SOON).await.unwrap();
    let joined =
        office.program.event("ParticipantJoin", mark, |event| event.param("ParticipantCallUUID") == uuid).await;
    assert_eq!(joined.param("MPCUUID"), customer.room);

    slow.answers(status, &document(&office)).await;
    // The other call's answer has had its effect; two seconds of sound more, and this one's would have had it too.
    let state =
        other.wait_state(SOON, |state| matches!(state, CallState::Answered | CallState::Ended(_))).await.unwrap();
    assert_eq!(state == CallState::Answered, status == 200, "{state:?}");
    assert!(call.ear().wait_more(100, SOON).await, "the call has ended: {:?}", call.state());
    let two = [customer.heard(Some(c)), system_tests::ears::Heard { name: "agent", call: &call, tone: Some(a) }];
    hears("after the late answer", &two, &[("customer", "agent"), ("agent", "customer")]).await;
    let stays = office.native.get("/rooms/a").await;
    assert_eq!((&stays["uuid"], &stays["members"]), (&json!(customer.room), &json!(2)), "{stays}");
    assert_eq!(office.native.get(&format!("/calls/{uuid}")).await["room_uuid"], customer.room.as_str());
    let told = office
        .program
        .asked()
        .matching(|asked| asked.param("ParticipantCallUUID") == uuid || asked.param("CallUUID") == uuid);
    assert!(
        told.iter().all(|asked| matches!(asked.event(), "ParticipantJoin") && asked.param("MPCUUID") == customer.room),
        "{told:?}"
    );
    assert_eq!(slow.asked.len(), 2, "it was asked again");
    (office, other, other_uuid)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_comes_after_the_call_was_moved_is_ignored() {
    let into_b = |office: &Office| {
        let events = office.program.url("/events");
        format!(
            r#"<Response><MultiPartyCall role="Agent" stayAlone="true" statusCallbackUrl="{events}" {NO_SOUNDS}>b</MultiPartyCall></Response>"#
        )
    };
    let (office, _other, uuid) = answer_comes_after_a_move(200, into_b).await;
    let b = office.native.get("/rooms/b").await;
    let there: Vec<_> = b["member_list"].as_array().unwrap().iter().map(|member| member["call_uuid"].clone()).collect();
    assert_eq!(there, [json!(uuid)], "the document's own room: {b}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_comes_after_the_call_was_moved_does_not_end_it() {
    let (office, other, uuid) = answer_comes_after_a_move(500, |_| "sorry".to_owned()).await;
    assert_eq!(other.wait_ended(SOON).await.unwrap().code, Some(500));
    let hangup = office.program.event("Hangup", 0, |asked| asked.path == "/hangup/slow").await;
    assert_eq!((hangup.param("CallUUID"), hangup.param("HangupCauseCode")), (uuid.as_str(), "7011"), "{hangup:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_redirects_to_itself_ends_the_call_with_its_code() {
    let office = Office::open().await;
    let phone = office.phone("caller", Mouth::Silence).await;
    let program = &office.program;
    let round = format!("<Redirect>{}</Redirect>", program.url("/round"));
    program.document("/round", &round);
    let ended_with = async |what: &str, mark: usize| {
        let hangup = program.event("Hangup", mark, |asked| asked.path == "/hangup/caller").await;
        assert_eq!(
            (hangup.param("HangupCauseCode"), hangup.param("HangupSource")),
            ("8014", "Error"),
            "{what}: {hangup:?}"
        );
        let rounds = program.asked().matching(|asked| asked.path == "/round").len();
        assert!(rounds <= 31, "{what}: asked {rounds} times");
        rounds
    };

    // Before the answer: the call is refused.
    program.document("/answer/caller", &round);
    let mark = program.mark();
    let call = phone.call("hotline", CallOptions::default()).unwrap();
    match call.wait_answered(SOON * 2).await {
        Err(CallError::Ended(ended)) => assert_eq!((ended.cause, ended.code), (EndCause::Refused, Some(500))),
        other => panic!("{other:?}"),
    }
    let rounds = ended_with("before the answer", mark).await;
    assert!(rounds > 1, "it was not followed at all");

    // After it, by a transfer: the call is hung up.
    let office = Office::open().await;
    let program = &office.program;
    program.document("/round", &format!("<Redirect>{}</Redirect>", program.url("/round")));
    program.document("/answer/caller", r#"<Wait length="60"/>"#);
    let phone = office.phone("caller", Mouth::Silence).await;
    let call: Call = phone.call("hotline", CallOptions::default()).unwrap();
    call.wait_answered(SOON).await.unwrap();
    let asked = program.asked().expect("request", 0, SOON, |asked| asked.path == "/answer/caller").await;
    let transfer = json!({ "aleg_url": program.url("/round") });
    let (status, answer) =
        office.rest.request(Method::POST, &format!("/Call/{}/", asked.param("CallUUID")), Some(transfer)).await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(call.wait_ended(SOON * 2).await.unwrap().cause, EndCause::RemoteHangup);
    let hangup = program.event("Hangup", 0, |asked| asked.path == "/hangup/caller").await;
    assert_eq!((hangup.param("HangupCauseCode"), hangup.param("CallStatus")), ("8014", "completed"), "{hangup:?}");
    assert!(program.asked().matching(|asked| asked.path == "/round").len() <= 31);
}
