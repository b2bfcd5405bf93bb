//! One house: a room with people of both dialects, and coaches of both.

use phone::Mouth;
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{hears, silent_since_invite, stays_silent, tones, voice};
use system_tests::jambonz::exchange::Exchange;

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_both_dialects_are_reached_by_a_coach_of_either_and_customers_of_both_by_none() {
    let [p, j, _] = tones();
    let exchange = Exchange::open().await;
    let office = &exchange.office;
    let customer = office.joins("customer", "support", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let agent = office.joins("agent", "support", "Agent", "", Mouth::Silence).await;
    let guest = exchange.joins("guest", json!({ "name": "support" }), Mouth::Silence).await;
    let tagged = exchange.joins("tagged", json!({ "name": "support", "memberTag": "agent" }), Mouth::Silence).await;
    assert_eq!(customer.room, tagged.room, "they are in two rooms");
    let supervisor = office.joins("supervisor", "support", "Supervisor", "coachMode=\"true\"", voice(p)).await;
    let coach = exchange.joins("coach", json!({ "name": "support", "speakOnlyTo": "agent" }), voice(j)).await;
    let all = [
        customer.heard(None),
        agent.heard(None),
        guest.heard(None),
        tagged.heard(None),
        supervisor.heard(Some(p)),
        coach.heard(Some(j)),
    ];
    let reached = [
        ("agent", "supervisor"),
        ("agent", "coach"),
        ("tagged", "supervisor"),
        ("tagged", "coach"),
        // A coach of either dialect counts as a supervisor for Plivo's; jambonz's speaks to its tag alone.
        ("coach", "supervisor"),
    ];
    hears("both coach", &all, &reached).await;
    for member in [&customer, &guest] {
        stays_silent(&member.name, &member.call, 25).await;
    }
    // `untag` clears a free tag, never a role.
    for member in [&agent, &tagged] {
        exchange.action(member, json!({ "action": "untag" })).await;
    }
    hears("untag", &all, &[("agent", "supervisor"), ("agent", "coach"), ("coach", "supervisor")]).await;
    // A tag reaches people of both dialects, and makes an agent of a customer while he carries it.
    exchange.action(&customer, json!({ "action": "tag", "tag": "trainee" })).await;
    exchange.action(&guest, json!({ "action": "tag", "tag": "trainee" })).await;
    exchange.action(&coach, json!({ "action": "coach", "tag": "trainee" })).await;
    let trainees = [("agent", "supervisor"), ("customer", "coach"), ("guest", "coach"), ("coach", "supervisor")];
    hears("a tag on people of both", &all, &trainees).await;
    // Each dialect's own word ends its own coach's whisper.
    office.update(&supervisor, json!({ "coach_mode": false })).await;
    exchange.action(&coach, json!({ "action": "uncoach" })).await;
    let everybody: Vec<(&str, &str)> = ["customer", "agent", "guest", "tagged", "supervisor", "coach"]
        .into_iter()
        .flat_map(|listener| [(listener, "supervisor"), (listener, "coach")])
        .filter(|(listener, speaker)| listener != speaker)
        .collect();
    hears("nobody coaches", &all, &everybody).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_dialect_sees_and_changes_the_members_of_the_other() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    let office = &exchange.office;
    let host = exchange.joins("host", json!({ "name": "support", "startConferenceOnEnter": true }), voice(s)).await;
    let agent = office.joins("agent", "support", "Agent", "", Mouth::Silence).await;
    let rooms = exchange.rest.get(&exchange.rest.path("/Conferences?expand=participants")).await;
    let shown: Vec<_> = rooms[0]["participants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["call_sid"].clone(), one["isAgent"].clone()))
        .collect();
    let expected = [(json!(host.call_uuid), json!(false)), (json!(agent.call_uuid), json!(true))];
    assert_eq!(shown, expected, "{rooms}");
    let listed = office.rest.get(&format!("/MultiPartyCall/uuid_{}/Participant/", host.room)).await;
    for member in [&host, &agent] {
        assert!(listed.to_string().contains(&member.call_uuid), "{listed}");
    }
    // Plivo's API mutes a jambonz member; jambonz's holds a Plivo one.
    hears("both speak", &[host.heard(Some(s)), agent.heard(None)], &[("agent", "host")]).await;
    office.update(&host, json!({ "mute": true })).await;
    hears("muted by Plivo's API", &[host.heard(Some(s)), agent.heard(None)], &[]).await;
    exchange.action(&host, json!({ "action": "unmute" })).await;
    hears("unmuted by jambonz's", &[host.heard(Some(s)), agent.heard(None)], &[("agent", "host")]).await;
    exchange.action(&agent, json!({ "action": "hold" })).await;
    hears("held by jambonz's API", &[host.heard(Some(s)), agent.heard(None)], &[]).await;
    office.update(&agent, json!({ "hold": false })).await;
    hears("unheld by Plivo's", &[host.heard(Some(s)), agent.heard(None)], &[("agent", "host")]).await;
    silent_since_invite("the host heard himself", &host.call).await;
    // The creator's dialect decides about the end; each program is told in its own words.
    let (mark, plivo) = (exchange.app.mark(), office.program.mark());
    exchange.action(&host, json!({ "action": "kick" })).await;
    exchange.app.hears(&host.call_uuid, "/conference/host", mark, |_| true).await;
    agent.leaves().await;
    office.program.event("ParticipantExit", plivo, |told| told.param("ParticipantCallUUID") == agent.call_uuid).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_takeover_works_on_a_room_of_the_jambonz_dialect() {
    let [c, a, s] = tones();
    let exchange = Exchange::open().await;
    let customer = exchange.joins("customer", json!({ "name": "support" }), voice(c)).await;
    let agent = exchange.joins("agent", json!({ "name": "support", "memberTag": "agent" }), voice(a)).await;
    let coach = exchange.joins("coach", json!({ "name": "support", "speakOnlyTo": "agent" }), voice(s)).await;
    let three = [customer.heard(Some(c)), agent.heard(Some(a)), coach.heard(Some(s))];
    exchange.office.mode(&coach, "takeover").await;
    hears("takeover", &three, &[("customer", "coach"), ("coach", "customer")]).await;
    exchange.office.mode(&coach, "stop").await;
    exchange.office.mode(&coach, "whisper").await;
    let whisper =
        [("customer", "agent"), ("agent", "customer"), ("agent", "coach"), ("coach", "customer"), ("coach", "agent")];
    hears("whisper", &three, &whisper).await;
    assert!(customer.call.ear().wait_more(10, SOON).await);
    exchange.closes().await;
}
