//! Numbers as ECMAScript's `Number::toString` writes them (ECMA-262, 6.1.6.1.20).

use std::fmt::Write as _;

/// Decimal exponents beyond which the exponent form is written: `1e21` and `1e-7`.
const PLAIN: std::ops::RangeInclusive<i32> = -5..=21;

pub(super) fn text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value == 0.0 {
        // Also for negative zero.
        return "0".to_owned();
    }
    let scientific = shortest(value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    // The point's place, counted from the first digit.
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if !PLAIN.contains(&point) {
        let (first, rest) = digits.split_at(1);
        text.push_str(first);
        if !rest.is_empty() {
            text.push('.');
            text.push_str(rest);
        }
        let exponent = point - 1;
        // Writing to a String cannot fail.
        let _ = write!(text, "e{}{}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    } else if point <= 0 {
        text.push_str("0.");
        text.extend((point..0).map(|_| '0'));
        text.push_str(&digits);
    } else if point >= count {
        text.push_str(&digits);
        text.extend((count..point).map(|_| '0'));
    } else {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        text.push_str(whole);
        text.push('.');
        text.push_str(fraction);
    }
    text
}

/// The fewest digits that give the number back, as d.ddde±x; of several, those closest to it, and of two equally close, the
/// even one. Formatting alone takes the odd one of such two.
fn shortest(value: f64) -> String {
    let found = format!("{value:e}");
    let digits = found.split('e').next().unwrap_or_default().bytes().filter(u8::is_ascii_digit).count();
    let rounded = format!("{value:.*e}", digits.saturating_sub(1));
    if rounded.parse() == Ok(value) { rounded } else { found }
}
