//! Durations as Prometheus writes them and sizes with a unit: text ↔ numbers.

use std::fmt::Write as _;
use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// `90s`, `1h30m`, `100ms`: each unit at most once, largest first (`prometheus/common`, `model.ParseDuration`).
///
/// # Errors
/// What is wrong and what to write instead, as a lowercase fragment.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; write it like 30s, 10m or 1h30m");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut total, mut units) = (text, 0_u64, &DURATION_UNITS[..]);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(wrong)?;
        total = number.checked_mul(units[at].1).and_then(|ms| total.checked_add(ms)).ok_or_else(wrong)?;
        units = &units[at + 1..];
        rest = tail;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_millis(total)) }
}

/// As [`duration`], or as Go writes them (`1.5h`, `300us`, units in any order), for files that Go programs read, too. No signs: nothing here takes less
/// than no time.
///
/// # Errors
/// What is wrong and what to write instead, as a lowercase fragment.
pub fn go_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 7] =
        [("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9)];
    let wrong = match duration(text) {
        Ok(duration) => return Ok(duration),
        Err(wrong) => wrong,
    };
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let (number, tail) =
            rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len()));
        let (unit, tail) =
            tail.split_at(tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len()));
        let seconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| seconds);
        let part = number.parse::<f64>().ok().zip(seconds).map(|(number, seconds)| number * seconds);
        let part = part.and_then(|part| Duration::try_from_secs_f64(part).ok());
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(|| wrong.clone())?;
        rest = tail;
    }
    if text.is_empty() { Err(wrong) } else { Ok(total) }
}

/// The shortest form that [`duration`] reads back; whole milliseconds.
pub fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut out = String::new();
    for (unit, ms) in DURATION_UNITS.into_iter().filter(|(unit, _)| !matches!(*unit, "y" | "w")) {
        if rest >= ms {
            let _ = write!(out, "{}{unit}", rest / ms);
            rest %= ms;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// `64MiB`, `10MB`, `4096`: bytes.
///
/// # Errors
/// What is wrong and what to write instead, as a lowercase fragment.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; write it like 64MiB or 10MB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_prometheus() {
        let ms = |text: &str| duration(text).map(|d| d.as_millis());
        assert_eq!(ms("90s"), Ok(90_000));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
        assert_eq!(ms("1d"), Ok(86_400_000));
        assert_eq!(ms("100ms"), Ok(100));
        assert_eq!(ms("0"), Ok(0));
        for bad in
            ["", "5", "m", "1m1h", "1m1m", "-5s", "1.5h", "5 m", "1x", "99999999999999999999s", "10min"]
        {
            assert_eq!(ms(bad), Err(format!("{bad:?} is no duration; write it like 30s, 10m or 1h30m")));
        }
        assert_eq!(show_duration(Duration::from_millis(5_400_500)), "1h30m500ms");
        assert_eq!(show_duration(Duration::ZERO), "0s");
    }

    #[test]
    fn durations_of_go_have_fractions_and_smaller_units() {
        let us = |text: &str| go_duration(text).map(|d| d.as_micros());
        assert_eq!(us("1.5h"), Ok(5_400_000_000));
        assert_eq!((us("300us"), us("300µs"), us("2000ns")), (Ok(300), Ok(300), Ok(2)));
        assert_eq!(
            (us("30s1m"), us("1d"), us("0"), us("0s")),
            (Ok(90_000_000), Ok(86_400_000_000), Ok(0), Ok(0))
        );
        for bad in [
            "",
            "5",
            "s",
            ".",
            ".s",
            "1..5s",
            "-5s",
            "+5s",
            "1 s",
            "1e3s",
            "1x",
            "1e400s",
            "inf",
            "99999999999999999999h",
        ] {
            assert_eq!(us(bad), Err(format!("{bad:?} is no duration; write it like 30s, 10m or 1h30m")));
        }
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        assert_eq!((size("64MiB"), size("10MB"), size("7")), (Ok(67_108_864), Ok(10_000_000), Ok(7)));
        assert!(size("64M").is_err() && size("MiB").is_err() && size("").is_err());
    }
}
