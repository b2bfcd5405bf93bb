//! `conference` and `listen`.

use call::verb::{
    Join, JoinHooks, MemberSettings, Notice, RoomSettings, Stream, StreamChange, StreamMix, TwoWay, Verb,
};
use conference::{Audience, Entry, Policy, Tag};

use super::Reach;
use crate::callbacks::StatusCallbacks;
use crate::hook::HookError;
use crate::rest::SAMPLE_RATES;
use crate::verbs::{self, Conference, Entrance, Listen, ListenChange, MixType};

impl Reach {
    pub(super) fn conference(&self, conference: &Conference, id: Option<&str>) -> Result<Verb, HookError> {
        let callbacks = match &conference.status {
            Some(status) if !status.events.is_empty() => {
                StatusCallbacks { to: self.fetch(&status.hook)?, status: status.clone() }.to_json()
            }
            _ => None,
        };
        let audience = conference.speak_only_to.as_deref().map(|tag| Audience::tag(Tag::new(tag)));
        let own = Entry::default();
        let entry = Entry {
            role: None,
            tag: conference.member_tag.as_deref().map(Tag::new),
            coaching: audience.is_some(),
            coach_audience: audience.unwrap_or(own.coach_audience),
            muted: conference.join_muted,
            held: false,
            deaf: false,
            start_on_enter: conference.entrance != Entrance::Waits,
            end_on_exit: conference.end_on_exit,
            relay_digits: conference.distribute_dtmf,
            preparing: false,
        };
        let policy = Policy {
            max_members: self.most_members,
            max_duration: None,
            max_wait: None,
            stay_alone: true,
            wait_for: None,
        };
        Ok(Verb::Join(Box::new(Join {
            room: conference.name.clone(),
            entry,
            room_settings: RoomSettings {
                policy,
                callbacks: callbacks.clone(),
                record: conference.record.is_some(),
                ..RoomSettings::default()
            },
            member_settings: MemberSettings {
                enter_sound: if conference.beep { Notice::Beeps(1) } else { Notice::Silent },
                callbacks,
                moderator: conference.entrance == Entrance::Moderates,
                end_grace: conference.end_grace,
                max_members: conference.max_participants.map(|most| most.min(self.most_members)),
                ..MemberSettings::default()
            },
            hooks: JoinHooks {
                wait: self.optional(conference.wait_hook.as_ref())?,
                enter: self.optional(conference.enter_hook.as_ref())?,
                action: self.action(conference.action_hook.as_ref(), id)?,
                stream: conference.listen.as_deref().map(|listen| self.listen(listen, None)).transpose()?.map(Box::new),
            },
        })))
    }

    pub(super) fn listen(&self, listen: &Listen, id: Option<&str>) -> Result<Stream, HookError> {
        Ok(Stream {
            url: self.stream(&listen.url)?,
            auth: listen.auth.clone(),
            sample_rate: nearest(listen.sample_rate),
            mix: match listen.mix {
                MixType::Mono => StreamMix::Inbound,
                MixType::Stereo => StreamMix::Stereo,
                MixType::Mixed => StreamMix::Mixed,
            },
            metadata: listen.metadata.as_ref().map(ToString::to_string),
            digits: listen.pass_dtmf,
            two_way: match listen.two_way {
                verbs::TwoWay::Off => None,
                verbs::TwoWay::Files => Some(TwoWay { streaming: false, sample_rate: 8_000 }),
                verbs::TwoWay::Streaming { sample_rate } => {
                    Some(TwoWay { streaming: true, sample_rate: nearest(sample_rate) })
                }
            },
            limit: listen.max_length,
            silence: listen.timeout,
            finish_on: verbs::keys(&listen.finish_on_key).collect(),
            beep: listen.play_beep,
            action: self.action(listen.action_hook.as_ref(), id)?,
            id: id.map(str::to_owned),
        })
    }

    /// A stream beside the instructions.
    pub(super) fn stream_change(&self, change: &ListenChange, id: Option<&str>) -> Result<StreamChange, HookError> {
        Ok(match (&change.listen, change.enable) {
            (_, false) => StreamChange::Stop,
            (Some(listen), true) => StreamChange::Start(Box::new(self.listen(listen, id)?)),
            (None, true) => StreamChange::Resume,
        })
    }
}

/// The rate that is nearest to the one asked for. What is sent is told in the first message.
fn nearest(asked: u32) -> u32 {
    SAMPLE_RATES.into_iter().min_by_key(|rate| rate.abs_diff(asked)).unwrap_or(8_000)
}
