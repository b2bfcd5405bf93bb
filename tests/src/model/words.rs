//! A history's words in the product's terms and in the model's. `number` finds the member that a phone is; 0 is nobody.

use conference::{Agents, Audience, Clause, Entry, MemberId, Mode, Role, Tag, TapId, Wants};

use super::history::{Entrance, Part, Posture, Reach, TapFor};
use super::rule::{Ears, Person, Stance, Want, Who};

pub(super) fn audience(reach: &Reach, number: impl Fn(usize) -> u32) -> Audience {
    let clause = |part: &Part| match part {
        Part::Tag(tag) => Some(Clause::Tag(Tag::new(tag))),
        Part::Role(role) => Role::parse(role).map(Clause::Role),
        Part::Phone(phone) => Some(Clause::Member(MemberId(number(*phone)))),
        Part::Tap(tap) => Some(Clause::Tap(TapId(*tap))),
    };
    match reach {
        Reach::All => Audience::Everyone,
        Reach::Only(parts) => Audience::Only(parts.iter().filter_map(clause).collect()),
    }
}

pub(super) fn ears(reach: &Reach, number: impl Fn(usize) -> u32) -> Ears {
    let who = |part: &Part| match part {
        Part::Tag(tag) => Who::Tag((*tag).to_owned()),
        Part::Role(role) => Who::Role((*role).to_owned()),
        Part::Phone(phone) => Who::Person(number(*phone)),
        Part::Tap(tap) => Who::Tap(*tap),
    };
    match reach {
        Reach::All => Ears::All,
        Reach::Only(parts) => Ears::Only(parts.iter().map(who).collect()),
    }
}

pub(super) fn entry(e: &Entrance, number: impl Fn(usize) -> u32) -> Entry {
    Entry {
        role: e.role.and_then(Role::parse),
        tag: e.tag.map(Tag::new),
        coach_audience: audience(&e.reach, number),
        coaching: e.coaching,
        muted: e.muted,
        held: e.held,
        deaf: e.deaf,
        start_on_enter: e.starts,
        end_on_exit: e.ends,
        relay_digits: false,
        preparing: e.preparing,
    }
}

pub(super) fn person(e: &Entrance, number: impl Fn(usize) -> u32) -> Person {
    Person {
        number: 0,
        role: e.role.map(str::to_owned),
        tag: e.tag.map(str::to_owned),
        confidants: ears(&e.reach, number),
        coaching: e.coaching,
        muted: e.muted,
        held: e.held,
        deaf: e.deaf,
        ends: e.ends,
        starts: e.starts,
        preparing: e.preparing,
        put_off: None,
    }
}

pub(super) fn mode(posture: &Posture, number: impl Fn(usize) -> u32) -> Mode {
    match posture {
        Posture::Monitor => Mode::Monitor,
        Posture::Whisper => Mode::Whisper,
        Posture::Barge => Mode::Barge,
        Posture::Takeover(None) => Mode::Takeover(Agents::All),
        Posture::Takeover(Some(phones)) => {
            Mode::Takeover(Agents::These(phones.iter().map(|p| MemberId(number(*p))).collect()))
        }
        Posture::Stop => Mode::Stop,
    }
}

pub(super) fn stance(posture: &Posture, number: impl Fn(usize) -> u32) -> Stance {
    match posture {
        Posture::Monitor => Stance::Monitor,
        Posture::Whisper => Stance::Whisper,
        Posture::Barge => Stance::Barge,
        Posture::Takeover(phones) => {
            Stance::Takeover(phones.as_ref().map(|list| list.iter().map(|p| number(*p)).collect()))
        }
        Posture::Stop => Stance::Stop,
    }
}

pub(super) fn tap(what: TapFor, number: impl Fn(usize) -> u32) -> (Wants, Want) {
    match what {
        TapFor::Mix => (Wants::Mix, Want::Mix),
        TapFor::Public => (Wants::MixWithoutWhispers, Want::Public),
        TapFor::EarOf(phone) => (Wants::EarOf(MemberId(number(phone))), Want::EarOf(number(phone))),
        TapFor::Voice(phone) => (Wants::Track(MemberId(number(phone))), Want::Voice(number(phone))),
    }
}
