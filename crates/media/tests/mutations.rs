//! Each deliberate fault shows: a suite that looks for it can find it.
#![cfg(feature = "mutations")]

mod common;

use common::{Coached, Member, config, level_at, ms, plan};
use media::mutation::{Mutation, set};
use media::sim::{PhoneSetup, Voice};
use media::{Codec, Play, PlayId, RoomChange, Sound, TapSetup};

/// Whether a phone was sent anything but silence between two ticks' times.
fn sounded(room: &Coached, member: Member, from: u64, to: u64) -> bool {
    let inside = |at: std::time::Duration| at >= ms(from) && at < ms(to);
    room.sim.heard(member.phone).iter().any(|p| inside(p.at) && p.payload.iter().any(|w| *w != 0xff))
}

fn tick_ms(applied: media::Applied) -> u64 {
    ((applied.at_micros - media::sim::UTC_ZERO) / 1_000) as u64
}

fn speaking_supervisor() -> Coached {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.sim.say(room.supervisor.phone, Voice::Tone(2_100.0, -6.0));
    room
}

fn narrowing_is_late() -> bool {
    let mut room = speaking_supervisor();
    room.apply(false, Vec::new());
    room.sim.run_ms(1_000);
    let at = tick_ms(room.apply(true, Vec::new()));
    room.sim.run_ms(200);
    sounded(&room, room.customer, at, at + 20)
}

fn listeners_are_late() -> bool {
    let mut room = speaking_supervisor();
    room.sim.run_ms(1_000);
    // The whisper moves to another bus, which the customer heard until now.
    let (c, a, s) = (room.customer.leg, room.agent.leg, room.supervisor.leg);
    room.revision += 1;
    let plan = plan(room.revision, 2, &[(c, 1), (a, 1), (s, 0)], &[(c, &[1]), (a, &[0, 1]), (s, &[1])]);
    let pending = room.sim.plane().change_room(room.room, RoomChange { plan, ..RoomChange::default() });
    room.sim.wait(pending).expect("applied");
    room.sim.run_ms(200);
    sounded(&room, room.customer, 0, u64::MAX / 2)
}

fn speaker_hears_himself() -> bool {
    let mut room = speaking_supervisor();
    room.apply(false, Vec::new());
    room.sim.run_ms(1_000);
    sounded(&room, room.supervisor, 0, u64::MAX / 2)
}

fn removed_place_is_heard() -> bool {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.sim.run_ms(500);
    let gone = room.sim.plane().remove_leg(room.agent.leg);
    room.sim.wait(gone).expect("removed");
    let phone = room.sim.phone(PhoneSetup::mu_law(9));
    room.sim.call(phone, Some(0)).expect("a leg");
    room.sim.say(phone, Voice::Tone(2_100.0, -6.0));
    room.sim.run_ms(1_000);
    sounded(&room, room.customer, 0, u64::MAX / 2)
}

fn old_mix_lives_on() -> bool {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.sim.say(room.customer.phone, Voice::Tone(700.0, -15.0));
    room.apply(false, Vec::new());
    room.sim.run_ms(1_000);
    room.sim.say(room.customer.phone, Voice::Silence);
    room.sim.say(room.agent.phone, Voice::Tone(1_500.0, -15.0));
    room.sim.run_ms(500);
    let since = room.sim.now();
    room.sim.run_ms(500);
    level_at(&room.sim.samples(room.customer.phone, since), 1_500.0) < -40.0
}

fn buffered_whisper_is_heard() -> bool {
    let jitter = media::JitterConfig { minimum: ms(160), ..media::JitterConfig::default() };
    let mut room = Coached::new(media::MediaConfig { jitter, ..config(1) }, Codec::Pcmu);
    room.sim.say(room.supervisor.phone, Voice::Noise(9_000));
    room.sim.run_ms(2_000);
    room.sim.say(room.supervisor.phone, Voice::Silence);
    room.apply(false, Vec::new());
    room.sim.run_ms(1_000);
    sounded(&room, room.customer, 0, u64::MAX / 2)
}

fn private_player_is_heard_by_others() -> bool {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.sim.say(room.agent.phone, Voice::Tone(640.0, -20.0));
    room.apply(false, Vec::new());
    let mut tone = vec![0; 8_000];
    audio::Tone::new(3_100.0, -10.0, 8_000).fill(&mut tone);
    let play = room.sim.plane().play(room.customer.leg, Play::forever(PlayId(4), Sound::from_samples(&tone)));
    room.sim.wait(play).expect("played");
    room.sim.run_ms(300);
    let since = room.sim.now();
    room.sim.run_ms(1_000);
    level_at(&room.sim.samples(room.supervisor.phone, since), 3_100.0) > -40.0
}

fn unplanned_leg_hears() -> bool {
    let mut room = speaking_supervisor();
    let phone = room.sim.phone(PhoneSetup::mu_law(9));
    let stranger = Member { phone, leg: room.sim.call(phone, Some(0)).expect("a leg") };
    room.apply(false, vec![stranger.leg]);
    room.sim.run_ms(1_000);
    sounded(&room, stranger, 0, u64::MAX / 2)
}

fn tap_hears_a_whisper() -> bool {
    let mut room = speaking_supervisor();
    let plane = room.sim.plane().clone();
    let (tap, mut reader) = plane.open_tap(TapSetup::room(room.room)).expect("a tap");
    let mut public = room.plan(true);
    public.listeners.push(media::PlanListener { ear: tap.into(), buses: vec![media::BusId(0)] });
    let pending = plane.change_room(room.room, RoomChange { plan: public, ..RoomChange::default() });
    room.sim.wait(pending).expect("applied");
    room.sim.run_ms(500);
    std::iter::from_fn(|| reader.read()).any(|frame| frame.outbound != [0; 160])
}

#[test]
fn every_mutation_shows_and_without_it_nothing_does() {
    let looks: [(Mutation, fn() -> bool); 9] = [
        (Mutation::StalePlan, narrowing_is_late),
        (Mutation::PlanInTwoHalves, listeners_are_late),
        (Mutation::SelfNotSubtracted, speaker_hears_himself),
        (Mutation::SlotReused, removed_place_is_heard),
        (Mutation::BusCacheNotInvalidated, old_mix_lives_on),
        (Mutation::WideningNotDelayed, buffered_whisper_is_heard),
        (Mutation::PrivatePlayerShared, private_player_is_heard_by_others),
        (Mutation::UnplannedLegHears, unplanned_leg_hears),
        (Mutation::TapHearsAll, tap_hears_a_whisper),
    ];
    let every: Vec<Mutation> = Mutation::ALL.into_iter().chain(Mutation::OF_TAPS).collect();
    assert_eq!(looks.map(|(mutation, _)| mutation)[..], every[..]);
    for (mutation, shows) in looks {
        set(None);
        assert!(!shows(), "{mutation:?} shows without being there");
        set(Some(mutation));
        assert!(shows(), "{mutation:?} does not show");
    }
    set(None);
}
