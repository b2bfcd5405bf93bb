//! Webhooks that fail: each failure has its written outcome (docs/plivo.md), for the caller and for the hang-up callback.

use phone::{Call, CallError, CallOptions, CallState, EndCause, Mouth, Phone};
use system_tests::SOON;
use system_tests::ears::{silent_since_invite, stays_silent, tones};
use system_tests::office::Office;
use system_tests::program::{Program, Reply};
use system_tests::server::ServerOptions;

const BROKEN: [(&str, &str); 6] = [
    ("broken XML", "<Response><Hangup></Response>"),
    ("an entity of its own", "<!DOCTYPE r [<!ENTITY x \"y\">]><Response>&x;</Response>"),
    ("an unknown verb", "<Response><Teleport/></Response>"),
    ("a mistyped attribute", r#"<Response><MultiPartyCall role="Agent" muet="true">x</MultiPartyCall></Response>"#),
    ("a bad value", r#"<Response><MultiPartyCall role="Boss">x</MultiPartyCall></Response>"#),
    ("no document", "hello"),
];

struct Caller {
    office: Office,
    phone: Phone,
}

impl Caller {
    async fn with_answer_url(url: &str, more: &[&str], options: ServerOptions) -> Self {
        let office = Office::with(options).await;
        let url = if url.is_empty() {
            office.program.url("/answer/caller")
        } else {
            url.replace("PORT", &office.program.port().to_string())
        };
        let hangup = office.program.url("/hangup/caller");
        let mut arguments = vec!["--hangup-url", hangup.as_str()];
        let more: Vec<String> =
            more.iter().map(|text| text.replace("PORT", &office.program.port().to_string())).collect();
        arguments.extend(more.iter().map(String::as_str));
        let app = office.server.application(&office.account, "caller", &url, &arguments).await;
        office.server.endpoint(&office.account, "caller", Some(&app)).await;
        let phone = office.connect("caller", Mouth::Silence, phone::Transport::Udp).await;
        Self { office, phone }
    }

    async fn new() -> Self {
        Self::with_answer_url("", &[], ServerOptions::default()).await
    }

    /// The call is refused before an answer, and the hang-up callback has this code.
    async fn is_refused_with(&self, what: &str, code: &str) {
        let mark = self.office.program.mark();
        let call = self.phone.call("hotline", CallOptions::default()).unwrap();
        match call.wait_answered(SOON * 2).await {
            Err(CallError::Ended(ended)) => {
                assert_eq!((ended.cause, ended.code), (EndCause::Refused, Some(500)), "{what}")
            }
            other => panic!("{what}: {other:?}"),
        }
        let hangup = self.office.program.event("Hangup", mark, |asked| asked.path == "/hangup/caller").await;
        assert_eq!(hangup.param("HangupCauseCode"), code, "{what}: {hangup:?}");
        assert_eq!((hangup.param("HangupSource"), hangup.param("CallStatus")), ("Error", "failed"), "{what}");
    }

    /// A call that is answered and gathers digits; its action is `/action`.
    async fn gathers(&self) -> Call {
        let action = self.office.program.url("/action");
        self.office
            .program
            .document("/answer/caller", &format!(r#"<GetDigits action="{action}" numDigits="1" timeout="30"/>"#));
        let call = self.phone.call("hotline", CallOptions::default()).unwrap();
        call.wait_answered(SOON).await.unwrap();
        call
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_url_that_fails_refuses_the_call() {
    let caller = Caller::new().await;
    for status in [500, 404, 302] {
        caller
            .office
            .program
            .reply("/answer/caller", Reply::Plain(status, "text/html", b"<html>sorry</html>".to_vec()));
        caller.is_refused_with(&format!("status {status}"), "7011").await;
    }
    for (what, document) in BROKEN {
        caller.office.program.reply("/answer/caller", Reply::Plain(200, "application/xml", document.into()));
        caller.is_refused_with(what, "8011").await;
    }
    caller.office.program.reply("/answer/caller", Reply::Plain(200, "application/json", b"{}".to_vec()));
    caller.is_refused_with("a wrong type", "8011").await;
    caller.office.program.reply("/answer/caller", Reply::Plain(200, "application/xml", vec![b' '; 200 * 1024]));
    let mark = caller.office.program.mark();
    let call = caller.phone.call("hotline", CallOptions::default()).unwrap();
    assert!(call.wait_answered(SOON).await.is_err());
    let hangup = caller.office.program.event("Hangup", mark, |asked| asked.path == "/hangup/caller").await;
    assert_eq!(hangup.param("HangupCauseCode"), "8011", "an answer over the limit: {hangup:?}");
    // Nothing of all this was lasting.
    caller.office.program.document("/answer/caller", r#"<Hangup reason="busy"/>"#);
    let call = caller.phone.call("hotline", CallOptions::default()).unwrap();
    match call.wait_answered(SOON).await {
        Err(CallError::Ended(ended)) => assert_eq!(ended.code, Some(486)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_url_that_is_too_slow_refuses_the_call_after_its_own_time_limit() {
    let url = "http://callcenter.test:PORT/slow#rt=500&tt=1000&rc=1";
    let caller = Caller::with_answer_url(url, &[], ServerOptions::default()).await;
    caller.office.program.reply("/slow", Reply::Never);
    caller.is_refused_with("a time-out", "7011").await;
    assert_eq!(
        caller.office.program.asked().matching(|asked| asked.path == "/slow").len(),
        2,
        "one retry was asked for"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_url_is_asked_once_and_its_answer_is_run() {
    let fallback = ["--fallback-url", "http://callcenter.test:PORT/fallback"];
    let caller = Caller::with_answer_url("", &fallback, ServerOptions::default()).await;
    caller.office.program.reply("/answer/caller", Reply::Plain(500, "text/plain", Vec::new()));
    caller.office.program.document("/fallback", r#"<Hangup reason="busy"/>"#);
    let call = caller.phone.call("hotline", CallOptions::default()).unwrap();
    match call.wait_answered(SOON).await {
        Err(CallError::Ended(ended)) => assert_eq!(ended.code, Some(486)),
        other => panic!("{other:?}"),
    }
    let hangup = caller.office.program.event("Hangup", 0, |asked| asked.path == "/hangup/caller").await;
    assert_eq!((hangup.param("HangupCauseCode"), hangup.param("HangupSource")), ("4000", "Answer XML"), "{hangup:?}");
    caller
        .office
        .program
        .reply("/fallback", Reply::Plain(200, "application/xml", b"<Response><Nonsense/></Response>".to_vec()));
    caller.is_refused_with("both fail", "8011").await;
    assert_eq!(caller.office.program.asked().matching(|asked| asked.path == "/fallback").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_into_this_machine_is_never_asked() {
    // Only the name that the configuration gives an address is allowed here, no network.
    let options = ServerOptions::default().set("http", "allow", "[]");
    let secret = Program::start().await;
    let caller = Caller::with_answer_url(&format!("http://127.0.0.1:{}/secret", secret.port()), &[], options).await;
    caller.is_refused_with("loopback", "7011").await;
    for (index, host) in
        ["localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"]
            .iter()
            .enumerate()
    {
        let url = format!("http://{host}:{}/secret#ct=500&tt=1000&rc=0", secret.port());
        let hangup = caller.office.program.url("/hangup/caller");
        let name = format!("inward-{index}");
        let made =
            caller.office.server.application(&caller.office.account, &name, &url, &["--hangup-url", &hangup]).await;
        caller
            .office
            .server
            .aside(&["endpoint", "update", "caller", "--account", &caller.office.account.auth_id, "--app", &made])
            .await;
        caller.is_refused_with(host, "7011").await;
    }
    // A redirect inward from a place that may be asked.
    caller.office.program.reply("/away", Reply::Redirect(format!("http://127.0.0.1:{}/secret", secret.port())));
    let away = caller.office.program.url("/away");
    let hangup = caller.office.program.url("/hangup/caller");
    let made =
        caller.office.server.application(&caller.office.account, "away", &away, &["--hangup-url", &hangup]).await;
    caller
        .office
        .server
        .aside(&["endpoint", "update", "caller", "--account", &caller.office.account.auth_id, "--app", &made])
        .await;
    caller.is_refused_with("a redirect", "7011").await;
    assert!(secret.asked().is_empty(), "it was asked: {:?}", secret.asked().all());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_action_redirect_or_transfer_hangs_up_with_its_own_code() {
    let caller = Caller::new().await;
    let program = &caller.office.program;
    let failures = [
        (Reply::Plain(500, "text/plain", Vec::new()), ["7012", "7014", "7013"]),
        (Reply::Plain(200, "application/xml", b"<Response><Bogus/></Response>".to_vec()), ["8012", "8014", "8013"]),
    ];
    for (reply, [action, redirect, transfer]) in failures {
        program.reply("/action", reply.clone());
        let ends_with = async |call: &Call, mark: usize, code: &str| {
            assert_eq!(call.wait_ended(SOON).await.unwrap().cause, EndCause::RemoteHangup);
            let hangup = program.event("Hangup", mark, |asked| asked.path == "/hangup/caller").await;
            assert_eq!(
                (hangup.param("HangupCauseCode"), hangup.param("CallStatus")),
                (code, "completed"),
                "{hangup:?}"
            );
        };
        let (mark, call) = (program.mark(), caller.gathers().await);
        // The call may be over before the key's last repeat is sent.
        let _ = call.send_digits("7").await;
        ends_with(&call, mark, action).await;
        assert!(
            program
                .asked()
                .find(mark, SOON, |asked| asked.path == "/action" && asked.param("Digits") == "7")
                .await
                .is_some()
        );

        let (mark, call) = (program.mark(), caller.gathers().await);
        let uuid = program
            .asked()
            .expect("answer request", mark, SOON, |asked| asked.path == "/answer/caller")
            .await
            .param("CallUUID")
            .to_owned();
        caller
            .office
            .rest
            .post(&format!("/Call/{uuid}/"), serde_json::json!({ "legs": "aleg", "aleg_url": program.url("/action") }))
            .await;
        ends_with(&call, mark, transfer).await;

        // A redirect after the answer.
        let url = program.url("/action");
        program.document("/answer/caller", &format!(r#"<Wait length="1"/><Redirect>{url}</Redirect>"#));
        let mark = program.mark();
        let call = caller.phone.call("hotline", CallOptions::default()).unwrap();
        call.wait_answered(SOON).await.unwrap();
        ends_with(&call, mark, redirect).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn music_that_fails_is_silence_and_the_call_goes_on() {
    let [_, _, s] = tones::<3>();
    let office = Office::open().await;
    for (path, reply) in [
        ("/gone", Reply::Plain(404, "text/plain", Vec::new())),
        ("/garbage", Reply::Plain(200, "audio/mpeg", vec![0x5A; 10_000])),
        ("/teapot", Reply::Plain(200, "application/xml", b"<Response><Teapot/></Response>".to_vec())),
        ("/never", Reply::Never),
    ] {
        office.program.reply(path, reply);
        let name = path.trim_start_matches('/');
        let music = format!(
            r#"startMpcOnEnter="false" stayAlone="true" waitMusicUrl="{}#tt=1000&amp;rc=0""#,
            office.program.url(path)
        );
        let member = office.joins(name, name, "Customer", &music, system_tests::ears::voice(s)).await;
        assert!(
            office.program.asked().find(0, SOON, |asked| asked.path == path).await.is_some(),
            "{path} was not asked"
        );
        stays_silent(path, &member.call, 50).await;
        assert!(matches!(member.call.state(), CallState::Answered));
        silent_since_invite("nobody is heard", &member.call).await;
    }
}
