//! Compiled hearing is the rule, for every room that commands can make.

use std::time::Duration;

use conference::hearing::hears;
use conference::{
    Agents, Audience, Clause, EarlyId, Entry, LeaveCause, Listener, MemberId, Mode, PlayerId, Policy, Role, Room,
    Source, Tag, TapId, Wants,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Command {
    Enter(Box<Entry>),
    Leave(u32),
    Mute(u32, bool),
    Hold(u32, bool),
    Deafen(u32, bool),
    Admit(u32),
    Coach(u32, bool, Option<Audience>),
    Tag(u32, Option<u8>),
    Mode(u32, Mode),
    AddPlayer(Audience),
    RemovePlayer(u32),
    AddTap(Wants),
    AddEarly,
    RemoveEarly(u32),
    Start,
}

fn tag(index: u8) -> Tag {
    Tag::new(["agent", "supervisor", "blue"][usize::from(index % 3)])
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Agent), Just(Role::Supervisor), Just(Role::Customer)]
}

fn audience() -> impl Strategy<Value = Audience> {
    let clause = prop_oneof![
        any::<u8>().prop_map(|t| Clause::Tag(tag(t))),
        role().prop_map(Clause::Role),
        (1u32..8).prop_map(|m| Clause::Member(MemberId(m))),
        (1u32..3).prop_map(|t| Clause::Tap(TapId(t))),
    ];
    prop_oneof![Just(Audience::Everyone), prop::collection::vec(clause, 0..3).prop_map(Audience::Only)]
}

fn entry() -> impl Strategy<Value = Box<Entry>> {
    let flags = prop::collection::vec(prop::bool::weighted(0.2), 6);
    (prop::option::of(role()), prop::option::of(any::<u8>()), audience(), flags, any::<bool>()).prop_map(
        |(role, t, coach_audience, flags, start_on_enter)| {
            Box::new(Entry {
                role,
                tag: t.map(tag),
                coach_audience,
                coaching: flags[0],
                muted: flags[1],
                held: flags[2],
                deaf: flags[3],
                end_on_exit: flags[4],
                preparing: flags[5],
                start_on_enter,
                ..Entry::default()
            })
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    let who = 1u32..8;
    let mode = prop_oneof![
        Just(Mode::Monitor),
        Just(Mode::Whisper),
        Just(Mode::Barge),
        Just(Mode::Takeover(Agents::All)),
        (1u32..8).prop_map(|m| Mode::Takeover(Agents::These(vec![MemberId(m)]))),
        Just(Mode::Stop)
    ];
    let wants = prop_oneof![
        Just(Wants::Mix),
        Just(Wants::MixWithoutWhispers),
        (1u32..8).prop_map(|m| Wants::Track(MemberId(m))),
        (1u32..8).prop_map(|m| Wants::EarOf(MemberId(m)))
    ];
    prop_oneof![
        3 => entry().prop_map(Command::Enter),
        1 => who.clone().prop_map(Command::Leave),
        1 => (who.clone(), any::<bool>()).prop_map(|(m, on)| Command::Mute(m, on)),
        1 => (who.clone(), any::<bool>()).prop_map(|(m, on)| Command::Hold(m, on)),
        1 => (who.clone(), any::<bool>()).prop_map(|(m, on)| Command::Deafen(m, on)),
        1 => who.clone().prop_map(Command::Admit),
        2 => (who.clone(), any::<bool>(), prop::option::of(audience())).prop_map(|(m, on, a)| Command::Coach(m, on, a)),
        1 => (who.clone(), prop::option::of(any::<u8>())).prop_map(|(m, t)| Command::Tag(m, t)),
        2 => (who.clone(), mode).prop_map(|(m, mode)| Command::Mode(m, mode)),
        1 => audience().prop_map(Command::AddPlayer),
        1 => (1u32..4).prop_map(Command::RemovePlayer),
        1 => wants.prop_map(Command::AddTap),
        1 => Just(Command::AddEarly),
        1 => (1u32..3).prop_map(Command::RemoveEarly),
        1 => Just(Command::Start),
    ]
}

fn run(room: &mut Room, command: Command) {
    let id = MemberId;
    // A refusal is a result too: it must change nothing, which the rule's check sees.
    let _ = match command {
        Command::Enter(entry) => room.enter(*entry, Duration::ZERO).map(drop),
        Command::Leave(m) => room.leave(id(m), LeaveCause::Hangup),
        Command::Mute(m, on) => room.mute(id(m), on),
        Command::Hold(m, on) => room.hold(id(m), on),
        Command::Deafen(m, on) => room.deafen(id(m), on),
        Command::Admit(m) => room.admit(id(m)),
        Command::Coach(m, on, audience) => room.coach(id(m), on, audience),
        Command::Tag(m, t) => room.tag(id(m), t.map(tag)),
        Command::Mode(m, mode) => room.mode(id(m), &mode),
        Command::AddPlayer(audience) => room.add_player(audience).map(drop),
        Command::RemovePlayer(p) => {
            room.remove_player(PlayerId(p));
            Ok(())
        }
        Command::AddTap(wants) => room.add_tap(wants).map(drop),
        Command::AddEarly => room.add_early().map(drop),
        Command::RemoveEarly(e) => {
            room.remove_early(EarlyId(e));
            Ok(())
        }
        Command::Start => room.start(),
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_plan_is_the_rule(commands in prop::collection::vec(command(), 0..40)) {
        let mut room = Room::open(Policy::default(), Duration::ZERO);
        for command in commands {
            run(&mut room, command);
            let hearing = room.hearing();
            for listener in room.listeners().collect::<Vec<_>>() {
                for source in room.sources().collect::<Vec<_>>() {
                    prop_assert_eq!(
                        hearing.allows(listener, source),
                        hears(&room, listener, source),
                        "{:?} {:?} in {:?}", listener, source, room
                    );
                }
            }
        }
    }

    #[test]
    fn a_member_never_hears_itself_and_a_stranger_never_hears_anything(commands in prop::collection::vec(command(), 0..40)) {
        let mut room = Room::open(Policy::default(), Duration::ZERO);
        for command in commands {
            run(&mut room, command);
        }
        let stranger = Listener::Ear(MemberId(99));
        for source in room.sources().chain([Source::Private(MemberId(1))]).collect::<Vec<_>>() {
            prop_assert!(!hears(&room, stranger, source));
            if let Source::Microphone(id) = source {
                prop_assert!(!hears(&room, Listener::Ear(id), source));
                prop_assert!(!hears(&room, Listener::Ear(id), Source::Microphone(MemberId(99))));
            }
        }
    }

    #[test]
    fn the_tap_of_an_ear_hears_what_the_ear_hears_but_no_whispers_no_ringback_and_nothing_private(
        commands in prop::collection::vec(command(), 0..40)
    ) {
        let mut room = Room::open(Policy::default(), Duration::ZERO);
        for command in commands {
            run(&mut room, command);
        }
        let sources: Vec<Source> = room.sources().chain((1..8).map(|m| Source::Private(MemberId(m)))).collect();
        for member in (1..8).map(MemberId) {
            let Ok(tap) = room.add_tap(Wants::EarOf(member)) else { break };
            for source in &sources {
                let public = match source {
                    Source::Microphone(id) => room.member(*id).is_some_and(|m| !m.is_whispering()),
                    Source::Player(id) => room.player(*id).is_some_and(|audience| !audience.is_whisper()),
                    Source::Private(_) | Source::Early(_) => false,
                };
                let expected = public && hears(&room, Listener::Ear(member), *source);
                prop_assert_eq!(hears(&room, Listener::Tap(tap), *source), expected, "{:?} of {}", source, member);
            }
        }
    }

    #[test]
    fn whoever_takes_part_was_admitted_once_and_nobody_else(commands in prop::collection::vec(command(), 0..40)) {
        use conference::Event;
        use std::collections::BTreeSet;
        let mut room = Room::open(Policy::default(), Duration::ZERO);
        let mut admitted = BTreeSet::new();
        let (mut present, mut started) = (BTreeSet::new(), false);
        for command in commands {
            run(&mut room, command);
            while let Some(event) = room.poll_event() {
                match event {
                    Event::Started => started = true,
                    Event::Joined(id) => prop_assert!(present.insert(id)),
                    Event::Admitted(id) => {
                        prop_assert!(started && present.contains(&id), "admitted before it was in, or before the start");
                        prop_assert!(admitted.insert(id), "admitted twice");
                    }
                    Event::Left(id, _) => {
                        prop_assert!(present.remove(&id));
                        admitted.remove(&id);
                    }
                    _ => {}
                }
            }
            let takes_part: BTreeSet<_> =
                room.members().filter(|m| room.has_started() && !m.preparing).map(|m| m.id).collect();
            prop_assert_eq!(&admitted, &takes_part);
        }
    }

    #[test]
    fn events_tell_every_change_of_hold_mute_and_coaching(commands in prop::collection::vec(command(), 0..40)) {
        use conference::Event;
        use std::collections::BTreeMap;
        let mut room = Room::open(Policy::default(), Duration::ZERO);
        let mut told: BTreeMap<MemberId, (bool, bool, bool)> = BTreeMap::new();
        for command in commands {
            run(&mut room, command);
            while let Some(event) = room.poll_event() {
                match event {
                    Event::Joined(id) => {
                        // What a member enters with is told by the entry itself.
                        if let Some(member) = room.member(id) {
                            told.insert(id, (room.is_held(member), member.muted, member.coaching));
                        }
                    }
                    Event::Left(id, _) => drop(told.remove(&id)),
                    Event::Held(id, on) => if let Some(t) = told.get_mut(&id) { t.0 = on },
                    Event::Muted(id, on) => if let Some(t) = told.get_mut(&id) { t.1 = on },
                    Event::Coaching(id, on) => if let Some(t) = told.get_mut(&id) { t.2 = on },
                    _ => {}
                }
            }
            let actual: BTreeMap<_, _> =
                room.members().map(|m| (m.id, (room.is_held(m), m.muted, m.coaching))).collect();
            prop_assert_eq!(&told, &actual);
        }
    }
}

/// A member with nothing but a role; `false`: its entry does not start the room.
fn plain(role: Role, start_on_enter: bool) -> Entry {
    Entry { role: Some(role), start_on_enter, ..Entry::default() }
}

#[test]
fn who_is_not_answered_yet_is_heard_in_place_of_ringback_and_by_nobody_else() {
    let mut room = Room::open(Policy { stay_alone: true, ..Policy::default() }, Duration::ZERO);
    let early = room.add_early().unwrap();
    let source = Source::Early(early);
    let customer = room.enter(plain(Role::Customer, false), Duration::ZERO).unwrap();
    let deaf = room.enter(Entry { deaf: true, ..plain(Role::Customer, false) }, Duration::ZERO).unwrap();
    let held = room.enter(Entry { held: true, ..plain(Role::Agent, false) }, Duration::ZERO).unwrap();
    let tap = room.add_tap(Wants::Mix).unwrap();
    let ear = Listener::Ear;
    let hearers = |room: &Room| -> Vec<Listener> {
        let hearing = room.hearing();
        room.listeners().filter(|listener| hearing.allows(*listener, source)).collect()
    };
    assert_eq!(hearers(&room), [ear(customer)], "waiting, not deaf, not on hold, no tap");
    assert!(!hears(&room, Listener::Tap(tap), source) && !hears(&room, ear(deaf), source));
    room.hold(held, false).unwrap();
    assert_eq!(hearers(&room), [ear(customer), ear(held)]);
    room.start().unwrap();
    assert_eq!(hearers(&room), [], "in company nobody hears it");
    room.leave(deaf, LeaveCause::Hangup).unwrap();
    room.leave(held, LeaveCause::Hangup).unwrap();
    assert_eq!(hearers(&room), [ear(customer)], "alone again");
    assert!(!hears(&room, ear(customer), Source::Early(EarlyId(early.0 + 1))), "another leg");
    room.remove_early(early);
    assert_eq!(hearers(&room), []);
    assert_ne!(room.add_early().unwrap(), early, "an id is not used again");
}
