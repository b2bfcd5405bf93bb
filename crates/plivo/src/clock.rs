//! Times as Plivo writes them. Everything is UTC; instants are microseconds since 1970.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

fn formatted(micros: i64, format: &str) -> String {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH).strftime(format).to_string()
}

/// `2026-11-21 14:03:05+00:00`: REST objects and MPC callbacks.
pub(crate) fn zoned(micros: i64) -> String {
    formatted(micros, "%Y-%m-%d %H:%M:%S+00:00")
}

/// `2026-11-21 14:03:05`: call callbacks.
pub(crate) fn plain(micros: i64) -> String {
    formatted(micros, "%Y-%m-%d %H:%M:%S")
}

/// `2026-11-21 14:03:05.123456`: `SessionStart`.
pub(crate) fn precise(micros: i64) -> String {
    formatted(micros, "%Y-%m-%d %H:%M:%S.%6f")
}

/// `YYYY-MM-DD HH:MM[:SS[.ffffff]]`, with `T` or a space, and optionally `Z` or `+00:00`.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = text.strip_suffix("+00:00").or_else(|| text.strip_suffix('Z')).unwrap_or(text);
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| DateTime::strptime(format, text.replace('T', " ")).ok())
        .and_then(|time| time.to_zoned(TimeZone::UTC).ok())
        .map(|zoned| zoned.timestamp().as_microsecond())
}

/// Whole seconds between two instants; 0 if they are the wrong way round.
pub(crate) fn seconds(from: i64, to: i64) -> i64 {
    to.saturating_sub(from).max(0) / 1_000_000
}

/// Seconds rounded up to whole minutes.
pub(crate) fn billed(seconds: i64) -> i64 {
    seconds.saturating_add(59) / 60 * 60
}

/// What everything costs here.
pub(crate) const FREE: &str = "0.00000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_plivo_writes_them() {
        let at = parse("2024-10-25 14:13:37.779297").unwrap();
        assert_eq!(zoned(at), "2024-10-25 14:13:37+00:00");
        assert_eq!(plain(at), "2024-10-25 14:13:37");
        assert_eq!(precise(at), "2024-10-25 14:13:37.779297");
        assert_eq!(precise(at - 779_297), "2024-10-25 14:13:37.000000");
    }

    #[test]
    fn filters_accept_every_documented_precision() {
        let minute = parse("2024-10-25 14:13").unwrap();
        assert_eq!(parse("2024-10-25 14:13:00"), Some(minute));
        assert_eq!(parse("2024-10-25 14:13:00.5"), Some(minute + 500_000));
        assert_eq!(parse("2024-10-25T14:13:00Z"), Some(minute));
        assert_eq!(parse("2024-10-25 14:13:00+00:00"), Some(minute));
        for text in ["", "yesterday", "2024-13-01 00:00", "2024-10-25", "2024-10-25 25:00"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn billing_rounds_up_to_minutes() {
        assert_eq!([0, 1, 59, 60, 61, 394].map(billed), [0, 60, 60, 60, 120, 420]);
        assert_eq!(seconds(5_000_000, 1_000_000), 0);
        assert_eq!(billed(i64::MAX), (i64::MAX) / 60 * 60);
    }
}
