//! Transfers under a clock of the tests: what is promised when one side says nothing for long.

use super::Wake;
use super::clockwork::{Clockwork, header};
use super::referral::Report;
use crate::given::{Asking, Parting};
use crate::leg::{Action, Command, Leg, LegEvent, Said, SipError};
use tokio::sync::oneshot;

const REFER: &str = "Refer-To: <sip:bob@h?Replaces=a%3Bto-tag%3Db>\r\nReferred-By: <sip:a@h>\r\nUser-Agent: desk\r\n";

async fn clock_and_call() -> (Clockwork, Leg) {
    let mut clock = Clockwork::new().await;
    clock.core.wake(clock.now, Wake::Sweep);
    let (leg, _) = clock.up("1800").await;
    (clock, leg)
}

fn referral(clock: &mut Clockwork, leg: &mut Leg) -> u64 {
    clock.request("REFER", REFER, "");
    let Some(LegEvent::Referred { refer_to, referred_by, user_agent, id, .. }) = told(leg) else {
        panic!("no referral")
    };
    assert_eq!(refer_to, "<sip:bob@h?Replaces=a%3Bto-tag%3Db>");
    assert_eq!((referred_by.as_deref(), user_agent.as_deref()), (Some("<sip:a@h>"), Some("desk")));
    id
}

/// What the engine is told already: the core does not wait, so nothing is under way.
fn told(leg: &mut Leg) -> Option<LegEvent> {
    leg.events.try_recv().ok()
}

fn refers(clock: &mut Clockwork, leg: &Leg) -> oneshot::Receiver<Result<Said, SipError>> {
    let (done, said) = oneshot::channel();
    let asking = Asking::refer("sip:bob@h", None, &[]).unwrap();
    clock.core.command(Command::Ask(leg.control.id, Box::new(asking), done), clock.now);
    said
}

/// Hangs up, and lets everything run out that has a deadline.
async fn nothing_is_left(clock: &mut Clockwork, leg: &Leg, seconds: u64) {
    let _ = clock.core.act(leg.control.id, Action::Hangup(Parting::default()), clock.now);
    let bye = clock.hears("BYE ").await;
    clock.answers(&bye, "200 OK", "", "");
    clock.at(seconds + 34);
    let core = &clock.core;
    assert_eq!((core.dialogs.len(), core.servers.len(), core.clients.len()), (0, 0, 0));
    assert_eq!((core.server_keys.len(), core.client_keys.len(), core.tags.len()), (0, 0, 0));
}

#[tokio::test]
async fn a_referral_that_nobody_decides_on_is_declined_after_twenty_seconds() {
    let (mut clock, mut leg) = clock_and_call().await;
    let id = referral(&mut clock, &mut leg);
    clock.at(19);
    assert_eq!(clock.sent().await, None);
    clock.at(21);
    clock.hears("SIP/2.0 603 Decline").await;
    let late = clock.core.act(leg.control.id, Action::AcceptRefer(id), clock.now);
    assert!(matches!(late, Err(SipError::State(_))), "{late:?}");
    nothing_is_left(&mut clock, &leg, 21).await;
}

#[tokio::test]
async fn an_accepted_referral_that_nobody_ends_is_ended_after_five_minutes() {
    let (mut clock, mut leg) = clock_and_call().await;
    let id = referral(&mut clock, &mut leg);
    clock.core.act(leg.control.id, Action::AcceptRefer(id), clock.now).unwrap();
    clock.hears("SIP/2.0 202 Accepted").await;
    let trying = clock.hears("NOTIFY ").await;
    assert_eq!(header(&trying, "Subscription-State"), "active;expires=300");
    assert!(trying.ends_with("\r\n\r\nSIP/2.0 100 Trying\r\n"), "{trying}");
    clock.answers(&trying, "200 OK", "", "");
    clock.at(299);
    assert_eq!(clock.sent().await, None);
    clock.at(301);
    let last = clock.hears("NOTIFY ").await;
    assert!(header(&last, "Subscription-State").starts_with("terminated"), "{last}");
    assert!(last.ends_with("SIP/2.0 408 Request Timeout\r\n"), "{last}");
    clock.answers(&last, "200 OK", "", "");
    let more = Report { status: 200, reason: None, over: true };
    let more = clock.core.act(leg.control.id, Action::NotifyRefer(id, more), clock.now);
    assert!(matches!(more, Err(SipError::State(_))), "{more:?}");
    nothing_is_left(&mut clock, &leg, 301).await;
}

#[tokio::test]
async fn a_report_that_is_never_answered_ends_the_referral_and_not_the_call() {
    let (mut clock, mut leg) = clock_and_call().await;
    let id = referral(&mut clock, &mut leg);
    clock.core.act(leg.control.id, Action::AcceptRefer(id), clock.now).unwrap();
    let trying = clock.hears("NOTIFY ").await;
    clock.at(1);
    assert_eq!(clock.hears("NOTIFY ").await, trying, "it is repeated");
    clock.at(33);
    while clock.sent().await.is_some() {}
    let late = Report { status: 200, reason: None, over: true };
    let late = clock.core.act(leg.control.id, Action::NotifyRefer(id, late), clock.now);
    assert!(matches!(late, Err(SipError::State(_))), "{late:?}");
    assert_eq!(clock.core.dialogs.len(), 1);
    nothing_is_left(&mut clock, &leg, 33).await;
}

#[tokio::test]
async fn a_peer_that_accepts_and_never_reports_is_given_up() {
    let (mut clock, mut leg) = clock_and_call().await;
    let mut said = refers(&mut clock, &leg);
    let refer = clock.hears("REFER ").await;
    clock.answers(&refer, "202 Accepted", "", "");
    assert_eq!(said.try_recv().unwrap(), Ok((202, "Accepted".to_owned())));
    clock.at(31);
    assert_eq!(told(&mut leg), None);
    clock.at(34);
    assert!(matches!(told(&mut leg), Some(LegEvent::ReferProgress { status: 408, over: true, .. })));
    // What comes now is too late.
    clock.request("NOTIFY", "Event: refer\r\nSubscription-State: active\r\n", "");
    clock.hears("SIP/2.0 481").await;
    nothing_is_left(&mut clock, &leg, 34).await;
}

#[tokio::test]
async fn reports_are_waited_for_as_long_as_the_peer_says() {
    let (mut clock, mut leg) = clock_and_call().await;
    let _said = refers(&mut clock, &leg);
    let refer = clock.hears("REFER ").await;
    let seq = header(&refer, "CSeq").split(' ').next().unwrap().to_owned();
    // The first one overtakes the answer.
    let lines = format!(
        "Event: refer;id={seq}\r\nSubscription-State: active;expires=60\r\nContent-Type: message/sipfrag;version=2.0\r\n"
    );
    clock.request("NOTIFY", &lines, "SIP/2.0 180 Ringing\r\n");
    clock.answers(&refer, "202 Accepted", "", "");
    let ringing = LegEvent::ReferProgress { status: 180, reason: "Ringing".to_owned(), over: false };
    assert_eq!(told(&mut leg), Some(ringing));
    clock.at(91);
    assert_eq!(told(&mut leg), None);
    clock.at(93);
    assert!(matches!(told(&mut leg), Some(LegEvent::ReferProgress { status: 408, over: true, .. })));
    nothing_is_left(&mut clock, &leg, 93).await;
}

#[tokio::test]
async fn a_call_that_ends_takes_its_referrals_requests_and_transfers_along() {
    let (mut clock, mut leg) = clock_and_call().await;
    referral(&mut clock, &mut leg);
    let mut said = refers(&mut clock, &leg);
    clock.hears("REFER ").await;
    clock.core.act(leg.control.id, Action::Hangup(Parting::default()), clock.now).unwrap();
    assert_eq!(said.try_recv().unwrap(), Err(SipError::Gone));
    let refused = clock.hears("SIP/2.0 487").await;
    assert!(header(&refused, "CSeq").ends_with("REFER"), "{refused}");
    nothing_is_left(&mut clock, &leg, 0).await;
}

#[tokio::test]
async fn the_outcome_of_a_transfer_is_reported_before_the_call_is_hung_up() {
    let (mut clock, mut leg) = clock_and_call().await;
    let id = referral(&mut clock, &mut leg);
    clock.core.act(leg.control.id, Action::AcceptRefer(id), clock.now).unwrap();
    for status in [180, 200] {
        let report = Report { status, reason: None, over: status == 200 };
        clock.core.act(leg.control.id, Action::NotifyRefer(id, report), clock.now).unwrap();
    }
    clock.core.act(leg.control.id, Action::Hangup(Parting::default()), clock.now).unwrap();
    // The first is not answered yet; the second was overtaken by the third.
    let reports = [clock.hears("NOTIFY ").await, clock.hears("NOTIFY ").await];
    assert!(
        reports[0].ends_with("SIP/2.0 100 Trying\r\n") && reports[1].ends_with("SIP/2.0 200 OK\r\n"),
        "{reports:?}"
    );
    nothing_is_left(&mut clock, &leg, 0).await;
}

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }
}

/// What the peer does next: asks, reports or answers, sensibly or not.
fn peer_acts(dice: &mut Dice, clock: &mut Clockwork) {
    let fragment = "Content-Type: message/sipfrag\r\n";
    match dice.roll(8) {
        0 => clock.request("REFER", REFER, ""),
        1 => clock.request(dice.pick(&["INFO", "MESSAGE"]), "Content-Type: text/plain\r\n", "hello"),
        2 => clock.request("NOTIFY", "Event: refer;id=1\r\n", ""),
        3 => {
            let state = dice.pick(&["active;expires=9", "terminated", "active;expires=4294967296", "", ";;"]);
            let body = dice.pick(&["SIP/2.0 180 Ringing\r\n", "SIP/2.0 200 OK\r\n", "", "nonsense"]);
            clock.request("NOTIFY", &format!("Event: refer\r\nSubscription-State: {state}\r\n{fragment}"), body);
        }
        _ => {
            let mut open: Vec<_> = clock.core.clients.values().filter(|c| c.waits()).map(|c| c.id).collect();
            open.sort_unstable();
            if open.is_empty() {
                return;
            }
            let request = clock.core.clients[&dice.pick(&open)].sent.request.encode();
            let request = String::from_utf8(request.to_vec()).unwrap();
            let code =
                dice.pick(&["100 Trying", "200 OK", "202 Accepted", "401 No", "486 Busy", "500 Error", "491 Later"]);
            clock.answers(&request, code, dice.pick(&["", "Refer-Sub: false\r\n"]), "");
        }
    }
}

async fn walk(seed: u64) {
    let (mut clock, mut leg) = clock_and_call().await;
    let id = leg.control.id;
    let (mut dice, mut seconds) = (Dice(seed), 0);
    let (mut said, mut known, mut refers, mut over) = (Vec::new(), vec![0], 0, 0);
    for _ in 0..400 {
        match dice.roll(8) {
            0 | 1 => peer_acts(&mut dice, &mut clock),
            2 => {
                let (done, answer) = oneshot::channel();
                let asking = Asking::request("MESSAGE", Some("text/plain"), b"a", &[]).unwrap();
                clock.core.command(Command::Ask(id, Box::new(asking), done), clock.now);
                said.push(answer);
            }
            3 => {
                refers += 1;
                said.push(self::refers(&mut clock, &leg));
            }
            4 => drop(clock.core.act(id, Action::AcceptRefer(dice.pick(&known)), clock.now)),
            5 => drop(clock.core.act(id, Action::RejectRefer(dice.pick(&known), 486), clock.now)),
            6 => {
                let report = Report { status: dice.pick(&[100, 180, 200, 603]), reason: None, over: dice.roll(2) == 0 };
                drop(clock.core.act(id, Action::NotifyRefer(dice.pick(&known), report), clock.now));
            }
            _ => {
                seconds += dice.roll(6) as u64;
                clock.at(seconds);
            }
        }
        while let Ok(event) = leg.events.try_recv() {
            match event {
                LegEvent::Referred { id, .. } => known.push(id),
                LegEvent::ReferProgress { over: true, .. } => over += 1,
                LegEvent::ReferProgress { .. } | LegEvent::Request { .. } => {}
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        let dialog = &clock.core.dialogs[&id];
        let open = (dialog.asked.len(), dialog.transfers.len(), dialog.referrals.len());
        assert!(open.0 <= 16 && open.1 <= 8 && open.2 <= 4 && over <= refers, "seed {seed}: {open:?} {over} {refers}");
    }
    assert!(known.len() > 1 && over > 0, "seed {seed}: it has met little");
    clock.core.act(id, Action::Hangup(Parting::default()), clock.now).unwrap();
    clock.at(seconds + 40);
    let core = &clock.core;
    let left = (core.dialogs.len(), core.servers.len(), core.clients.len(), core.servers_of.len());
    assert_eq!((left, core.server_keys.len(), core.client_keys.len()), ((0, 0, 0, 0), 0, 0), "seed {seed}");
    for mut answer in said {
        assert!(answer.try_recv().is_ok(), "seed {seed}: somebody was never told");
    }
}

#[tokio::test]
async fn whatever_both_sides_do_and_leave_undone_everyone_is_told_and_nothing_is_left() {
    for seed in 1..=25 {
        walk(seed * 0x9e37_79b9_7f4a_7c15).await;
    }
}
