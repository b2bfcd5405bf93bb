//! A departure that ends the room at a later time.

use std::time::Duration;

use conference::{Agents, EndCause, Entry, Event, LeaveCause, MemberId, Mode, Policy, Role, Room, RoomError, Status};

const NOW: Duration = Duration::from_secs(100);

fn at(seconds: u64) -> Duration {
    NOW + Duration::from_secs(seconds)
}

fn customer() -> Entry {
    Entry { role: Some(Role::Customer), ..Entry::default() }
}

/// Whose departure ends the room.
fn ends(role: Role) -> Entry {
    Entry { role: Some(role), end_on_exit: true, ..Entry::default() }
}

fn room(policy: Policy, entries: &[Entry]) -> (Room, Vec<MemberId>) {
    let mut room = Room::open(policy, NOW);
    let ids = entries.iter().map(|entry| room.enter(entry.clone(), NOW).unwrap()).collect();
    while room.poll_event().is_some() {}
    (room, ids)
}

fn events(room: &mut Room) -> Vec<Event> {
    std::iter::from_fn(|| room.poll_event()).collect()
}

fn goes(room: &mut Room, id: MemberId, until: u64) {
    room.defer_end(id, at(until)).unwrap();
    room.leave(id, LeaveCause::Hangup).unwrap();
}

fn hangup(id: MemberId) -> Event {
    Event::Left(id, LeaveCause::Hangup)
}

#[test]
fn the_room_goes_on_until_the_time_that_the_departure_gave_it() {
    let (mut room, ids) = room(Policy::default(), &[ends(Role::Agent), customer(), customer()]);
    assert_eq!(room.next_timeout(), None);
    room.defer_end(ids[0], at(30)).unwrap();
    assert_eq!(room.next_timeout(), None, "it is no departure yet");
    room.leave(ids[0], LeaveCause::Hangup).unwrap();
    assert_eq!(room.next_timeout(), Some(at(30)));
    room.handle_timeout(at(30) - Duration::from_nanos(1));
    assert_eq!((room.status(), room.members().count()), (Status::Started, 2));
    assert_eq!(events(&mut room), [hangup(ids[0])]);
    room.handle_timeout(at(30));
    let over = |id| Event::Left(id, LeaveCause::RoomEnded);
    assert_eq!(events(&mut room), [over(ids[1]), over(ids[2]), Event::Ended(EndCause::EndOnExit)]);
    assert_eq!(room.next_timeout(), None);
    room.handle_timeout(at(40));
    assert_eq!(events(&mut room), [], "it ends once");
    assert_eq!(room.defer_end(ids[1], at(50)), Err(RoomError::Ended));
}

#[test]
fn a_second_departure_cannot_prolong_it_and_may_shorten_it() {
    let entries = [ends(Role::Agent), ends(Role::Agent), ends(Role::Agent), ends(Role::Agent), customer()];
    let (mut room, ids) = room(Policy::default(), &entries);
    goes(&mut room, ids[0], 30);
    goes(&mut room, ids[1], 45);
    assert_eq!(room.next_timeout(), Some(at(30)));
    goes(&mut room, ids[2], 20);
    assert_eq!(room.next_timeout(), Some(at(20)));
    room.leave(ids[3], LeaveCause::Hangup).unwrap();
    assert_eq!(
        events(&mut room).last(),
        Some(&Event::Ended(EndCause::EndOnExit)),
        "who put nothing off ends it at once"
    );
}

#[test]
fn a_departure_that_would_not_end_the_room_puts_nothing_off() {
    let (mut room, ids) = room(Policy::default(), &[customer(), customer()]);
    goes(&mut room, ids[0], 30);
    assert_eq!(room.next_timeout(), None);
    assert_eq!(room.defer_end(ids[0], at(30)), Err(RoomError::NoSuchMember(ids[0])));
    assert_eq!(room.status(), Status::Started);
}

#[test]
fn a_room_that_everybody_leaves_earlier_ends_as_empty() {
    let (mut empty, ids) = room(Policy::default(), &[ends(Role::Agent), customer(), customer()]);
    goes(&mut empty, ids[0], 30);
    for id in &ids[1..] {
        assert_eq!(empty.status(), Status::Started);
        empty.leave(*id, LeaveCause::Hangup).unwrap();
    }
    let left = [hangup(ids[0]), hangup(ids[1]), hangup(ids[2]), Event::Ended(EndCause::Empty)];
    assert_eq!(events(&mut empty), left);

    let (mut last, ids) = room(Policy::default(), &[ends(Role::Agent)]);
    goes(&mut last, ids[0], 30);
    assert_eq!(events(&mut last), [hangup(ids[0]), Event::Ended(EndCause::Empty)], "nobody is left to wait");

    let (mut alone, ids) = room(Policy { stay_alone: false, ..Policy::default() }, &[ends(Role::Agent), customer()]);
    goes(&mut alone, ids[0], 30);
    assert_eq!(events(&mut alone).last(), Some(&Event::Ended(EndCause::Alone)));
}

#[test]
fn whoever_comes_meanwhile_is_in_until_the_end_and_whoever_is_dialled_does_not_prolong_it() {
    let (mut room, ids) = room(Policy::default(), &[ends(Role::Agent), customer()]);
    room.expect_member().unwrap();
    goes(&mut room, ids[0], 30);
    room.leave(ids[1], LeaveCause::Hangup).unwrap();
    assert_eq!(room.status(), Status::Started, "somebody is being dialled");
    let late = room.enter(ends(Role::Agent), at(10)).unwrap();
    room.expectation_over();
    assert_eq!(room.next_timeout(), Some(at(30)), "another agent does not take it back");
    events(&mut room);
    room.handle_timeout(at(30));
    assert_eq!(events(&mut room), [Event::Left(late, LeaveCause::RoomEnded), Event::Ended(EndCause::EndOnExit)]);
}

#[test]
fn of_several_limits_the_first_one_is_the_cause_even_when_the_clock_is_looked_at_late() {
    let policy = Policy {
        max_duration: Some(Duration::from_secs(60)),
        max_wait: Some(Duration::from_secs(40)),
        wait_for: Some(Role::Supervisor),
        ..Policy::default()
    };
    for (until, cause) in [(30, EndCause::EndOnExit), (50, EndCause::NotStarted), (90, EndCause::NotStarted)] {
        let (mut room, ids) = room(policy.clone(), &[ends(Role::Agent), customer()]);
        goes(&mut room, ids[0], until);
        assert_eq!(room.next_timeout(), Some(at(until.min(40))));
        room.handle_timeout(at(100));
        assert_eq!(events(&mut room).last(), Some(&Event::Ended(cause)), "put off for {until} s");
    }
    for (until, cause) in [(50, EndCause::EndOnExit), (90, EndCause::MaxDuration)] {
        let (mut room, ids) = room(policy.clone(), &[ends(Role::Agent), customer()]);
        room.start().unwrap();
        goes(&mut room, ids[0], until);
        assert_eq!(room.next_timeout(), Some(at(until.min(60))));
        room.handle_timeout(at(100));
        assert_eq!(events(&mut room).last(), Some(&Event::Ended(cause)), "started, put off for {until} s");
    }
}

#[test]
fn an_agent_whom_a_takeover_sets_aside_neither_ends_the_room_nor_puts_it_off() {
    let supervisor = Entry { role: Some(Role::Supervisor), ..Entry::default() };
    let (mut room, ids) = room(Policy::default(), &[customer(), ends(Role::Agent), supervisor]);
    room.mode(ids[2], &Mode::Takeover(Agents::All)).unwrap();
    goes(&mut room, ids[1], 30);
    assert_eq!((room.status(), room.next_timeout()), (Status::Started, None));
}

#[test]
fn a_supervisor_who_leaves_during_a_takeover_puts_off_his_own_duty_and_gives_theirs_back() {
    let plain = Entry { role: Some(Role::Supervisor), ..Entry::default() };
    let (mut borrowed, ids) = room(Policy::default(), &[customer(), ends(Role::Agent), plain]);
    borrowed.mode(ids[2], &Mode::Takeover(Agents::All)).unwrap();
    events(&mut borrowed);
    goes(&mut borrowed, ids[2], 30);
    let given_back = |agent, by| [hangup(by), Event::Held(agent, false), Event::Takeover(by, false)];
    assert_eq!(events(&mut borrowed), given_back(ids[1], ids[2]));
    assert_eq!(borrowed.next_timeout(), None, "the duty was the agent's");
    goes(&mut borrowed, ids[1], 30);
    assert_eq!(borrowed.next_timeout(), Some(at(30)), "and is again");

    let (mut own, ids) = room(Policy::default(), &[customer(), ends(Role::Agent), ends(Role::Supervisor)]);
    own.mode(ids[2], &Mode::Takeover(Agents::All)).unwrap();
    events(&mut own);
    goes(&mut own, ids[2], 30);
    assert_eq!(events(&mut own), given_back(ids[1], ids[2]), "the call is given back at once, the room goes on");
    assert_eq!(own.next_timeout(), Some(at(30)));
    own.handle_timeout(at(30));
    assert_eq!(events(&mut own).last(), Some(&Event::Ended(EndCause::EndOnExit)));
}
