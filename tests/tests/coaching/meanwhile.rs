//! What may happen while somebody whispers.

use std::time::Instant;

use phone::Mouth;
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{
    SETTLING, hears, never_heard_since, silent_since, silent_since_invite, stays_silent, tones, voice,
};
use system_tests::office::{Member, Office};

/// A customer and an agent who are silent, and a supervisor who whispers his tone from his first packet on.
async fn whisper(office: &Office, room: &str, tone: u32) -> (Member, Member, Member) {
    let customer = office.joins("customer", room, "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let agent = office.joins("agent", room, "Agent", "", Mouth::Silence).await;
    let supervisor = office.joins("supervisor", room, "Supervisor", "coachMode=\"true\"", voice(tone)).await;
    hears(
        "whisper",
        &[customer.heard(None), agent.heard(None), supervisor.heard(Some(tone))],
        &[("agent", "supervisor")],
    )
    .await;
    (customer, agent, supervisor)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_who_enters_already_coaching_is_never_heard_by_the_customer() {
    let [_, _, s] = tones::<3>();
    let office = Office::open().await;
    let (customer, agent, supervisor) = whisper(&office, "support", s).await;
    stays_silent("the customer", &customer.call, 50).await;
    silent_since_invite("the supervisor heard himself", &supervisor.call).await;
    supervisor.leaves().await;
    stays_silent("after the supervisor has gone", &customer.call, 50).await;
    drop(agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_during_a_whisper_hears_it_only_as_an_agent() {
    let [_, _, s] = tones::<3>();
    let office = Office::open().await;
    let (customer, agent, supervisor) = whisper(&office, "support", s).await;
    // By the phone, and dialled by a program.
    let late = office.joins("late-customer", "support", "Customer", "", Mouth::Silence).await;
    let dialled = office.is_added("dialled-customer", &customer.room, "customer", json!({}), Mouth::Silence).await;
    let colleague = office.joins("colleague", "support", "Agent", "", Mouth::Silence).await;
    let all = [
        customer.heard(None),
        agent.heard(None),
        supervisor.heard(Some(s)),
        late.heard(None),
        dialled.heard(None),
        colleague.heard(None),
    ];
    hears("six in the room", &all, &[("agent", "supervisor"), ("colleague", "supervisor")]).await;
    for member in [&customer, &late, &dialled, &supervisor] {
        stays_silent(&member.name, &member.call, 25).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whisper_to_agents_who_leave_or_are_kicked_is_heard_by_nobody() {
    let [_, _, s] = tones::<3>();
    let office = Office::open().await;
    let (customer, agent, supervisor) = whisper(&office, "support", s).await;
    let second = office.joins("second", "support", "Agent", "", Mouth::Silence).await;
    let mark = office.program.mark();
    agent.leaves().await;
    office.program.event("ParticipantExit", mark, |event| event.param("MemberID") == agent.number).await;
    hears(
        "one agent left",
        &[customer.heard(None), second.heard(None), supervisor.heard(Some(s))],
        &[("second", "supervisor")],
    )
    .await;
    office.rest.delete(&format!("/MultiPartyCall/uuid_{}/Participant/{}/", second.room, second.number)).await;
    second.call.wait_ended(SOON).await.unwrap();
    stays_silent("the customer, with no agent left", &customer.call, 75).await;
    stays_silent("the supervisor", &supervisor.call, 25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_gained_opens_the_ear_and_a_tag_lost_closes_it() {
    let [_, _, s] = tones::<3>();
    let office = Office::open().await;
    let (customer, agent, supervisor) = whisper(&office, "support", s).await;
    let trainee = office.joins("trainee", "support", "Customer", "", Mouth::Silence).await;
    office.patch(&supervisor, json!({ "coach_audience": { "tags": ["trainee"] } })).await;
    let nobody = Instant::now() + SETTLING;
    let all = [customer.heard(None), agent.heard(None), supervisor.heard(Some(s)), trainee.heard(None)];
    hears("a tag that nobody has", &all, &[]).await;
    assert!(agent.call.ear().wait_more(25, SOON).await);
    silent_since("the agent hears a whisper that is not for him any more", &agent.call, nobody).await;
    stays_silent("the trainee without the tag", &trainee.call, 25).await;
    office.patch(&trainee, json!({ "tag": "trainee" })).await;
    hears("the tag is gained", &all, &[("trainee", "supervisor")]).await;
    let lost = office.patch(&trainee, json!({ "tag": null })).await + SETTLING;
    hears("the tag is lost", &all, &[]).await;
    silent_since("the trainee hears without the tag", &trainee.call, lost).await;
    stays_silent("the customer throughout", &customer.call, 25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_gets_no_ear_for_whispers_by_being_made_a_coach_or_by_a_mode() {
    let [_, _, s] = tones::<3>();
    let office = Office::open().await;
    let (customer, agent, supervisor) = whisper(&office, "support", s).await;
    for (member, mode) in [(&customer, "monitor"), (&customer, "whisper"), (&agent, "takeover")] {
        let path = format!("/rooms/{}/members/{}/mode", member.room, member.number);
        let (status, refused) = office.native.request(reqwest::Method::PUT, &path, Some(json!({ "mode": mode }))).await;
        assert_eq!(status, 409, "{mode} for the {}: {refused}", member.name);
    }
    office.patch(&customer, json!({ "coach": true })).await;
    hears(
        "a customer who coaches",
        &[customer.heard(None), agent.heard(None), supervisor.heard(Some(s))],
        &[("agent", "supervisor")],
    )
    .await;
    stays_silent("the customer who coaches", &customer.call, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_during_a_whisper_cuts_the_held_off_and_opens_nothing() {
    let [c, a, s] = tones();
    let office = Office::open().await;
    let (customer, agent, supervisor) = whisper(&office, "support", s).await;
    let held = office.update(&agent, json!({ "hold": true })).await + SETTLING;
    let three = [customer.heard(None), agent.heard(None), supervisor.heard(Some(s))];
    hears("the agent is held", &three, &[]).await;
    silent_since("a held agent without hold music hears something", &agent.call, held).await;
    silent_since_invite("the customer heard the whisper", &customer.call).await;
    office.update(&agent, json!({ "hold": false })).await;
    hears("the agent is back", &three, &[("agent", "supervisor")]).await;
    office.update(&supervisor, json!({ "hold": true })).await;
    hears("the supervisor is held", &three, &[]).await;
    office.update(&supervisor, json!({ "hold": false })).await;
    office.update(&customer, json!({ "hold": true })).await;
    hears("the customer is held", &three, &[("agent", "supervisor")]).await;
    office.update(&customer, json!({ "hold": false })).await;
    silent_since_invite("the customer heard the whisper", &customer.call).await;
    customer.speaks(c).await;
    agent.speaks(a).await;
    let allowed = [
        ("customer", "agent"),
        ("agent", "customer"),
        ("agent", "supervisor"),
        ("supervisor", "customer"),
        ("supervisor", "agent"),
    ];
    hears("all speak again", &[customer.heard(Some(c)), agent.heard(Some(a)), supervisor.heard(Some(s))], &allowed)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_whispered_stays_a_whisper_when_coaching_ends() {
    let [_, _, s] = tones::<3>();
    let office = Office::open().await;
    let (customer, agent, supervisor) = whisper(&office, "support", s).await;
    for _ in 0..20 {
        // He falls silent, and in the same breath everybody may hear him: what is still buffered was a whisper.
        supervisor.falls_silent().await;
        office.update(&supervisor, json!({ "coach_mode": false })).await;
        assert!(customer.call.ear().wait_more(15, SOON).await);
        office.update(&supervisor, json!({ "coach_mode": true })).await;
        supervisor.speaks(s).await;
        assert!(agent.call.ear().wait_heard(s, -30.0, Instant::now(), SOON).await.is_some());
    }
    silent_since_invite("the customer heard the end of a whisper", &customer.call).await;
    // The ear is open, not deaf.
    office.update(&supervisor, json!({ "coach_mode": false })).await;
    let three = [customer.heard(None), agent.heard(None), supervisor.heard(Some(s))];
    hears("talking to both", &three, &[("customer", "supervisor"), ("agent", "supervisor")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_rapid_flips_while_all_talk_leave_the_room_as_the_last_one_says() {
    let [c, a, s] = tones();
    let office = Office::open().await;
    let customer = office.joins("customer", "support", "Customer", "", voice(c)).await;
    let agent = office.joins("agent", "support", "Agent", "", voice(a)).await;
    let supervisor = office.joins("supervisor", "support", "Supervisor", "coachMode=\"true\"", voice(s)).await;
    let path = format!("/MultiPartyCall/uuid_{}/Participant/{}/", supervisor.room, supervisor.number);
    let mark = office.program.mark();
    let mut unheard = Vec::new();
    for flip in 0..200 {
        let coach = flip % 2 == 1;
        // The native API has no limit per account that this rate would exceed.
        office.native.change(&supervisor.room, &supervisor.number, json!({ "coach": coach })).await;
        if coach {
            unheard.push(Instant::now());
        }
    }
    let three = [customer.heard(Some(c)), agent.heard(Some(a)), supervisor.heard(Some(s))];
    let coaching = [
        ("customer", "agent"),
        ("agent", "customer"),
        ("agent", "supervisor"),
        ("supervisor", "customer"),
        ("supervisor", "agent"),
    ];
    hears("after the last flip", &three, &coaching).await;
    never_heard_since("after the last flip", &customer.call, s, unheard[unheard.len() - 1] + SETTLING).await;
    let shown = office.rest.get(&path).await;
    assert_eq!(shown["coach_mode"], true, "{shown}");
    for (name, times) in [("ParticipantCoachModeStart", 100), ("ParticipantCoachModeStop", 100)] {
        office.program.asked().expect_times(name, times, mark, SOON, |asked| asked.event() == name).await;
    }
    for member in [&customer, &agent, &supervisor] {
        let stream = phone::analysis::continuity(&member.call.ear().packets());
        assert!(stream.is_lossless() && stream.ssrcs.len() == 1, "{}: {stream}", member.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_supervisors_whisper_to_the_agent_and_hear_each_other() {
    let [_, t, s] = tones();
    let office = Office::open().await;
    let (customer, agent, supervisor) = whisper(&office, "support", s).await;
    let second = office.joins("second", "support", "Supervisor", "coachMode=\"true\"", voice(t)).await;
    let four = [customer.heard(None), agent.heard(None), supervisor.heard(Some(s)), second.heard(Some(t))];
    let allowed = [("agent", "supervisor"), ("agent", "second"), ("supervisor", "second"), ("second", "supervisor")];
    hears("two whisper", &four, &allowed).await;
    silent_since_invite("the customer heard a whisper", &customer.call).await;
    office.update(&second, json!({ "coach_mode": false })).await;
    let allowed = [
        ("agent", "supervisor"),
        ("agent", "second"),
        ("supervisor", "second"),
        ("second", "supervisor"),
        ("customer", "second"),
    ];
    hears("one talks to all", &four, &allowed).await;
    never_heard_since("the other still whispers", &customer.call, s, Instant::now() - SETTLING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_sets_the_agent_aside_and_stop_brings_everything_back() {
    let [c, a, s] = tones();
    let office = Office::open().await;
    let (customer, agent, supervisor) = whisper(&office, "support", s).await;
    customer.speaks(c).await;
    agent.speaks(a).await;
    let three = [customer.heard(Some(c)), agent.heard(Some(a)), supervisor.heard(Some(s))];
    office.mode(&supervisor, "takeover").await;
    let apart = Instant::now() + SETTLING;
    hears("takeover", &three, &[("customer", "supervisor"), ("supervisor", "customer")]).await;
    silent_since("the agent who was set aside hears something", &agent.call, apart).await;
    office.mode(&supervisor, "stop").await;
    let allowed = [("customer", "agent"), ("agent", "customer"), ("supervisor", "customer"), ("supervisor", "agent")];
    hears("stop is monitor", &three, &allowed).await;
    office.mode(&supervisor, "whisper").await;
    let allowed = [
        ("customer", "agent"),
        ("agent", "customer"),
        ("agent", "supervisor"),
        ("supervisor", "customer"),
        ("supervisor", "agent"),
    ];
    hears("whisper", &three, &allowed).await;
    // A supervisor who leaves during a takeover gives the agent back.
    office.mode(&supervisor, "takeover").await;
    hears("takeover again", &three, &[("customer", "supervisor"), ("supervisor", "customer")]).await;
    let mark = office.program.mark();
    supervisor.leaves().await;
    office.program.event("ParticipantExit", mark, |event| event.param("MemberID") == supervisor.number).await;
    hears("the supervisor is gone", &three[..2], &[("customer", "agent"), ("agent", "customer")]).await;
}
