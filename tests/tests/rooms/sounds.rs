//! Entry and exit sounds: who hears them, and that however many come at once none is louder than one.

use std::time::Instant;

use phone::Mouth;
use reqwest::Method;
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{silent_since_invite, stays_silent, stays_silent_since, tones};
use system_tests::office::{Member, NO_SOUNDS, Office};

use super::people::{THERE, comes, enters, falls_quiet, loudest, loudest_of_all, music};

/// The first and the second tone of the built-in beeps, Hz; `beep:1` has the first alone.
const FIRST: u32 = 880;
const SECOND: u32 = 1175;
/// Level of a beep, dBFS.
const BEEP: f64 = -14.0;

async fn resident(office: &Office, name: &str, role: &str, attributes: &str) -> Member {
    enters(office, name, "support", role, &format!(r#"stayAlone="true" {NO_SOUNDS} {attributes}"#), Mouth::Silence)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_in_the_talk_hears_who_comes_and_goes_and_nobody_on_hold_or_the_newcomer_himself() {
    let office = Office::open().await;
    let customer = resident(&office, "customer", "Customer", "").await;
    let agent = resident(&office, "agent", "Agent", "mute=\"true\"").await;
    let aside = resident(&office, "aside", "Customer", "hold=\"true\"").await;

    // The defaults: one beep in, two out.
    let before = Instant::now();
    let guest = enters(&office, "guest", "support", "Agent", "", Mouth::Silence).await;
    for hearer in [&customer, &agent] {
        comes("entry", &hearer.call, FIRST, before).await;
        falls_quiet("entry", &hearer.call).await;
        let level = loudest(&hearer.call, FIRST, before);
        assert!((level - BEEP).abs() < 1.0, "{}: {level:.1} dBFS", hearer.name);
        assert!(loudest(&hearer.call, SECOND, before) < THERE, "{}: two beeps", hearer.name);
    }
    silent_since_invite("the newcomer heard his own entry", &guest.call).await;
    let before = Instant::now();
    guest.leaves().await;
    for hearer in [&customer, &agent] {
        comes("exit", &hearer.call, SECOND, before).await;
        falls_quiet("exit", &hearer.call).await;
        assert!(loudest(&hearer.call, FIRST, before) > THERE, "{}: one beep", hearer.name);
    }

    // The other way round, and none.
    let before = Instant::now();
    let sounds = r#"enterSound="beep:2" exitSound="none""#;
    let guest = enters(&office, "guest-2", "support", "Customer", sounds, Mouth::Silence).await;
    comes("entry with two beeps", &customer.call, SECOND, before).await;
    falls_quiet("entry with two beeps", &customer.call).await;
    let mark = office.program.mark();
    guest.leaves().await;
    office.program.event("ParticipantExit", mark, |event| event.param("MemberID") == guest.number).await;
    stays_silent_since("an exit without sound", &customer.call, Instant::now(), 25).await;

    // Sounds of their own: a file, and a document that is asked for by POST.
    let [file, spoken, _] = tones::<3>();
    let enter = music(&office, "/enter.wav", file);
    let inside = music(&office, "/inside.wav", spoken);
    office.program.document("/exit", &format!("<Play>{inside}</Play>"));
    let exit = office.program.url("/exit");
    let sounds = format!(r#"enterSound="{enter}" exitSound="{exit}" exitSoundMethod="POST""#);
    let before = Instant::now();
    let guest = enters(&office, "guest-3", "support", "Agent", &sounds, Mouth::Silence).await;
    for hearer in [&customer, &agent] {
        comes("entry with a file", &hearer.call, file, before).await;
    }
    stays_silent_since("the newcomer", &guest.call, before, 25).await;
    falls_quiet("the file sounds once", &customer.call).await;
    let before = Instant::now();
    guest.leaves().await;
    for hearer in [&customer, &agent] {
        comes("exit with a document", &hearer.call, spoken, before).await;
    }
    let asked = office.program.asked();
    assert_eq!(asked.expect("/exit", 0, SOON, |asked| asked.path == "/exit").await.method, "POST");
    assert_eq!(asked.expect("/enter.wav", 0, SOON, |asked| asked.path == "/enter.wav").await.method, "GET");
    stays_silent("who is on hold without music", &aside.call, 25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_hear_no_beep_and_who_starts_the_call_is_heard_coming() {
    let office = Office::open().await;
    let first = resident(&office, "first", "Customer", "startMpcOnEnter=\"false\"").await;
    let waits = r#"startMpcOnEnter="false" exitSound="beep:2""#;
    let second = enters(&office, "second", "support", "Customer", waits, Mouth::Silence).await;
    stays_silent("the first waits", &first.call, 25).await;
    let before = Instant::now();
    let agent = enters(&office, "agent", "support", "Agent", "", Mouth::Silence).await;
    for hearer in [&first, &second] {
        comes("the agent's entry", &hearer.call, FIRST, before).await;
        assert!(loudest_of_all(&hearer.call, before) < BEEP + 1.0, "{}: an old beep sounds too", hearer.name);
    }
    silent_since_invite("the agent heard an old beep", &agent.call).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_who_coaches_is_heard_coming_and_going_by_those_he_speaks_to_and_never_by_the_customer() {
    let office = Office::open().await;
    let customer = resident(&office, "customer", "Customer", "").await;
    let agent = resident(&office, "agent", "Agent", "").await;
    for (name, attributes) in [("coach", "coachMode=\"true\""), ("monitor", "coachMode=\"true\" mute=\"true\"")] {
        let before = Instant::now();
        let supervisor = enters(&office, name, "support", "Supervisor", attributes, Mouth::Silence).await;
        comes(name, &agent.call, FIRST, before).await;
        falls_quiet(name, &agent.call).await;
        let before = Instant::now();
        supervisor.leaves().await;
        comes(name, &agent.call, SECOND, before).await;
        falls_quiet(name, &agent.call).await;
        silent_since_invite("the supervisor heard himself", &supervisor.call).await;
        silent_since_invite(&format!("the customer heard the {name}"), &customer.call).await;
    }
    // With sounds of his own it is the same.
    let [file, _, _] = tones::<3>();
    let own = format!(r#"coachMode="true" enterSound="{}""#, music(&office, "/own.wav", file));
    let before = Instant::now();
    let supervisor = enters(&office, "own", "support", "Supervisor", &own, Mouth::Silence).await;
    comes("a sound of his own", &agent.call, file, before).await;
    stays_silent("the customer", &customer.call, 50).await;
    // Who talks to all is heard going by all.
    office.update(&supervisor, json!({ "coach_mode": false })).await;
    let before = Instant::now();
    supervisor.leaves().await;
    comes("he talked to all", &customer.call, SECOND, before).await;
    falls_quiet("he talked to all", &customer.call).await;
    let before = Instant::now();
    let open = enters(&office, "open", "support", "Supervisor", "coachMode=\"false\"", Mouth::Silence).await;
    comes("a supervisor who does not coach", &customer.call, FIRST, before).await;
    drop(open);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_leave_at_once_are_no_louder_than_one_and_many_who_come_neither() {
    let office = Office::open().await;
    let customer = resident(&office, "customer", "Customer", "maxParticipants=\"20\"").await;
    let agent = resident(&office, "agent", "Agent", "").await;
    let [file, _, _] = tones::<3>();
    let own = music(&office, "/exit.wav", file);
    let crowd = async |names: &[String], sounds: &str| {
        let mut phones = Vec::new();
        for name in names {
            let events = office.program.url("/events");
            let document = format!(
                r#"<MultiPartyCall role="Customer" statusCallbackUrl="{events}" {sounds}>support</MultiPartyCall>"#
            );
            office.program.document(&format!("/answer/{name}"), &document);
            phones.push(office.phone(name, Mouth::Silence).await);
        }
        // All call in the same moment.
        let calls = names.iter().zip(phones).map(|(name, phone)| office.calls_in(name, phone));
        let mut running = Vec::new();
        for call in calls {
            running.push(call);
        }
        let mut members = Vec::new();
        let all = futures_in_order(running).await;
        members.extend(all);
        members
    };
    let names = |word: &str| (1..=5).map(|n| format!("{word}-{n}")).collect::<Vec<_>>();
    let before = Instant::now();
    let mut members = crowd(&names("beep"), r#"enterSound="beep:1" exitSound="beep:2""#).await;
    members.extend(crowd(&names("file"), &format!(r#"enterSound="beep:2" exitSound="{own}""#)).await);
    for hearer in [&customer, &agent] {
        comes("entries", &hearer.call, FIRST, before).await;
    }
    falls_quiet("entries", &customer.call).await;
    falls_quiet("entries", &agent.call).await;
    for hearer in [&customer, &agent, &members[0]] {
        let level = loudest_of_all(&hearer.call, before);
        assert!(level < BEEP + 1.0, "{}: many entries reach {level:.1} dBFS", hearer.name);
    }

    // The exits fall together to the tick.
    let numbers = |members: &[Member]| members.iter().map(|m| m.number.clone()).collect::<Vec<_>>().join(",");
    for (what, leaving, tone, level) in [("beeps", &members[..5], SECOND, BEEP), ("files", &members[5..], file, -20.0)]
    {
        let before = Instant::now();
        let path = format!("/MultiPartyCall/uuid_{}/Participant/{}/", customer.room, numbers(leaving));
        let (status, body) = office.rest.request(Method::DELETE, &path, None).await;
        assert_eq!(status, 204, "{body}");
        for hearer in [&customer, &agent] {
            comes(what, &hearer.call, tone, before).await;
            falls_quiet(what, &hearer.call).await;
            let reached = loudest_of_all(&hearer.call, before);
            assert!((reached - level).abs() < 1.0, "{}: five {what} at once reach {reached:.1} dBFS", hearer.name);
        }
    }
}

/// Runs all at once; the results in their order.
async fn futures_in_order<F: Future<Output = Member>>(futures: Vec<F>) -> Vec<Member> {
    let mut pending: Vec<_> = futures.into_iter().map(|future| (Some(Box::pin(future)), None)).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in &mut pending {
            if let Some(running) = future
                && let std::task::Poll::Ready(member) = running.as_mut().poll(cx)
            {
                (*future, *done) = (None, Some(member));
            }
        }
        if pending.iter().all(|(future, _)| future.is_none()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    pending.into_iter().filter_map(|(_, done)| done).collect()
}
