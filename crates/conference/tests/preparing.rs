//! A member that is in and takes no part yet: it hears something of its own first.

use std::time::Duration;

use conference::hearing::{hears, listens, sounds};
use conference::{
    Agents, Audience, EndCause, Entry, Event, LeaveCause, Listener, MemberId, Mode, Policy, PrivateSound, Role, Room,
    RoomError, Source, Status, Wants,
};

const NOW: Duration = Duration::from_secs(100);

fn entry(role: Role) -> Entry {
    Entry { role: Some(role), ..Entry::default() }
}

fn preparing(role: Role) -> Entry {
    Entry { preparing: true, ..entry(role) }
}

fn waits(entry: Entry) -> Entry {
    Entry { start_on_enter: false, ..entry }
}

fn open() -> Room {
    Room::open(Policy::default(), NOW)
}

fn events(room: &mut Room) -> Vec<Event> {
    std::iter::from_fn(|| room.poll_event()).collect()
}

fn hear(room: &Room, listener: MemberId, speaker: MemberId) -> bool {
    hears(room, Listener::Ear(listener), Source::Microphone(speaker))
}

fn sound(room: &Room, id: MemberId) -> Option<PrivateSound> {
    room.private_sound(room.member(id).unwrap())
}

#[test]
fn who_enters_a_started_room_is_admitted_at_once_unless_it_prepares() {
    let mut room = open();
    let agent = room.enter(entry(Role::Agent), NOW).unwrap();
    events(&mut room);
    let customer = room.enter(entry(Role::Customer), NOW).unwrap();
    assert_eq!(events(&mut room), [Event::Joined(customer), Event::Admitted(customer)]);
    let late = room.enter(preparing(Role::Customer), NOW).unwrap();
    assert_eq!(events(&mut room), [Event::Joined(late)], "in, and takes no part");
    room.admit(late).unwrap();
    assert_eq!(events(&mut room), [Event::Admitted(late)]);
    assert!(hear(&room, late, agent) && hear(&room, agent, late));
}

#[test]
fn who_prepares_neither_hears_nor_is_heard_until_it_is_admitted() {
    let mut room = open();
    let agent = room.enter(entry(Role::Agent), NOW).unwrap();
    let late = room.enter(preparing(Role::Customer), NOW).unwrap();
    let player = Source::Player(room.add_player(Audience::Everyone).unwrap());
    let tap = Listener::Tap(room.add_tap(Wants::Mix).unwrap());
    let ear = Listener::Ear(late);
    assert!(!listens(&room, ear) && !sounds(&room, late));
    assert!(!hear(&room, late, agent) && !hear(&room, agent, late));
    assert!(!hears(&room, ear, player), "no announcement either");
    assert!(!hears(&room, tap, Source::Microphone(late)), "nor does a recorder hear it");
    assert!(hears(&room, ear, Source::Private(late)), "what it hears by itself is what it prepares with");
    let compiled = room.hearing();
    assert!(!compiled.allows(ear, Source::Microphone(agent)) && !compiled.allows(tap, Source::Microphone(late)));
    let before = room.revision();
    room.admit(late).unwrap();
    assert!(room.revision() > before, "hearing has changed");
    assert!(hear(&room, late, agent) && hear(&room, agent, late));
    assert!(hears(&room, ear, player) && hears(&room, tap, Source::Microphone(late)));
}

#[test]
fn admission_is_told_once() {
    let mut room = open();
    let agent = room.enter(entry(Role::Agent), NOW).unwrap();
    let late = room.enter(preparing(Role::Customer), NOW).unwrap();
    room.admit(late).unwrap();
    events(&mut room);
    let before = room.revision();
    room.admit(late).unwrap();
    room.admit(agent).unwrap();
    room.start().unwrap();
    assert_eq!(events(&mut room), []);
    assert_eq!(room.revision(), before, "an admission of who is admitted changes nothing");
}

#[test]
fn who_was_prepared_before_the_start_is_admitted_by_the_start() {
    let mut room = open();
    let first = room.enter(waits(preparing(Role::Customer)), NOW).unwrap();
    let second = room.enter(waits(preparing(Role::Agent)), NOW).unwrap();
    room.admit(first).unwrap();
    assert_eq!(events(&mut room), [Event::Opened, Event::Joined(first), Event::Joined(second)]);
    room.start().unwrap();
    assert_eq!(events(&mut room), [Event::Started, Event::Admitted(first)]);
    room.admit(second).unwrap();
    assert_eq!(events(&mut room), [Event::Admitted(second)]);
}

#[test]
fn who_prepares_starts_the_room_and_the_others_need_not_wait_for_it() {
    let mut room = Room::open(Policy { wait_for: Some(Role::Agent), ..Policy::default() }, NOW);
    let customer = room.enter(entry(Role::Customer), NOW).unwrap();
    let other = room.enter(entry(Role::Customer), NOW).unwrap();
    let agent = room.enter(preparing(Role::Agent), NOW).unwrap();
    assert_eq!(room.status(), Status::Started);
    assert_eq!(
        events(&mut room)[3..],
        [Event::Joined(agent), Event::Started, Event::Admitted(customer), Event::Admitted(other)],
        "the one who starts it is still not admitted"
    );
    assert!(hear(&room, customer, other) && !hear(&room, customer, agent));
}

#[test]
fn who_prepares_is_company_and_has_no_music() {
    let mut room = Room::open(Policy { stay_alone: false, ..Policy::default() }, NOW);
    let agent = room.enter(entry(Role::Agent), NOW).unwrap();
    assert_eq!(sound(&room, agent), Some(PrivateSound::Wait));
    let late = room.enter(preparing(Role::Customer), NOW).unwrap();
    assert_eq!((sound(&room, agent), sound(&room, late)), (None, None));
    room.leave(late, LeaveCause::Hangup).unwrap();
    assert_eq!(
        events(&mut room)[3..],
        [
            Event::Admitted(agent),
            Event::Joined(late),
            Event::Left(late, LeaveCause::Hangup),
            Event::Left(agent, LeaveCause::RoomEnded),
            Event::Ended(EndCause::Alone)
        ],
        "it was never admitted, and its departure leaves the other one alone"
    );
    assert_eq!(room.admit(agent), Err(RoomError::Ended));
}

#[test]
fn who_prepares_alone_or_before_the_start_hears_no_wait_music_and_no_ringback_but_hold_music_on_hold() {
    let mut room = open();
    let first = room.enter(waits(preparing(Role::Customer)), NOW).unwrap();
    let early = Source::Early(room.add_early().unwrap());
    let ear = Listener::Ear(first);
    assert_eq!(sound(&room, first), None, "waits for the start");
    assert!(!hears(&room, ear, early));
    room.start().unwrap();
    assert_eq!(sound(&room, first), None, "alone");
    assert!(!hears(&room, ear, early));
    room.hold(first, true).unwrap();
    assert_eq!(sound(&room, first), Some(PrivateSound::Hold));
    room.hold(first, false).unwrap();
    room.admit(first).unwrap();
    assert_eq!(sound(&room, first), Some(PrivateSound::Wait));
    assert!(hears(&room, ear, early));
}

#[test]
fn what_is_said_to_a_member_while_it_prepares_holds_from_its_admission() {
    let mut room = open();
    let agent = room.enter(entry(Role::Agent), NOW).unwrap();
    let customer = room.enter(entry(Role::Customer), NOW).unwrap();
    let supervisor = room.enter(preparing(Role::Supervisor), NOW).unwrap();
    room.mode(supervisor, &Mode::Whisper).unwrap();
    assert!(!hear(&room, agent, supervisor));
    room.admit(supervisor).unwrap();
    assert!(hear(&room, agent, supervisor) && !hear(&room, customer, supervisor));
    let late = room.enter(preparing(Role::Agent), NOW).unwrap();
    room.mute(late, true).unwrap();
    room.mode(supervisor, &Mode::Takeover(Agents::All)).unwrap();
    room.admit(late).unwrap();
    assert!(!hear(&room, customer, late) && !hear(&room, late, customer), "set aside meanwhile");
    room.mode(supervisor, &Mode::Stop).unwrap();
    assert!(!hear(&room, customer, late) && hear(&room, late, customer), "and muted");
}

#[test]
fn a_stranger_cannot_be_admitted() {
    let mut room = open();
    let gone = room.enter(preparing(Role::Agent), NOW).unwrap();
    room.enter(entry(Role::Customer), NOW).unwrap();
    room.leave(gone, LeaveCause::Hangup).unwrap();
    assert_eq!(room.admit(gone), Err(RoomError::NoSuchMember(gone)));
    assert!(!events(&mut room).contains(&Event::Admitted(gone)));
}
