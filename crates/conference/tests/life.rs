//! How a room starts and ends, and what its modes do.

use std::time::Duration;

use conference::{
    Agents, EndCause, Entry, Event, LeaveCause, Listener, MemberId, Mode, Policy, PrivateSound, Role, Room, RoomError,
    Source, Status, hearing::hears,
};

const NOW: Duration = Duration::from_secs(100);

fn entry(role: Role) -> Entry {
    Entry { role: Some(role), ..Entry::default() }
}

fn room(policy: Policy, roles: &[Role]) -> (Room, Vec<MemberId>) {
    let mut room = Room::open(policy, NOW);
    let ids = roles.iter().map(|role| room.enter(entry(*role), NOW).unwrap()).collect();
    (room, ids)
}

fn events(room: &mut Room) -> Vec<Event> {
    std::iter::from_fn(|| room.poll_event()).collect()
}

fn hear(room: &Room, listener: MemberId, speaker: MemberId) -> bool {
    hears(room, Listener::Ear(listener), Source::Microphone(speaker))
}

#[test]
fn a_room_starts_with_the_first_member_who_starts_it_and_not_before() {
    let mut room = Room::open(Policy::default(), NOW);
    let waits = Entry { start_on_enter: false, ..entry(Role::Customer) };
    let customer = room.enter(waits, NOW).unwrap();
    assert_eq!(room.status(), Status::Waiting);
    let agent = room.enter(entry(Role::Agent), NOW).unwrap();
    assert_eq!(
        events(&mut room),
        [
            Event::Opened,
            Event::Joined(customer),
            Event::Joined(agent),
            Event::Started,
            Event::Admitted(customer),
            Event::Admitted(agent)
        ]
    );
    assert!(hear(&room, customer, agent) && hear(&room, agent, customer));
}

#[test]
fn nobody_hears_anybody_before_the_start() {
    let mut room = Room::open(Policy::default(), NOW);
    let waits = |role| Entry { start_on_enter: false, ..entry(role) };
    let a = room.enter(waits(Role::Customer), NOW).unwrap();
    let b = room.enter(waits(Role::Agent), NOW).unwrap();
    assert!(!hear(&room, a, b) && !hear(&room, b, a));
    room.start().unwrap();
    assert!(hear(&room, a, b) && hear(&room, b, a));
}

#[test]
fn a_room_that_waits_for_an_agent_starts_with_him() {
    let policy = Policy { wait_for: Some(Role::Agent), ..Policy::default() };
    let (mut room, _) = room(policy, &[Role::Customer, Role::Supervisor]);
    assert_eq!(room.status(), Status::Waiting);
    room.enter(entry(Role::Agent), NOW).unwrap();
    assert_eq!(room.status(), Status::Started);
}

#[test]
fn the_first_member_may_be_alone_but_the_last_may_not_unless_the_policy_says_so() {
    let policy = Policy { stay_alone: false, ..Policy::default() };
    let (mut alone, ids) = room(policy, &[Role::Customer]);
    assert_eq!(alone.status(), Status::Started);
    let agent = alone.enter(entry(Role::Agent), NOW).unwrap();
    alone.leave(agent, LeaveCause::Hangup).unwrap();
    assert_eq!(alone.status(), Status::Ended);
    let last = events(&mut alone);
    assert_eq!(last[last.len() - 2..], [Event::Left(ids[0], LeaveCause::RoomEnded), Event::Ended(EndCause::Alone)]);

    let (mut stays, ids) = room(Policy { stay_alone: true, ..Policy::default() }, &[Role::Customer, Role::Agent]);
    stays.leave(ids[1], LeaveCause::Hangup).unwrap();
    assert_eq!(stays.status(), Status::Started);
    stays.leave(ids[0], LeaveCause::Hangup).unwrap();
    assert_eq!(events(&mut stays).last(), Some(&Event::Ended(EndCause::Empty)));
}

#[test]
fn a_room_does_not_end_while_somebody_is_being_dialled_into_it() {
    let policy = Policy { stay_alone: false, ..Policy::default() };
    let (mut room, ids) = room(policy, &[Role::Customer, Role::Agent]);
    room.expect_member().unwrap();
    room.leave(ids[1], LeaveCause::Hangup).unwrap();
    assert_eq!(room.status(), Status::Started);
    room.expectation_over();
    assert_eq!(room.status(), Status::Ended);
}

#[test]
fn the_room_ends_after_its_longest_duration_and_after_waiting_too_long() {
    let policy = Policy { max_duration: Some(Duration::from_secs(300)), ..Policy::default() };
    let (mut long, _) = room(policy, &[Role::Agent]);
    assert_eq!(long.next_timeout(), Some(NOW + Duration::from_secs(300)));
    long.handle_timeout(NOW + Duration::from_secs(299));
    assert_eq!(long.status(), Status::Started);
    long.handle_timeout(NOW + Duration::from_secs(300));
    assert_eq!(events(&mut long).last(), Some(&Event::Ended(EndCause::MaxDuration)));

    let policy = Policy { max_wait: Some(Duration::from_secs(30)), wait_for: Some(Role::Agent), ..Policy::default() };
    let (mut waiting, _) = room(policy, &[Role::Customer]);
    waiting.handle_timeout(NOW + Duration::from_secs(30));
    assert_eq!(events(&mut waiting).last(), Some(&Event::Ended(EndCause::NotStarted)));
}

#[test]
fn a_full_room_refuses_and_changes_nothing() {
    let (mut room, _) = room(Policy { max_members: 2, ..Policy::default() }, &[Role::Agent, Role::Customer]);
    let before = room.revision();
    assert_eq!(room.enter(entry(Role::Supervisor), NOW), Err(RoomError::Full { max: 2 }));
    assert_eq!(room.expect_member(), Err(RoomError::Full { max: 2 }));
    assert_eq!(room.revision(), before);
}

#[test]
fn an_ended_room_refuses_every_command() {
    let (mut room, ids) = room(Policy::default(), &[Role::Agent]);
    room.end(EndCause::Requested).unwrap();
    assert_eq!(room.mute(ids[0], true), Err(RoomError::Ended));
    assert_eq!(room.enter(entry(Role::Agent), NOW), Err(RoomError::Ended));
    assert_eq!(room.mode(ids[0], &Mode::Barge), Err(RoomError::Ended));
    assert_eq!(room.next_timeout(), None);
}

#[test]
fn modes_are_for_supervisors_and_a_customer_who_whispers_is_none() {
    let (mut room, ids) = room(Policy::default(), &[Role::Customer, Role::Agent, Role::Supervisor]);
    for id in &ids[..2] {
        for mode in [Mode::Monitor, Mode::Barge, Mode::Takeover(Agents::All), Mode::Stop] {
            assert_eq!(room.mode(*id, &mode), Err(RoomError::NotASupervisor(*id)));
        }
    }
    room.mode(ids[2], &Mode::Whisper).unwrap();
    room.coach(ids[0], true, None).unwrap();
    assert!(!hear(&room, ids[0], ids[2]), "a customer hears what supervisors say to supervisors");
    assert!(hear(&room, ids[1], ids[2]));
}

#[test]
fn music_is_for_who_waits_is_alone_or_is_on_hold() {
    let mut room = Room::open(Policy::default(), NOW);
    let id = room.enter(entry(Role::Customer), NOW).unwrap();
    let sound = |room: &Room, id| room.private_sound(room.member(id).unwrap());
    assert_eq!(room.status(), Status::Started);
    assert_eq!(sound(&room, id), Some(PrivateSound::Wait), "alone, though the room has started");
    let agent = room.enter(entry(Role::Agent), NOW).unwrap();
    assert_eq!(sound(&room, id), None);
    room.hold(id, true).unwrap();
    assert_eq!((sound(&room, id), sound(&room, agent)), (Some(PrivateSound::Hold), None));
}

#[test]
fn each_mode_is_what_it_says() {
    let (mut room, ids) = room(Policy::default(), &[Role::Customer, Role::Agent, Role::Supervisor]);
    let [customer, agent, supervisor] = ids[..] else { unreachable!() };
    let heard_by = |room: &Room| (hear(room, customer, supervisor), hear(room, agent, supervisor));
    room.mode(supervisor, &Mode::Monitor).unwrap();
    assert_eq!(heard_by(&room), (false, false));
    room.mode(supervisor, &Mode::Whisper).unwrap();
    assert_eq!(heard_by(&room), (false, true));
    room.mode(supervisor, &Mode::Barge).unwrap();
    assert_eq!(heard_by(&room), (true, true));
    room.mode(supervisor, &Mode::Takeover(Agents::All)).unwrap();
    assert_eq!(heard_by(&room), (true, false));
    assert!(!hear(&room, customer, agent) && !hear(&room, agent, customer));
    assert!(hear(&room, supervisor, customer));
    room.mode(supervisor, &Mode::Stop).unwrap();
    assert_eq!(heard_by(&room), (false, false));
    assert!(hear(&room, customer, agent) && hear(&room, agent, customer));
}

#[test]
fn a_mode_asked_for_twice_is_one_event() {
    let (mut room, ids) = room(Policy::default(), &[Role::Agent, Role::Supervisor]);
    events(&mut room);
    for _ in 0..2 {
        room.mode(ids[1], &Mode::Takeover(Agents::All)).unwrap();
    }
    assert_eq!(events(&mut room), [Event::Takeover(ids[1], true), Event::Held(ids[0], true)]);
}

#[test]
fn stop_brings_back_each_agents_own_hold_mute_and_duty() {
    let (mut room, ids) = room(Policy::default(), &[Role::Agent, Role::Agent, Role::Supervisor]);
    let (first, second, supervisor) = (ids[0], ids[1], ids[2]);
    room.hold(second, true).unwrap();
    room.mute(first, true).unwrap();
    room.mode(supervisor, &Mode::Takeover(Agents::All)).unwrap();
    let held = |room: &Room, id| room.is_held(room.member(id).unwrap());
    assert!(held(&room, first) && held(&room, second));
    room.mode(supervisor, &Mode::Stop).unwrap();
    assert!(!held(&room, first) && held(&room, second));
    assert!(room.member(first).unwrap().muted);
}

#[test]
fn during_a_takeover_the_duty_to_end_the_room_is_the_supervisors() {
    let mut room = Room::open(Policy::default(), NOW);
    room.enter(entry(Role::Customer), NOW).unwrap();
    let agent = room.enter(Entry { end_on_exit: true, ..entry(Role::Agent) }, NOW).unwrap();
    let supervisor = room.enter(entry(Role::Supervisor), NOW).unwrap();
    room.mode(supervisor, &Mode::Takeover(Agents::All)).unwrap();
    let duty = |room: &Room, id| room.ends_room_on_exit(room.member(id).unwrap());
    assert!(!duty(&room, agent) && duty(&room, supervisor));
    room.leave(agent, LeaveCause::Hangup).unwrap();
    assert_eq!(room.status(), Status::Started, "the agent hung up, the customer is still served");
}

#[test]
fn a_supervisor_who_leaves_during_a_takeover_gives_the_call_back_first() {
    let policy = Policy { stay_alone: false, ..Policy::default() };
    let mut room = Room::open(policy, NOW);
    let customer = room.enter(entry(Role::Customer), NOW).unwrap();
    let agent = room.enter(Entry { end_on_exit: true, ..entry(Role::Agent) }, NOW).unwrap();
    let supervisor = room.enter(entry(Role::Supervisor), NOW).unwrap();
    room.mode(supervisor, &Mode::Takeover(Agents::All)).unwrap();
    events(&mut room);
    room.leave(supervisor, LeaveCause::Hangup).unwrap();
    assert_eq!(
        events(&mut room),
        [Event::Left(supervisor, LeaveCause::Hangup), Event::Held(agent, false), Event::Takeover(supervisor, false)]
    );
    assert!(hear(&room, customer, agent) && hear(&room, agent, customer));
}

#[test]
fn an_agent_who_enters_during_a_takeover_of_all_is_set_aside() {
    let (mut room, ids) = room(Policy::default(), &[Role::Customer, Role::Agent, Role::Supervisor]);
    room.mode(ids[2], &Mode::Takeover(Agents::All)).unwrap();
    let late = room.enter(entry(Role::Agent), NOW).unwrap();
    assert!(!hear(&room, late, ids[0]) && !hear(&room, ids[0], late));
}

#[test]
fn one_call_is_taken_over_by_one_supervisor_at_a_time() {
    let (mut room, ids) = room(Policy::default(), &[Role::Agent, Role::Supervisor, Role::Supervisor]);
    room.mode(ids[1], &Mode::Takeover(Agents::All)).unwrap();
    assert_eq!(room.mode(ids[2], &Mode::Takeover(Agents::All)), Err(RoomError::TakenOver(ids[1])));
    let himself = Mode::Takeover(Agents::These(vec![ids[1]]));
    assert_eq!(room.mode(ids[1], &himself), Err(RoomError::NotAnAgent(ids[1])));
}
