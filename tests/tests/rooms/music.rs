//! Music: who hears whose, and the tick at which it stops.

use std::time::Instant;

use phone::Mouth;
use phone::analysis::continuity;
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{
    hears, never_heard_since, silent_since_invite, stays_silent, stays_silent_since, tones, voice,
};
use system_tests::office::Office;
use system_tests::program::{Reply, tone_wav};

use super::people::{THERE, comes, enters, goes, music, packets_with};

#[tokio::test(flavor = "multi_thread")]
async fn each_role_on_hold_hears_its_own_music_and_nobody_elses() {
    let [agents, customers, _] = tones::<3>();
    let office = Office::open().await;
    let holds = format!(
        r#"stayAlone="true" agentHoldMusicUrl="{}" customerHoldMusicUrl="{}""#,
        music(&office, "/agents.wav", agents),
        music(&office, "/customers.wav", customers)
    );
    let customer = office.joins("customer", "support", "Customer", &holds, Mouth::Silence).await;
    // Whoever enters on hold hears it at once.
    let agent = office.joins("agent", "support", "Agent", "hold=\"true\"", Mouth::Silence).await;
    comes("an agent who enters on hold", &agent.call, agents, Instant::now()).await;
    let supervisor = office.joins("supervisor", "support", "Supervisor", "", Mouth::Silence).await;
    silent_since_invite("the agent's music is the agent's alone", &customer.call).await;
    office.update(&agent, json!({ "hold": false })).await;
    goes("unheld", &agent.call, agents).await;

    for (member, own, other) in
        [(&customer, customers, agents), (&agent, agents, customers), (&supervisor, agents, customers)]
    {
        let others = [&customer, &agent, &supervisor].into_iter().filter(|m| m.number != member.number);
        let before = Instant::now();
        office.update(member, json!({ "hold": true })).await;
        comes(&member.name, &member.call, own, before).await;
        assert!(member.call.ear().wait_more(50, SOON).await);
        never_heard_since(&member.name, &member.call, other, before).await;
        for silent in others {
            stays_silent_since(&format!("{} while {} is on hold", silent.name, member.name), &silent.call, before, 10)
                .await;
        }
        office.update(member, json!({ "hold": false })).await;
        goes(&member.name, &member.call, own).await;
        stays_silent_since(&format!("{} is back", member.name), &member.call, Instant::now(), 25).await;
    }

    // An agent who is set aside by a takeover is on hold like any other.
    let before = Instant::now();
    office.mode(&supervisor, "takeover").await;
    comes("set aside", &agent.call, agents, before).await;
    stays_silent_since("the customer during the takeover", &customer.call, before, 25).await;
    office.mode(&supervisor, "stop").await;
    goes("given back", &agent.call, agents).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_bring_hold_music_under_both_names_and_the_first_that_is_brought_stays() {
    let [agents, customers, late] = tones::<3>();
    let office = Office::open().await;
    let customer = office.joins("customer", "support", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let more = json!({
        "agent_hold_music": music(&office, "/agents.wav", agents),
        "customer_hold_music_url": music(&office, "/customers.wav", customers),
    });
    let agent = office.is_added("agent", &customer.room, "agent", more, Mouth::Silence).await;
    let more = json!({ "customer_hold_music": music(&office, "/late.wav", late) });
    let second = office.is_added("second", &customer.room, "customer", more, Mouth::Silence).await;
    for (member, tone) in [(&agent, agents), (&customer, customers), (&second, customers)] {
        let before = Instant::now();
        office.update(member, json!({ "hold": true })).await;
        comes(&member.name, &member.call, tone, before).await;
        never_heard_since(&member.name, &member.call, late, before).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_music_stops_at_the_tick_at_which_the_other_enters_and_comes_back_when_he_has_gone() {
    let [wait, a, _] = tones::<3>();
    let office = Office::open().await;
    let attributes = format!(r#"stayAlone="true" waitMusicUrl="{}""#, music(&office, "/wait.wav", wait));
    let customer = office.joins("customer", "support", "Customer", &attributes, Mouth::Silence).await;
    comes("alone", &customer.call, wait, Instant::now()).await;
    let before = Instant::now();
    assert!(customer.call.ear().wait_more(10, SOON).await);
    // His entry beep begins at the tick of his entry: it marks that tick in the customer's ear.
    let agent = enters(&office, "agent", "support", "Agent", "exitSound=\"none\"", voice(a)).await;
    comes("the entry", &customer.call, 880, before).await;
    comes("the agent's voice", &customer.call, a, before).await;
    assert!(customer.call.ear().wait_more(25, SOON).await);
    let packets = customer.call.ear().since(before);
    assert!(continuity(&packets).is_lossless(), "{}", continuity(&packets));
    let (with_music, with_beep) = (packets_with(&packets, wait, THERE), packets_with(&packets, 880, THERE));
    let (last, first) = (with_music.last().copied(), with_beep.first().copied());
    assert_eq!(last.map(|last| last + 1), first, "music in {with_music:?}, the beep in {with_beep:?}");
    stays_silent("the agent, to whom nobody has spoken", &agent.call, 10).await;
    let two = [customer.heard(None), agent.heard(Some(a))];
    hears("together", &two, &[("customer", "agent")]).await;
    let left = Instant::now();
    agent.leaves().await;
    comes("alone again", &customer.call, wait, left).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn music_asked_for_by_get_is_fetched_once_for_many_rooms_and_by_post_for_each() {
    let [wait, _, _] = tones::<3>();
    let office = Office::open().await;
    for path in ["/get.wav", "/post.wav"] {
        office.program.reply(path, Reply::Plain(200, "audio/wav", tone_wav(wait, -20.0, 2)));
    }
    let asked = |path: &'static str| office.program.asked().matching(move |asked| asked.path == path);
    for (path, method, times) in [("/get.wav", "GET", 1), ("/post.wav", "POST", 3)] {
        for n in 1..=3 {
            let attributes = format!(
                r#"startMpcOnEnter="false" waitMusicUrl="{}" waitMusicMethod="{method}""#,
                office.program.url(path)
            );
            let name = format!("{}-{n}", method.to_lowercase());
            let member = office.joins(&name, &name, "Customer", &attributes, Mouth::Silence).await;
            comes(&name, &member.call, wait, Instant::now()).await;
            member.leaves().await;
        }
        let requests = asked(path);
        assert_eq!(requests.len(), times, "{path}: {requests:?}");
        assert!(requests.iter().all(|asked| asked.method == method && asked.params.is_empty()), "{requests:?}");
    }
}
