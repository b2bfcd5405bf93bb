//! Session timers (RFC 4028): a peer that promised refreshes and stays silent is hung up; one that wants ours gets them.

use std::time::{Duration, Instant};

use super::Core;
use super::dialog::SessionTimer;
use super::requests::line;
use crate::message::Headers;

/// Smallest session interval accepted, seconds.
pub(super) const MIN: u32 = 90;

/// A `Session-Expires` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub seconds: u32,
    /// `Some(true)`: whoever sent the request refreshes.
    pub uac_refreshes: Option<bool>,
}

impl Asked {
    pub fn read(headers: &Headers) -> Option<Asked> {
        let value = headers.get("Session-Expires")?;
        let mut parts = value.split(';').map(str::trim);
        let seconds = parts.next()?.parse().ok()?;
        let uac_refreshes = parts.find_map(|p| {
            let (name, value) = p.split_once('=')?;
            match (name.trim().eq_ignore_ascii_case("refresher"), value.trim()) {
                (true, v) if v.eq_ignore_ascii_case("uac") => Some(true),
                (true, v) if v.eq_ignore_ascii_case("uas") => Some(false),
                _ => None,
            }
        });
        Some(Asked { seconds, uac_refreshes })
    }

    /// Whether a request asks for less than [`MIN`] and can be told so.
    pub fn too_small(headers: &Headers) -> bool {
        Asked::read(headers).is_some_and(|a| a.seconds < MIN)
            && headers.values("Supported").any(|s| s.eq_ignore_ascii_case("timer"))
    }

    /// The peer sent the request.
    pub fn as_uas(self, now: Instant) -> SessionTimer {
        SessionTimer::new(self.seconds, self.uac_refreshes == Some(false), now)
    }

    /// We sent the request.
    pub fn as_uac(self, now: Instant) -> SessionTimer {
        SessionTimer::new(self.seconds, self.uac_refreshes != Some(false), now)
    }
}

impl SessionTimer {
    fn new(seconds: u32, we_refresh: bool, now: Instant) -> SessionTimer {
        let seconds = seconds.max(MIN);
        // We refresh at half time; a silent peer is hung up shortly before the end (§10).
        let wait = if we_refresh { seconds / 2 } else { seconds - (seconds / 3).min(32) };
        SessionTimer { seconds, we_refresh, due: now + Duration::from_secs(u64::from(wait)) }
    }
}

impl Core {
    /// Headers of our 2xx to an INVITE or UPDATE.
    pub(super) fn session_lines(&self, id: u64) -> Vec<(String, String)> {
        let Some(dialog) = self.dialogs.get(&id) else { return Vec::new() };
        let mut lines = vec![
            line("Contact", dialog.contact.clone()),
            line("Allow", crate::message::ALLOW),
            line("Supported", "timer"),
        ];
        if let Some(timer) = dialog.timer {
            let refresher = if timer.we_refresh { "uas" } else { "uac" };
            lines.push(line("Session-Expires", format!("{};refresher={refresher}", timer.seconds)));
            if !timer.we_refresh && dialog.peer_timer {
                lines.push(line("Require", "timer"));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshers_and_deadlines_follow_the_header() {
        let now = Instant::now();
        let headers =
            |v: &str| Headers(vec![("Session-Expires".into(), v.into()), ("Supported".into(), "timer".into())]);
        let asked = Asked::read(&headers("1800;refresher=uac")).unwrap();
        let timer = asked.as_uas(now);
        assert!(!timer.we_refresh);
        assert_eq!(timer.due, now + Duration::from_secs(1768));
        let timer = Asked::read(&headers("180 ; refresher=uas")).unwrap().as_uas(now);
        assert!(timer.we_refresh);
        assert_eq!(timer.due, now + Duration::from_secs(90));
        assert!(Asked::too_small(&headers("60")));
        assert!(!Asked::too_small(&headers("90")));
    }
}
