//! Sounds and news about a member go the way of its voice.

use std::time::Duration;

use conference::hearing::{hears, listens, sounds, speaks_to};
use conference::{Agents, Entry, Listener, MemberId, Mode, Policy, Role, Room, Source};

const NOW: Duration = Duration::ZERO;

fn room(roles: &[(Role, bool)]) -> (Room, Vec<MemberId>) {
    let mut room = Room::open(Policy::default(), NOW);
    let enter = |(role, coaching): &(Role, bool)| {
        room.enter(Entry { role: Some(*role), coaching: *coaching, ..Entry::default() }, NOW).unwrap()
    };
    let ids = roles.iter().map(enter).collect();
    (room, ids)
}

#[test]
fn whom_a_member_speaks_to_does_not_depend_on_mute_and_hold() {
    let (mut room, ids) =
        room(&[(Role::Customer, false), (Role::Agent, false), (Role::Supervisor, true), (Role::Supervisor, false)]);
    let [customer, agent, coach, open] = ids[..] else { panic!() };
    for change in
        [|_: &mut Room, _| Ok(()), |room: &mut Room, id| room.mute(id, true), |room: &mut Room, id| room.hold(id, true)]
    {
        change(&mut room, coach).unwrap();
        assert!(speaks_to(&room, coach, agent) && speaks_to(&room, coach, open));
        assert!(!speaks_to(&room, coach, customer) && !speaks_to(&room, coach, coach));
    }
    assert!([customer, agent, coach].iter().all(|other| speaks_to(&room, open, *other)));
    assert!(!speaks_to(&room, MemberId(99), agent), "nobody speaks to nobody");
}

#[test]
fn who_listens_and_who_sounds_is_what_the_rule_says_of_those_who_may_hear_each_other() {
    let (mut room, ids) = room(&[(Role::Customer, false), (Role::Agent, false), (Role::Supervisor, false)]);
    let [customer, agent, supervisor] = ids[..] else { panic!() };
    let agree = |room: &Room| {
        for (ear, mouth) in [(customer, agent), (agent, customer), (agent, supervisor), (supervisor, agent)] {
            let both = listens(room, Listener::Ear(ear)) && sounds(room, mouth);
            assert_eq!(both, hears(room, Listener::Ear(ear), Source::Microphone(mouth)), "{mouth} to {ear}");
        }
    };
    agree(&room);
    room.mute(agent, true).unwrap();
    assert!(!sounds(&room, agent) && listens(&room, Listener::Ear(agent)));
    agree(&room);
    room.mode(supervisor, &Mode::Takeover(Agents::All)).unwrap();
    assert!(!listens(&room, Listener::Ear(agent)), "who is set aside does not listen");
    agree(&room);
    let waiting = Entry { start_on_enter: false, ..Entry::default() };
    let mut early = Room::open(Policy::default(), NOW);
    let first = early.enter(waiting, NOW).unwrap();
    assert!(!listens(&early, Listener::Ear(first)) && !sounds(&early, first), "who waits takes no part");
}
