//! Durations and sizes that are written as text.

use std::time::Duration;

/// A duration in humantime's grammar.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|why| {
        format!("`{text}` is no duration ({why}): write one like \"15s\", \"1h 30m\" or \"2 days\"")
    })
}

/// A number of bytes: `512 B`, `64 KiB`, `1 MiB`, `10 MB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let unit_at =
        text.find(|character: char| !character.is_ascii_digit() && character != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit.trim() {
        "B" => 1_u64,
        "kB" | "KB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => 0,
    };
    number
        .replace('_', "")
        .parse::<u64>()
        .ok()
        .filter(|_| factor > 0)
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| {
            format!("`{text}` is no size: write a whole number with B, KiB, MiB, GiB, KB, MB or GB, like \"1 MiB\"")
        })
}

#[cfg(test)]
mod tests {
    use super::{duration, size};
    use std::time::Duration;

    #[test]
    fn durations() {
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for bad in ["", "soon", "5", "5 parsecs", "-5s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("512 B"), Ok(512));
        assert_eq!(size("1 MiB"), Ok(1 << 20));
        assert_eq!(size("1MiB"), Ok(1 << 20));
        assert_eq!(size("10 KB"), Ok(10_000));
        assert_eq!(size("64KiB"), Ok(64 << 10));
        assert_eq!(size("10 MB"), Ok(10_000_000));
        assert_eq!(size("2 GB"), Ok(2_000_000_000));
        assert_eq!(size("2 GiB"), Ok(2 << 30));
        assert_eq!(size("1_000 B"), Ok(1_000));
        for bad in ["", "1", "MiB", "1.5 MiB", "1 mib", "1 TiBs", "99999999999 GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
