use std::time::Duration;

use call::verb::{Fetch, Hangup, Method, Refusal, Report, Times};
use conference::Role;
use proptest::prelude::*;

use super::*;

const XML: &str = "application/xml";

fn read(body: &str) -> Result<Vec<Verb>, DocumentError> {
    document(XML, body.as_bytes(), 1000)
}

fn join_of(body: &str) -> call::verb::Join {
    match read(body).unwrap().remove(0) {
        Verb::Join(join) => *join,
        other => panic!("{other:?}"),
    }
}

/// What the official Node package writes for the customer of the coaching guide.
const FROM_NODE: &str = r#"<Response><MultiPartyCall role="Customer" statusCallbackUrl="https://abc.example.com/add/agent/" statusCallbackMethod="POST" waitMusicUrl="https://s3.example.com/music.mp3" waitMusicMethod="GET" maxDuration="14400" maxParticipants="10" recordMinMemberCount="1" agentHoldMusicMethod="GET" customerHoldMusicMethod="GET" record="false" recordFileFormat="mp3" recordingCallbackMethod="GET" statusCallbackEvents="mpc-state-changes,participant-state-changes" stayAlone="false" coachMode="true" mute="false" hold="false" startMpcOnEnter="true" endMpcOnExit="false" enterSound="beep:1" enterSoundMethod="GET" exitSound="beep:2" exitSoundMethod="GET" onExitActionMethod="POST" relayDTMFInputs="false" startRecordingAudioMethod="GET" stopRecordingAudioMethod="GET" recordParticipantTrack="false">test</MultiPartyCall></Response>"#;

#[test]
fn what_the_node_sdk_writes_is_understood() {
    let join = join_of(FROM_NODE);
    assert_eq!((join.room.as_str(), join.entry.role, join.entry.coaching), ("test", Some(Role::Customer), false));
    assert_eq!(join.room_settings.wait_music, Some(Fetch::new("https://s3.example.com/music.mp3", Method::Get)));
}

#[test]
fn attributes_of_a_multiparty_call_count_in_every_spelling() {
    for spelling in ["coachMode", "coach_mode", "COACHMODE", "CoachMode"] {
        let join = join_of(&format!(
            r#"<Response><MultiPartyCall role="Supervisor" {spelling}="false">test</MultiPartyCall></Response>"#
        ));
        assert!(!join.entry.coaching, "{spelling}");
    }
    let go = r#"<Response><MultiPartyCall role="agent" relayDtmfInputs="true" StartRecordingAudio="https://a.example.com/x" StartRecordingAudioMethod="GET">t</MultiPartyCall></Response>"#;
    assert!(join_of(go).entry.relay_digits);
    let guide = r#"<Response><MultiPartyCall role="Supervisor" coach_mode="true" status_callback_url="https://a.example.com/s" status_callback_method="POST" enter_sound="none">
        test
    </MultiPartyCall></Response>"#;
    let join = join_of(guide);
    assert_eq!((join.room.as_str(), join.entry.coaching), ("test", true));
    assert_eq!(join.member_settings.enter_sound, call::verb::Notice::Silent);
    assert!(join.member_settings.callbacks.is_some());
}

#[test]
fn two_spellings_that_contradict_each_other_are_refused() {
    let error = read(r#"<Response><MultiPartyCall role="Supervisor" coachMode="true" coach_mode="false">t</MultiPartyCall></Response>"#).unwrap_err();
    assert!(matches!(error, DocumentError::BadAttribute { ref attribute, .. } if attribute == "coach_mode"), "{error}");
}

#[test]
fn a_multiparty_call_without_role_or_with_a_bad_name_is_refused() {
    for body in [
        "<MultiPartyCall>t</MultiPartyCall>",
        "<MultiPartyCall role='agent'/>",
        "<MultiPartyCall role='agent'>a/b</MultiPartyCall>",
        "<MultiPartyCall role='agent'>a&#1;b</MultiPartyCall>",
        "<MultiPartyCall role='agent'><Speak>x</Speak></MultiPartyCall>",
        &format!("<MultiPartyCall role='agent'>{}</MultiPartyCall>", "x".repeat(256)),
    ] {
        assert!(read(&format!("<Response>{body}</Response>")).is_err(), "{body}");
    }
}

#[test]
fn verbs_that_are_not_here_are_named() {
    for verb in [
        "Dial",
        "Conference",
        "Record",
        "GetInput",
        "DTMF",
        "Stream",
        "Message",
        "PreAnswer",
        "User",
        "Number",
        "multipartycall",
        "speak",
    ] {
        let error = read(&format!("<Response><{verb}>x</{verb}></Response>")).unwrap_err();
        assert_eq!(error, DocumentError::UnknownVerb(verb.to_owned()));
        assert!(error.to_string().contains("support table"));
    }
    assert_eq!(
        read("<Response><GetDigits><Record/></GetDigits></Response>").unwrap_err(),
        DocumentError::UnknownVerb("Record in GetDigits".to_owned())
    );
}

#[test]
fn prompts_gather_redirect_and_hang_up_are_read_with_their_defaults() {
    let verbs = read(
        r#"<?xml version="1.0" encoding="UTF-8"?><!-- hello --><Response>
        <Speak>Fish &amp; chips &#33;</Speak><Play loop="0">https://a.example.com/x.mp3</Play><Wait/>
        <GetDigits action="https://a.example.com/d"><Speak voice="MAN" language="en-GB" loop="2">Press</Speak><Wait length="3"/></GetDigits>
        <Redirect>https://a.example.com/r?x=1&amp;y=2</Redirect><Hangup reason="busy"/><Hangup schedule="60"/></Response>"#,
    )
    .unwrap();
    let speech = |text: &str, voice: &str, language: &str, times| Prompt::Speech {
        text: text.to_owned(),
        voice: voice.to_owned(),
        language: language.to_owned(),
        times,
    };
    assert_eq!(verbs[0], Verb::Prompt(speech("Fish & chips !", "WOMAN", "en-US", Times::Count(1))));
    assert_eq!(
        verbs[1],
        Verb::Prompt(Prompt::Audio { url: "https://a.example.com/x.mp3".to_owned(), times: Times::Forever })
    );
    assert_eq!(verbs[2], Verb::Prompt(Prompt::Silence(Duration::from_secs(1))));
    let Verb::Gather(gather) = &verbs[3] else { panic!("{:?}", verbs[3]) };
    assert_eq!(
        gather.prompts,
        [speech("Press", "MAN", "en-GB", Times::Count(2)), Prompt::Silence(Duration::from_secs(3))]
    );
    assert_eq!(gather.action, Some(Fetch::new("https://a.example.com/d", Method::Post).into()));
    assert_eq!((gather.first_digit, gather.next_digit), (Duration::from_secs(5), Duration::from_secs(2)));
    assert_eq!((gather.finish_on, gather.max_digits, gather.valid.as_str()), (Some('#'), 99, "1234567890*#"));
    assert_eq!((gather.report, gather.attempts, gather.beep), (Report::DigitsFollowed, 1, false));
    assert_eq!(verbs[4], Verb::Redirect(Fetch::new("https://a.example.com/r?x=1&y=2", Method::Post)));
    assert_eq!(verbs[5], Verb::Hangup(Hangup { refusal: Some(Refusal::Busy), after: None, headers: vec![] }));
    assert_eq!(verbs[6], Verb::Hangup(Hangup { refusal: None, after: Some(Duration::from_secs(60)), headers: vec![] }));
    assert_eq!(read("<Response/>").unwrap(), []);
}

#[test]
fn spoken_markup_becomes_text_and_pauses() {
    let verbs = read(
        r#"<Response><Speak>One <emphasis level="strong">two</emphasis><break time="250ms"/><sub alias="three">3</sub> <break strength="strong"/>
        <prosody rate="slow">four</prosody></Speak></Response>"#,
    )
    .unwrap();
    let texts: Vec<_> = verbs
        .iter()
        .map(|verb| match verb {
            Verb::Prompt(Prompt::Speech { text, .. }) => text.clone(),
            Verb::Prompt(Prompt::Silence(length)) => format!("{}", length.as_millis()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["One two", "250", "three", "1000", "four"]);
    let forever = read(r#"<Response><Speak loop="0">a<break/>b</Speak></Response>"#).unwrap();
    assert!(
        matches!(&forever[..], [Verb::Prompt(Prompt::Speech { text, times: Times::Forever, .. })] if text == "a, b")
    );
    assert!(read(r#"<Response><Speak loop="600">a<break/>b</Speak></Response>"#).is_err());
}

#[test]
fn bad_attributes_of_every_verb_are_refused() {
    for body in [
        "<Speak/>",
        "<Speak loop='x'>a</Speak>",
        "<Speak loop='1001'>a</Speak>",
        "<Speak>a<break time='soon'/></Speak>",
        "<Play>nowhere</Play>",
        "<Play/>",
        "<Wait length='0'/>",
        "<Wait length='x'/>",
        "<Wait silence='x'/>",
        "<Hangup reason='tired'/>",
        "<Hangup schedule='-1'/>",
        "<Redirect>/x</Redirect>",
        "<Redirect method='PUT'>https://a.example.com</Redirect>",
        "<GetDigits action='x'/>",
        "<GetDigits method='x'/>",
        "<GetDigits timeout='0'/>",
        "<GetDigits digitTimeout='x'/>",
        "<GetDigits numDigits='100'/>",
        "<GetDigits finishOnKey='ab'/>",
        "<GetDigits retries='0'/>",
        "<GetDigits redirect='x'/>",
        "<GetDigits validDigits='abc'/>",
        "<GetDigits invalidDigitsSound='x'/>",
        "<GetDigits playBeep='x'/>",
        "<GetDigits log='x'/>",
    ] {
        let error = read(&format!("<Response>{body}</Response>")).expect_err(body);
        assert!(matches!(error, DocumentError::BadAttribute { .. }), "{body}: {error}");
    }
}

#[test]
fn documents_that_attack_the_parser_are_refused() {
    let deep = format!("<Response>{}{}</Response>", "<Speak>".repeat(8), "</Speak>".repeat(8));
    let many = format!("<Response>{}</Response>", "<Wait/>".repeat(1000));
    let attributes: String = (0..10_000).map(|n| format!(" a{n}=''")).collect();
    let wide = format!("<Response><Wait{attributes}/></Response>");
    let long = format!("<Response>{}</Response>", " ".repeat(LARGEST));
    for body in [
        "",
        "   ",
        "<Response>",
        "<Response></Wait>",
        "</Response>",
        "<Response/><Response/>",
        "<Response/>x",
        "x<Response/>",
        "<Response>x</Response>",
        "<Wait/>",
        "<!DOCTYPE r [<!ENTITY a 'b'>]><Response>&a;</Response>",
        "<Response><Speak>&bomb;</Speak></Response>",
        "<Response><Speak>&#0;</Speak></Response>",
        "<Response><Speak>&#xFFFFFFFF;</Speak></Response>",
        "<Response><Wait length=1/></Response>",
        "<Response><Wait length='1' length='2'/></Response>",
        "<Response><Speak>\u{1}</Speak></Response>",
        &deep,
        &many,
        &wide,
        &long,
    ] {
        let error = read(body).expect_err(&body.chars().take(60).collect::<String>());
        assert!(matches!(error, DocumentError::Malformed { .. }), "{error}");
    }
    assert!(matches!(
        document(XML, b"<Response>\xff</Response>", 1000),
        Err(DocumentError::Malformed { offset: 10, .. })
    ));
}

#[test]
fn the_content_type_decides_but_frameworks_that_send_html_unasked_are_forgiven() {
    for kind in [
        "application/xml",
        "text/xml; charset=utf-8",
        "Application/XML",
        "application/plivo+xml",
        "",
        "text/html",
        "text/plain",
    ] {
        assert!(document(kind, b" <Response/>", 1000).is_ok(), "{kind}");
    }
    assert_eq!(
        document("application/json", b"<Response/>", 1000),
        Err(DocumentError::WrongType("application/json".to_owned()))
    );
    assert!(matches!(document("text/html", b"<html><body>404</body></html>", 1000), Err(DocumentError::WrongType(_))));
    assert!(matches!(document("audio/mpeg", b"\xff\xfb", 1000), Err(DocumentError::WrongType(_))));
}

#[test]
fn music_documents_keep_their_prompts_and_leave_the_rest_out() {
    let body =
        b"<Response><Dial>x</Dial><Play>https://a.example.com/x.mp3</Play><Hangup/><Wait length='2'/></Response>";
    assert_eq!(prompts(XML, body).unwrap().len(), 2);
    assert!(prompts(XML, b"<Response><Play>x</Play></Response>").is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = document(XML, &body, 1000);
        let _ = prompts("", &body);
    }

    #[test]
    fn no_markup_makes_the_reader_panic(parts in proptest::collection::vec(prop_oneof![
        Just("<Response>"), Just("</Response>"), Just("<Speak>"), Just("</Speak>"), Just("<MultiPartyCall role='agent'"), Just(">"), Just("/>"), Just("&"),
        Just("&amp;"), Just("&#"), Just(";"), Just("<![CDATA["), Just("]]>"), Just("<!--"), Just("-->"), Just("<?"), Just("?>"), Just("<!DOCTYPE"),
        Just(" loop='"), Just("'"), Just("\""), Just("="), Just("é"), Just("\u{0}"), Just("<break time='1e308s'/>"), Just("room"), Just("<"),
    ], 0..40)) {
        let _ = document(XML, parts.concat().as_bytes(), 1000);
        let _ = document(XML, format!("<Response>{}</Response>", parts.concat()).as_bytes(), 1000);
    }

    #[test]
    fn whatever_is_read_stays_within_the_limits(count in 1usize..1200) {
        let body = format!("<Response>{}</Response>", "<Wait/>".repeat(count));
        prop_assert_eq!(read(&body).is_ok(), count < MOST_ELEMENTS);
    }
}
