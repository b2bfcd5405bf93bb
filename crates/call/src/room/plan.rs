//! Translates compiled hearing to the media plane's words. It adds nothing and decides nothing.

use conference::{EarlyId, Hearing, Listener, MemberId, Source};
use media::{BusId, Ear, LegId, Plan, PlanListener, PlanSource, PlayerId, SourceRef};

/// The plan for this hearing. `leg_of` finds a member's leg, `early_leg` that of somebody who is still being dialled,
/// `tap_of` the media plane's tap that a recorder or tap of the room is, `relays` says whether a member's digits are relayed as
/// sound. A member without a leg neither sounds nor hears; a tap without one of the media plane hears nothing.
pub fn plan_for(
    hearing: &Hearing,
    revision: u64,
    leg_of: impl Fn(MemberId) -> Option<LegId>,
    early_leg: impl Fn(EarlyId) -> Option<LegId>,
    tap_of: impl Fn(conference::TapId) -> Option<media::TapId>,
    relays: impl Fn(MemberId) -> bool,
) -> Plan {
    let sources = hearing
        .sources
        .iter()
        .filter_map(|(source, bus)| {
            let bus = BusId(*bus);
            match source {
                Source::Microphone(member) => leg_of(*member).map(|leg| PlanSource {
                    source: SourceRef::Leg(leg),
                    bus,
                    relay_digits: relays(*member),
                }),
                Source::Player(player) => Some(PlanSource {
                    source: SourceRef::Player(PlayerId(u64::from(player.0))),
                    bus,
                    relay_digits: false,
                }),
                Source::Early(early) => {
                    early_leg(*early).map(|leg| PlanSource { source: SourceRef::Leg(leg), bus, relay_digits: false })
                }
                Source::Private(_) => None,
            }
        })
        .collect();
    let listeners = hearing
        .listeners
        .iter()
        .filter_map(|(listener, buses)| {
            let ear: Ear = match listener {
                Listener::Ear(member) => leg_of(*member)?.into(),
                Listener::Tap(tap) => tap_of(*tap)?.into(),
            };
            Some(PlanListener { ear, buses: buses.iter().copied().map(BusId).collect() })
        })
        .collect();
    Plan { revision, buses: hearing.buses, sources, listeners }
}
