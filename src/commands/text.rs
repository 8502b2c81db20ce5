//! Values as people read and write them: numbers, times, ids, sparklines. Pure.

use std::time::Duration;

use crate::domain::id::AgentId;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A whole number with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `count` with its noun: “1 agent”, “2,000 agents”.
pub fn plural(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        many => format!("{} {noun}s", count(many)),
    }
}

/// A score in at most seven significant digits.
pub fn score(score: f64) -> String {
    let size = score.abs();
    if score == 0.0 || !score.is_finite() {
        return score.to_string();
    }
    if !(1e-4..1e7).contains(&size) {
        let text = format!("{score:.4e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        return format!("{digits}e{exponent}");
    }
    let whole = if size < 10.0 { 1 } else { size.log10().floor() as usize + 1 };
    let text = format!("{score:.*}", 7usize.saturating_sub(whole));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A score that may be missing.
pub fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), score)
}

/// A difference, with its sign.
pub fn gain(difference: f64) -> String {
    if difference > 0.0 { format!("+{}", score(difference)) } else { score(difference) }
}

/// A span of time in its two largest units.
pub fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..10 => format!("{}.{}s", seconds, millis % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// A short span of time, in microseconds.
pub fn brief(micros: u64) -> String {
    match micros {
        0..1000 => format!("{micros}µs"),
        1000..1_000_000 => format!("{}ms", micros / 1000),
        _ => span(micros / 1000),
    }
}

/// How long ago `then` was, both in milliseconds since the Unix epoch.
pub fn ago(then: u64, now: u64) -> String {
    match now.saturating_sub(then) / 1000 {
        0..2 => "just now".to_owned(),
        seconds @ 2..120 => format!("{seconds}s ago"),
        seconds @ 120..7200 => format!("{}m ago", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h ago", seconds / 3600),
        seconds => format!("{}d ago", seconds / 86_400),
    }
}

/// A moment in UTC, to the second (RFC 3339). Days are counted as in Hinnant's
/// `civil_from_days`.
pub fn utc(millis: u64) -> String {
    let (days, second) = (millis / 86_400_000, millis / 1000 % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Bytes in binary units.
pub fn bytes(number: u64) -> String {
    let mut value = number as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 || unit == "GiB" {
            return if unit == "B" { format!("{number} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    String::new()
}

/// A rate, per second.
pub fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 100.0 => format!("{}/s", count(rate.round() as u64)),
        rate if rate >= 10.0 => format!("{rate:.0}/s"),
        rate => format!("{rate:.1}/s"),
    }
}

/// A span of time as people type it: `90s`, `5m`, `1h30m`, `1.5h`, `250ms`, `2d`; a bare
/// number means seconds.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a span of time like 90s, 5m, 1h30m or 2d".to_owned();
    let mut rest = text.trim();
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        rest = rest[end..].trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" => 0.001,
            "" | "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        seconds += number * unit;
        rest = rest[end..].trim_start();
    }
    // A thousand years bound what the sum may be.
    match Duration::try_from_secs_f64(seconds) {
        Ok(span) if !span.is_zero() && seconds < 3.2e10 => Ok(span),
        _ => Err(wrong()),
    }
}

/// A moment as people name it, in milliseconds since the Unix epoch: a span of time before
/// `now` (`1h`), or seconds since the epoch (`@1767225600`).
pub fn parse_since(text: &str, now: u64) -> Result<u64, String> {
    if let Some(seconds) = text.strip_prefix('@') {
        let seconds: u64 = seconds.parse().map_err(|_| "expected @SECONDS".to_owned())?;
        return Ok(seconds.saturating_mul(1000));
    }
    let span = parse_span(text)?;
    Ok(now.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
}

/// A whole number as people type it: `5000`, `10_000`, `2k`, `1M`, `1e6`.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let wrong = || "expected a whole number like 5000, 10_000, 2k or 1e6".to_owned();
    let plain = text.replace(['_', ','], "");
    if let Ok(number) = plain.parse() {
        return Ok(number);
    }
    let (digits, factor) = match plain.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1e3),
        None => plain.strip_suffix('M').map_or((plain.as_str(), 1.0), |digits| (digits, 1e6)),
    };
    let number = digits.parse::<f64>().map_err(|_| wrong())? * factor;
    let exact = number.fract() == 0.0 && (0.0..9e15).contains(&number);
    exact.then_some(number as u64).ok_or_else(wrong)
}

/// A number that is not NaN or infinite.
pub fn parse_number(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().map_err(|_| "expected a number".to_owned())?;
    number.is_finite().then_some(number).ok_or_else(|| "expected a finite number".to_owned())
}

/// `values` as a line of at most `width` blocks, the lowest to the highest.
pub fn spark(values: &[f64], width: usize) -> String {
    let shown = values.len().min(width);
    // Of each stretch of values its last, so that the line ends where we are.
    let picked: Vec<_> = (1..=shown).map(|at| values[at * values.len() / shown - 1]).collect();
    let low = picked.iter().copied().fold(f64::INFINITY, f64::min);
    let high = picked.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let place = |value: f64| match high - low {
        range if range > 0.0 => ((value - low) / range * 7.0).round() as usize,
        _ => 0,
    };
    picked.into_iter().map(|value| BLOCKS[place(value).min(7)]).collect()
}

/// A bar of `width` cells, of which `share` (0 to 1) is full.
pub fn bar(share: f64, width: usize) -> String {
    let full = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
    format!("{}{}", "━".repeat(full), "─".repeat(width - full))
}

/// An id of a run, agent or session from the wire, or nothing if it is empty.
pub fn id(bytes: &[u8]) -> String {
    AgentId::try_from(bytes).map_or_else(|_| String::new(), |id| id.to_string())
}

/// The start of a run's or session's id, which holds its time: enough to name it.
pub fn short(bytes: &[u8]) -> String {
    id(bytes).chars().take(13).collect()
}

/// `text` without control characters, so that it can't move the cursor or forge a line.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `text` on several lines without any other control characters.
pub fn plain_lines(text: &str) -> String {
    let keep = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().map(|c| if keep(c) { c } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 12, 999, 1000, 1_234_567].map(count),
            ["0", "12", "999", "1,000", "1,234,567"]
        );
        assert_eq!(plural(1, "agent"), "1 agent");
        assert_eq!(plural(2000, "agent"), "2,000 agents");
        assert_eq!(
            [0.0, 2.5, -0.25, 123.456_789, 1e-9, 2.635_98, 12_345_678.0].map(score),
            ["0", "2.5", "-0.25", "123.4568", "1e-9", "2.63598", "1.2346e7"]
        );
        assert_eq!([1000.0, 9_999_999.0].map(score), ["1000", "9999999"]);
        assert_eq!([1.5, -1.5, 0.0].map(gain), ["+1.5", "-1.5", "0"]);
        assert_eq!([0, 2048, 3 << 30].map(bytes), ["0 B", "2.0 KiB", "3.0 GiB"]);
        assert_eq!([0.25, 42.4, 40_123.0].map(rate), ["0.2/s", "42/s", "40,123/s"]);
    }

    #[test]
    fn times_read_well() {
        assert_eq!(
            [0, 1234, 59_999, 61_000, 3_660_000, 90_000_000].map(span),
            ["0.0s", "1.2s", "59s", "1m01s", "1h01m", "1d01h"]
        );
        assert_eq!([7, 1999, 1_500_000].map(brief), ["7µs", "1ms", "1.5s"]);
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399_000), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_868_799_000), "2000-02-29T23:59:59Z");
        assert_eq!(utc(1_735_689_600_000), "2025-01-01T00:00:00Z");
        assert_eq!(ago(0, 7_200_000), "2h ago");
        assert_eq!(ago(5, 3), "just now");
    }

    #[test]
    fn spans_are_typed_as_people_do() {
        for (text, millis) in [
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("250ms", 250),
            ("7", 7000),
        ] {
            assert_eq!(parse_span(text).unwrap().as_millis(), millis, "{text}");
        }
        assert_eq!(parse_since("1s", 5000), Ok(4000));
        assert_eq!(parse_since("@7", 5000), Ok(7000));
        for text in ["", "m", "5x", "-1s", "0s", "1e9d", "5m m", "NaN"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_are_typed_as_people_do() {
        for (text, number) in [("5000", 5000), ("10_000", 10_000), ("2k", 2000), ("1e6", 1_000_000)]
        {
            assert_eq!(parse_count(text).unwrap(), number, "{text}");
        }
        for text in ["", "-1", "1.5", "x", "NaN", "1e300"] {
            assert!(parse_count(text).is_err(), "{text}");
        }
        assert!(parse_number("inf").is_err() && parse_number("-2.5").is_ok());
    }

    #[test]
    fn a_sparkline_goes_from_the_lowest_to_the_highest_and_ends_now() {
        assert_eq!(spark(&[], 5), "");
        assert_eq!(spark(&[3.0, 3.0], 5), "▁▁");
        assert_eq!(spark(&[0.0, 1.0, 2.0, 7.0], 2), "▁█");
        assert_eq!(bar(0.5, 4), "━━──");
        assert_eq!(bar(7.0, 2), "━━");
    }

    #[test]
    fn text_of_others_cannot_steer_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\nc"), "a [2Jb c");
        assert_eq!(plain_lines("a\nb\x1b[0m"), "a\nb\u{fffd}[0m");
    }
}
