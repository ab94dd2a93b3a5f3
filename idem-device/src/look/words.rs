//! Times, texts and states as a person reads them.

use std::time::Duration;

use idem::Timestamp;
use idem::store::State;

use super::Seen;

/// A duration in its largest unit: `85 s`, `3 min`, `26 h`, `4 d`.
pub(crate) fn span(duration: Duration) -> String {
    let (millis, seconds) = (duration.as_millis(), duration.as_secs());
    match seconds {
        0 => format!("{millis} ms"),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long ago, or how soon, a moment is.
pub(crate) fn distance(moment: Timestamp, now: Timestamp) -> String {
    if is_never(moment) {
        "never".into()
    } else if moment > now {
        format!("in {}", span(moment.since(now)))
    } else {
        format!("{} ago", span(now.since(moment)))
    }
}

/// A moment in UTC, and how far it is away.
pub(crate) fn moment(moment: Timestamp, now: Timestamp) -> String {
    if is_never(moment) { "never".into() } else { format!("{} ({})", clock(moment), distance(moment, now)) }
}

/// A moment in UTC, to the millisecond.
pub(crate) fn clock(moment: Timestamp) -> String {
    let text = humantime::format_rfc3339_millis(moment.system_time()).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}

/// What the year 9999 does not see is never.
pub(crate) fn is_never(moment: Timestamp) -> bool {
    moment.as_micros() > 253_402_300_799_999_999
}

/// A number with its thousands apart.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of a sample: two digits of it are true.
pub(crate) fn about(estimate: u64) -> String {
    let mut unit = 1;
    while estimate / unit >= 100 {
        unit *= 10;
    }
    format!("≈ {}", number((estimate + unit / 2) / unit * unit))
}

/// The state, and whether a running attempt is still believed alive.
pub(crate) fn state(seen: &Seen) -> &'static str {
    if seen.lease_over { "lease over" } else { state_word(seen.record.head.state) }
}

pub(crate) fn state_word(state: State) -> &'static str {
    crate::http::record::state(state)
}

/// A text of a caller's, on one line and without anything that a terminal or a reader takes for something else.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for char in text.chars() {
        if is_odd(char) { clean.extend(char.escape_unicode()) } else { clean.push(char) }
    }
    clean
}

/// Characters that move others about: controls, line and paragraph ends, and those of bidirectional text.
pub(crate) fn is_odd(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use idem::Timestamp;

    use super::{about, clean, distance, moment, number, span};

    #[test]
    fn as_a_person_reads_it() {
        assert_eq!(span(Duration::from_millis(12)), "12 ms");
        assert_eq!(span(Duration::from_millis(1_999)), "1 s");
        assert_eq!(span(Duration::from_secs(119)), "119 s");
        assert_eq!(span(Duration::from_secs(120)), "2 min");
        assert_eq!(span(Duration::from_secs(26 * 3_600)), "26 h");
        assert_eq!(span(Duration::from_secs(4 * 86_400)), "4 d");
        let at = |seconds: u64| Timestamp::from_micros(seconds * 1_000_000);
        assert_eq!(distance(at(10), at(15)), "5 s ago");
        assert_eq!(distance(at(15), at(10)), "in 5 s");
        assert_eq!(distance(Timestamp::NEVER, at(1)), "never");
        assert_eq!(moment(at(86_400), at(86_401)), "1970-01-02 00:00:00.000 UTC (1 s ago)");
        assert_eq!(
            (number(0), number(999), number(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!(
            (about(7), about(12_345), about(99_900)),
            ("≈ 7".into(), "≈ 12,000".into(), "≈ 100,000".into())
        );
    }

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(clean("größe 😀"), "größe 😀");
        assert_eq!(clean("\u{1b}[31m\n\u{202e}x\u{9b}"), "\\u{1b}[31m\\u{a}\\u{202e}x\\u{9b}");
    }
}
