//! Times as people read them. The only place here that asks what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix microseconds.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

/// A length of time: `350 ms`, `1.2 s`, `2 m 05 s`, `3 h 20 m`, `2 d 4 h`.
pub(crate) fn length(us: i64) -> String {
    let ms = us.max(0) / 1000;
    let seconds = ms / 1000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{seconds}.{} s", ms % 1000 / 100),
        60_000..3_600_000 => format!("{minutes} m {:02} s", seconds % 60),
        3_600_000..86_400_000 => format!("{hours} h {:02} m", minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// How long ago: `3 m 10 s ago`, without fractions.
pub(crate) fn ago(then_us: i64, now_us: i64) -> String {
    let us = now_us - then_us;
    if us < 1_000_000 {
        return "just now".to_owned();
    }
    let text = length(us);
    let text = match text.split_once('.') {
        Some((whole, _)) => format!("{whole} s"),
        None => text,
    };
    format!("{text} ago")
}

/// A moment in UTC to the second: `2026-03-01 14:05:09Z`.
pub(crate) fn moment(us: i64) -> String {
    match jiff::Timestamp::from_microsecond(us) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// A moment for machines: RFC 3339 in UTC with microseconds.
pub(crate) fn rfc3339(us: i64) -> Option<String> {
    let at = jiff::Timestamp::from_microsecond(us).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

/// Milliseconds from one moment to another, signed, with one decimal below 10.
pub(crate) fn offset_ms(from_us: i64, to_us: i64) -> String {
    let us = to_us - from_us;
    if us.abs() < 10_000 {
        format!("{:+.1} ms", us as f64 / 1000.0)
    } else {
        format!("{:+} ms", us / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let cases = [
            (-5, "0 ms"),
            (0, "0 ms"),
            (350_999, "350 ms"),
            (999_999, "999 ms"),
            (1_000_000, "1.0 s"),
            (1_250_000, "1.2 s"),
            (59_999_999, "59.9 s"),
            (60_000_000, "1 m 00 s"),
            (125_000_000, "2 m 05 s"),
            (3_600_000_000, "1 h 00 m"),
            (12_000_000_000, "3 h 20 m"),
            (187_200_000_000, "2 d 4 h"),
        ];
        for (us, expect) in cases {
            assert_eq!(length(us), expect, "{us}");
        }
    }

    #[test]
    fn times_ago() {
        let cases = [
            (900_000, "just now"),
            (-1, "just now"),
            (4_200_000, "4 s ago"),
            (61_000_000, "1 m 01 s ago"),
        ];
        for (us, expect) in cases {
            assert_eq!(ago(0, us), expect, "{us}");
        }
    }

    #[test]
    fn moments() {
        assert_eq!(moment(1_700_000_000_123_456), "2023-11-14 22:13:20Z");
        let machine = rfc3339(1_700_000_000_123_456);
        assert_eq!(machine.as_deref(), Some("2023-11-14T22:13:20.123456Z"));
        assert_eq!(moment(i64::MAX), "?");
        assert_eq!(rfc3339(i64::MAX), None);
    }

    #[test]
    fn offsets() {
        let cases = [
            (0, "+0.0 ms"),
            (1_500, "+1.5 ms"),
            (-2_500, "-2.5 ms"),
            (10_000, "+10 ms"),
            (-1_234_567, "-1234 ms"),
        ];
        for (us, expect) in cases {
            assert_eq!(offset_ms(100, 100 + us), expect, "{us}");
        }
    }
}
