//! The verbs, one by one.

use std::time::Duration;

use call::verb::{
    Connect, Dequeue, DubAction, Enqueue, Gather, Hangup, KeyPattern, Play, Prompt, Refer, Refusal, Report, Settings,
    Target, TargetKind, Understanding, Verb,
};

use super::{Reach, prompts};
use crate::hook::HookError;
use crate::verbs::{self, Complete, Config, Dial, Instruction, Recognizer};

/// How long a dialled party rings where the program does not say.
const RINGING: Duration = Duration::from_secs(60);
/// What counts as no limit.
const EVER: Duration = Duration::from_secs(365 * 86_400);
/// Most digits of an input without a limit of its own.
const MOST_DIGITS: usize = 128;
/// The keys of a phone.
const KEYS: &str = "0123456789*#ABCD";
/// Silence that ends what is said, where the program does not say.
const SPOKEN: Duration = Duration::from_secs(1);

type Read<T> = Result<T, HookError>;

impl Reach {
    /// What an instruction runs as, in order; several where a part of it cannot be run and is told.
    pub(super) fn verbs(&self, instruction: Instruction) -> Read<Vec<Verb>> {
        let id = instruction.id.as_deref();
        Ok(vec![match &instruction.verb {
            verbs::Verb::Answer => Verb::Answer,
            verbs::Verb::Alert(text) => Verb::Ring(text.clone()),
            verbs::Verb::Say(say) => heard(prompts::say(say)),
            verbs::Verb::Play(play) => {
                let action = self.action(play.action_hook.as_ref(), id)?;
                match (action, play.timeout) {
                    (None, None) => heard(self.play(play)),
                    (action, limit) => Verb::Play(Box::new(Play { prompts: self.play(play), limit, action })),
                }
            }
            verbs::Verb::Pause(length) => Verb::Prompt(Prompt::Silence(*length)),
            verbs::Verb::Gather(gather) => Verb::Gather(self.gather(gather, id)?),
            verbs::Verb::Dial(dial) => return self.dial(dial, id),
            verbs::Verb::Conference(conference) => self.conference(conference, id)?,
            verbs::Verb::Enqueue(enqueue) => Verb::Enqueue(Box::new(Enqueue {
                name: enqueue.name.clone(),
                // Those without a priority come last.
                priority: enqueue.priority.map_or(i64::MAX, whole),
                wait: self.optional(enqueue.wait_hook.as_ref())?,
                action: self.action(enqueue.action_hook.as_ref(), id)?,
            })),
            verbs::Verb::Dequeue(dequeue) => Verb::Dequeue(Box::new(Dequeue {
                name: dequeue.name.clone(),
                call: dequeue.call_sid.clone(),
                timeout: dequeue.timeout,
                beep: dequeue.beep,
                action: self.action(dequeue.action_hook.as_ref(), id)?,
            })),
            verbs::Verb::Leave => Verb::Leave,
            verbs::Verb::Listen(listen) => Verb::Stream(Box::new(self.listen(listen, id)?)),
            verbs::Verb::Dub(dub) => Verb::Dub(self.dub(dub)),
            verbs::Verb::Dtmf(dtmf) => Verb::SendDigits(dtmf.keys().collect()),
            verbs::Verb::Tag(data) => Verb::Attach(data.to_string()),
            verbs::Verb::Config(config) => Verb::Configure(Box::new(self.config(config, id)?)),
            verbs::Verb::Message(message) => Verb::Message(self.action(message.action_hook.as_ref(), id)?),
            verbs::Verb::Decline(decline) => Verb::Hangup(Hangup {
                refusal: Some(Refusal::Status {
                    code: decline.status,
                    reason: decline.reason.clone(),
                    headers: decline.headers.clone(),
                }),
                ..Hangup::default()
            }),
            verbs::Verb::Refer(refer) => Verb::Refer(Box::new(Refer {
                to: refer.refer_to.clone(),
                referred_by: refer.referred_by.clone(),
                headers: refer.headers.clone(),
                action: self.action(refer.action_hook.as_ref(), id)?,
                events: self.optional(refer.event_hook.as_ref())?,
            })),
            verbs::Verb::Redirect(redirect) => Verb::Redirect(self.fetch(&redirect.action_hook)?),
            verbs::Verb::Hangup(headers) => Verb::Hangup(Hangup { headers: headers.clone(), ..Hangup::default() }),
            verbs::Verb::Unsupported(name) => Verb::Unsupported(name.clone()),
        }])
    }

    fn gather(&self, gather: &verbs::Gather, id: Option<&str>) -> Read<Gather> {
        let mut prompts = gather.say.as_ref().map(prompts::say).unwrap_or_default();
        prompts.extend(gather.play.iter().flat_map(|play| self.play(play)));
        let first_digit = gather.timeout.unwrap_or(EVER);
        let speech = gather
            .speech
            .then(|| Box::new(understanding(gather.recognizer.as_ref(), gather.speech_timeout.unwrap_or(SPOKEN))));
        Ok(Gather {
            prompts,
            action: self.action(gather.action_hook.as_ref(), id)?,
            report: Report::Outcome,
            first_digit,
            next_digit: gather.complete.inter_digit.unwrap_or(first_digit),
            finish_on: finish_on(&gather.complete).filter(|_| gather.digits),
            min_digits: usize::try_from(gather.complete.min_digits).unwrap_or(1),
            max_digits: max_digits(&gather.complete),
            valid: if gather.digits { KEYS.to_owned() } else { String::new() },
            invalid_sound: None,
            attempts: 1,
            beep: false,
            interrupts: gather.digits && gather.dtmf_bargein,
            speech,
        })
    }

    fn dial(&self, dial: &Dial, id: Option<&str>) -> Read<Vec<Verb>> {
        let mut verbs = Vec::new();
        let mut targets = Vec::new();
        for target in &dial.targets {
            match self.target(target)? {
                Some(target) => targets.push(target),
                None if verbs.is_empty() => {
                    verbs.push(Verb::Unsupported("dial, to a target of type teams,".to_owned()))
                }
                None => {}
            }
        }
        if targets.is_empty() {
            return Ok(verbs);
        }
        let hook = self.optional(dial.dtmf_hook.as_ref())?;
        let pattern = |keys: &String, callee: bool| {
            let keys: String = verbs::keys(keys).collect();
            let hook = hook.clone().filter(|_| !keys.is_empty())?;
            Some(KeyPattern { keys, callee, hook })
        };
        let capture = &dial.dtmf_capture;
        let keys = capture
            .parent
            .iter()
            .map(|keys| (keys, false))
            .chain(capture.child.iter().map(|keys| (keys, true)))
            .filter_map(|(keys, callee)| pattern(keys, callee))
            .collect();
        verbs.push(Verb::Connect(Box::new(Connect {
            targets,
            answer_on_bridge: dial.answer_on_bridge,
            caller_id: dial.caller_id.clone(),
            caller_name: dial.caller_name.clone(),
            ring_timeout: dial.timeout.unwrap_or(RINGING),
            limit: dial.time_limit,
            music: dial.dial_music.as_deref().map(|url| self.sound(url)),
            headers: dial.headers.clone(),
            confirm: self.optional(dial.confirm_hook.as_ref())?,
            action: self.action(dial.action_hook.as_ref(), id)?,
            keys,
            refer_hook: self.optional(dial.refer_hook.as_ref())?,
            stream: dial.listen.as_deref().map(|listen| self.listen(listen, None)).transpose()?.map(Box::new),
            attached: dial.tag.as_ref().map(ToString::to_string),
        })));
        Ok(verbs)
    }

    /// Who is meant; `None`: somebody who cannot be called from here.
    pub(crate) fn target(&self, target: &verbs::Target) -> Read<Option<Target>> {
        let address = target.address.clone();
        let kind = match target.kind {
            verbs::TargetKind::Phone => TargetKind::Number { number: address, trunk: target.trunk.clone() },
            verbs::TargetKind::Sip => TargetKind::Uri(address),
            verbs::TargetKind::User => TargetKind::Endpoint(address),
            verbs::TargetKind::Teams => return Ok(None),
        };
        Ok(Some(Target {
            kind,
            headers: target.headers.clone(),
            confirm: self.optional(target.confirm_hook.as_ref())?,
            auth: target.auth.as_ref().map(|auth| (auth.username.clone(), auth.password.clone())),
        }))
    }

    /// A change of a track.
    pub(crate) fn dub(&self, dub: &verbs::Dub) -> call::verb::Dub {
        call::verb::Dub {
            action: match dub.action {
                verbs::DubAction::Add => DubAction::Add,
                verbs::DubAction::Remove => DubAction::Remove,
                verbs::DubAction::Silence => DubAction::Silence,
                verbs::DubAction::Play | verbs::DubAction::Say => DubAction::Play,
            },
            track: dub.track.clone(),
            prompts: self.track(dub.play.as_deref(), dub.say.as_ref(), dub.repeat),
            gain_db: dub.gain_db,
        }
    }

    /// Settings of the call.
    pub(crate) fn config(&self, config: &Config, id: Option<&str>) -> Read<Settings> {
        let reset = config.reset.iter().any(|setting| setting == "synthesizer");
        let voice = match &config.synthesizer {
            Some(synthesizer) => Some(Some(prompts::voice(Some(synthesizer)))),
            None => reset.then_some(None),
        };
        let barge_in = match &config.barge_in {
            None => None,
            Some(off) if !off.enable => Some(None),
            Some(input) => Some(Some(Box::new(Gather {
                action: self.action(input.action_hook.as_ref(), id)?,
                report: Report::Outcome,
                first_digit: EVER,
                valid: if input.digits { KEYS.to_owned() } else { String::new() },
                next_digit: input.complete.inter_digit.unwrap_or(Gather::default().next_digit),
                finish_on: finish_on(&input.complete).filter(|_| input.digits),
                min_digits: usize::try_from(input.complete.min_digits).unwrap_or(1),
                max_digits: max_digits(&input.complete),
                speech: input.speech.then(|| Box::new(understanding(config.recognizer.as_ref(), SPOKEN))),
                ..Gather::default()
            }))),
        };
        Ok(Settings {
            voice,
            notify: config.notify_events,
            stream: config.listen.as_ref().map(|change| self.stream_change(change, id)).transpose()?,
            barge_in,
            barge_in_again: config.barge_in.as_ref().is_some_and(|input| input.sticky),
            refer_hook: self.optional(config.refer_hook.as_ref())?,
            request_hook: self.optional(config.sip_request_hook.as_ref())?,
        })
    }
}

fn finish_on(complete: &Complete) -> Option<char> {
    verbs::keys(&complete.finish_on_key).next()
}

fn max_digits(complete: &Complete) -> usize {
    complete.max_digits.and_then(|most| usize::try_from(most).ok()).unwrap_or(MOST_DIGITS)
}

fn understanding(recognizer: Option<&Recognizer>, silence: Duration) -> Understanding {
    let recognizer = recognizer.cloned().unwrap_or_default();
    Understanding {
        language: recognizer.language.unwrap_or_default(),
        hints: recognizer.hints,
        min_confidence: recognizer.min_confidence.unwrap_or(0.0),
        silence,
    }
}

/// One instruction, however many prompts it has: so it begins and ends once.
fn heard(mut prompts: Vec<Prompt>) -> Verb {
    match (prompts.pop(), prompts.is_empty()) {
        (Some(prompt), true) => Verb::Prompt(prompt),
        (last, _) => {
            prompts.extend(last);
            Verb::Play(Box::new(Play { prompts, limit: None, action: None }))
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "saturates")]
fn whole(number: f64) -> i64 {
    number.floor() as i64
}
