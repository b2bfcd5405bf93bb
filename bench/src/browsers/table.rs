//! The figures of browsers as a table.

use std::fmt::Write as _;

use super::{Browsers, Round};

/// A table for people.
pub fn table(all: &Browsers) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}\n{}\nload average {} … {}\n",
        all.command, all.machine, all.load_average[0], all.load_average[1]
    );
    let talk = &all.talk;
    for (what, shares) in [("speaks", talk.speech), ("sounds, by the gate", talk.open)] {
        let [one, several, nobody] = [shares.one, shares.several, shares.nobody];
        let _ = writeln!(text, "who {what}: one {one:.0} % of the time, several {several:.0} %, nobody {nobody:.0} %");
    }
    let _ = writeln!(text, "a leg sends {:.1} packets a second\n", talk.sent_per_leg_second);
    let mut row = |what: &str, value: Option<f64>, digits: usize, goal: &str| {
        let value = value.map_or("absent".to_owned(), |value| format!("{value:.digits$}"));
        let _ = writeln!(text, "  {what:<62} {value:>10}   {goal}");
    };
    let median = |figure: fn(&Round) -> f64| all.median(figure);
    row("legs", Some(all.legs as f64), 0, "");
    row("CPU, ms per leg-second, media and WebRTC threads", median(|r| r.media + r.webrtc), 3, "");
    row("… the media thread", median(|r| r.media), 3, "");
    row("… the WebRTC thread", median(|r| r.webrtc), 3, "");
    row("bare codec and SRTP, ms per leg-second", median(|r| r.bare.all()), 3, "");
    row("… encoding", median(|r| r.bare.encoding), 3, "");
    row("… decoding", median(|r| r.bare.decoding), 3, "");
    row("… SRTP", median(|r| r.bare.srtp), 3, "");
    row("server over bare", median(|r| r.ratio), 3, "≤ 1.3");
    row("encodes per different mix of the scenario", median(|r| r.encodes_per_mix), 3, "1");
    row("… per different mix by the server's count", median(|r| r.encodes_per_own_mix), 3, "1");
    row("… of silence, per leg-second", median(|r| r.silences), 3, "");
    row("encoders reset, per leg-second", median(|r| r.resets), 3, "");
    row("decodes per leg-second, server", median(|r| r.decodes), 2, "");
    row("… bare", median(|r| r.bare.decodes), 2, "");
    row("packets sent per leg-second, server", median(|r| r.sent), 2, "");
    row("… bare", median(|r| r.bare.sent), 2, "");
    row("packets missing, %", median(|r| r.missing_percent), 3, "");
    row("lateness, ms, p99", median(|r| r.lateness_ms.p99), 2, "");
    row("the load's own CPU, ms per leg-second", median(|r| r.load), 3, "");
    row("legs on one core", all.legs_per_core.map(|legs| legs as f64), 0, "≥ 150");
    row("… busy with them, %", held(all), 0, "");
    row("handshakes per second and core (ICE and DTLS)", all.handshakes.map(|h| h.per_second_and_core), 0, "");
    row("… CPU of each, ms", all.handshakes.map(|h| h.cpu_ms), 3, "");
    row("… offer and answer beside, ms", all.handshakes.map(|h| h.answering_ms), 3, "");
    row("resident bytes per member at 1 000 members", all.memory.map(|growth| growth.bytes_per_member), 0, "≤ 262 144");
    row(
        "noise: the load's own lateness p99, ms",
        all.median(|r| r.noise.generator_lateness_ms_p99),
        2,
        "≤ 1, else void",
    );
    row("noise: stolen time, %", all.median(|r| r.noise.steal_percent), 2, "≤ 2, else void");
    let voids = all.rounds.iter().filter(|round| round.void.is_some()).count();
    let _ = writeln!(text, "\n{voids} of {} rounds are void", all.rounds.len());
    for why in all.rounds.iter().filter_map(|round| round.void.as_ref()) {
        let _ = writeln!(text, "  {why}");
    }
    for failed in &all.failed {
        let _ = writeln!(text, "failed: {failed}");
    }
    text
}

/// How busy the core was with the most legs that held.
fn held(all: &Browsers) -> Option<f64> {
    all.trials.iter().filter(|trial| trial.held).max_by_key(|trial| trial.legs).map(|trial| trial.busy_percent)
}
