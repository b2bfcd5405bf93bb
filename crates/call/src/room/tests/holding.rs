//! A call is told of its hold when the room has done it, whoever asked for that.

use super::*;
use crate::room::Hold;
use crate::session::HoldTold;

fn wait() -> Fetch {
    Fetch::new("https://app.example.com/wait", Method::Post)
}

async fn told(messages: &mut mpsc::Receiver<CallMessage>) -> HoldTold {
    match tokio::time::timeout(SOON, messages.recv()).await {
        Ok(Some(CallMessage::Hold(told))) => *told,
        _ => panic!("the call is not told of its hold"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_told_when_it_is_done_and_its_end_whoever_asks_for_it() {
    let house = House::open(config(44_700)).await;
    let room = house.room_of("jambonz", Policy::default());
    let (held, mut messages) = house.enters(&room, Role::Customer).await;
    let (_other, mut others) = house.enters(&room, Role::Agent).await;
    let hold = async |on, wait| {
        let hold = Hold { member: held.member, on, wait };
        room.enqueue_hold(hold, Asker::server()).unwrap().await.unwrap();
    };
    let elsewhere = async |on| {
        let change = MemberChange { hold: Some(on), ..MemberChange::default() };
        room.change(Whom::Members(vec![held.number]), change, Asker::server()).await.unwrap();
    };
    let mut last = 0;
    let mut next = async |messages: &mut mpsc::Receiver<CallMessage>| {
        let told = told(messages).await;
        assert_eq!((told.room.as_str(), told.member), (room.uuid(), held.member));
        assert!(std::mem::replace(&mut last, told.number) < told.number, "what is told later has no greater number");
        (told.held, told.wait)
    };
    hold(true, Some(wait())).await;
    assert_eq!(next(&mut messages).await, (true, Some(wait())));
    elsewhere(false).await;
    assert_eq!(next(&mut messages).await, (false, None));
    // A hold by another interface has no music to begin.
    elsewhere(true).await;
    hold(true, Some(wait())).await;
    assert_eq!(next(&mut messages).await, (true, Some(wait())));
    hold(true, None).await;
    assert_eq!(next(&mut messages).await, (true, None));
    hold(false, None).await;
    assert_eq!(next(&mut messages).await, (false, None));
    room.end(Asker::server()).await.unwrap();
    // The first that the other hears of is the end.
    let over = tokio::time::timeout(SOON, others.recv()).await.unwrap();
    assert!(matches!(over, Some(CallMessage::LeftRoom(..))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_the_room_refuses_is_not_told() {
    let house = House::open(config(44_900)).await;
    let room = house.room_of("jambonz", Policy::default());
    let (member, mut messages) = house.enters(&room, Role::Customer).await;
    let (other, _others) = house.enters(&room, Role::Agent).await;
    house.stands_still();
    // Each changes something, so each is a command for the shard; far more than its queue holds.
    let mut answers = Vec::new();
    for n in 0..64 {
        let whom = Whom::Members(vec![other.number]);
        answers.push(room.enqueue_change(whom, mute(n % 2 == 0), Asker::server()).unwrap());
    }
    let hold = Hold { member: member.member, on: true, wait: Some(wait()) };
    let refused = room.enqueue_hold(hold, Asker::server()).unwrap().await;
    assert!(matches!(refused, Err(CommandError::Busy(_))), "{refused:?}");
    assert!(room.snapshot().await.unwrap().members.iter().all(|member| !member.held));
    house.goes_on();
    room.end(Asker::server()).await.unwrap();
    // The first that it hears of is the end.
    let over = tokio::time::timeout(SOON, messages.recv()).await.unwrap();
    assert!(matches!(over, Some(CallMessage::LeftRoom(..))));
}
