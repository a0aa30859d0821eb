//! Go durations, the form of every duration in Istio's CRDs.

use super::findings::{Findings, Path};
use std::time::Duration;

const MILLISECOND: i128 = 1_000_000;

/// Nanoseconds of a Go duration such as `1h30m`, `1.5s` or `10ms` (`time.ParseDuration`). `None` when it is none.
pub(super) fn nanoseconds(text: &str) -> Option<i128> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() || rest.len() > 64 {
        return None;
    }
    let mut total = 0i128;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => MILLISECOND,
            "s" => 1_000 * MILLISECOND,
            "m" => 60_000 * MILLISECOND,
            "h" => 3_600_000 * MILLISECOND,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 18 {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let parts: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        let divisor = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        total += whole * scale + parts * scale / divisor;
        rest = after;
    }
    (total <= i128::from(i64::MAX)).then_some(sign * total)
}

/// Nanoseconds of a duration; reports what is none.
pub(super) fn parse(text: Option<&str>, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<i128> {
    let text = text?;
    let found = nanoseconds(text);
    if found.is_none() {
        findings.schema(path, format!("{text:?} is no duration: write it as 1h, 1m, 1.5s or 10ms"));
    }
    found
}

/// Checks a duration that must be at least 1 ms and whole milliseconds (`ValidateDuration` in
/// istio/pkg/config/validation/agent/validation.go). Returns its nanoseconds when it is.
pub(super) fn check(text: Option<&str>, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<i128> {
    let (duration, text) = (parse(text, path, findings)?, text?);
    if duration < MILLISECOND {
        findings.invalid(path, format!("{text} is shorter than 1ms, the least that is allowed"));
        return None;
    }
    if duration % MILLISECOND != 0 {
        findings.invalid(path, format!("{text} is finer than a millisecond: round it"));
        return None;
    }
    Some(duration)
}

/// The same as a duration in whole milliseconds; `None` where there is none that lasts.
pub(super) fn read(text: Option<&str>, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<Duration> {
    check(text, path, findings);
    let milliseconds = nanoseconds(text?)? / MILLISECOND;
    u64::try_from(milliseconds).ok().filter(|milliseconds| *milliseconds > 0).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn reads_go_durations() {
        for (text, expected) in [
            ("1s", Some(1_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("1h1m1ms", Some(3_660_001_000_000)),
            ("0s", Some(0)),
            ("0", Some(0)),
            ("-2ms", Some(-2_000_000)),
            (".5ms", Some(500_000)),
            ("10", None),
            ("s", None),
            (".s", None),
            ("1d", None),
            ("", None),
            ("99999999999999999h", None),
        ] {
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
    }
}
