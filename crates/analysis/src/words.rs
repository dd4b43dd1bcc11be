//! Numbers as people read them.

/// A share as a percentage with as few digits as it can be told by: `20.4 %`, `0 %`, `0.03 %`.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value > 0.0 && value < 0.005 {
        return "less than 0.01 %".to_owned();
    }
    let decimals = if value < 0.95 { 2 } else { 1 };
    format!("{} %", trimmed(value, decimals))
}

/// Like [`percent`], but with so many digits that what is above a limit does not read like the limit.
pub(crate) fn percent_beside(share: f64, limit: f64) -> String {
    let text = percent(share);
    if text != percent(limit) {
        return text;
    }
    let value = share * 100.0;
    let told = |decimals: &usize| trimmed(value, *decimals) != trimmed(limit * 100.0, *decimals);
    let decimals = (2..6).find(told).unwrap_or(1);
    format!("{} %", trimmed(value, decimals))
}

/// A length of time: `0.4 s`, `30 s`, `10 min`.
pub fn span(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{} s", trimmed(ms as f64 / 1000.0, 1)),
        10_000..120_000 => format!("{} s", ms / 1000),
        _ => format!("{} min", ms / 60_000),
    }
}

/// A latency: `350 ms`, `0.8 ms`, `2.5 s`.
pub(crate) fn latency(us: f64) -> String {
    match us / 1000.0 {
        ms if ms >= 10_000.0 => format!("{} s", trimmed(ms / 1000.0, 0)),
        ms if ms >= 1000.0 => format!("{} s", trimmed(ms / 1000.0, 1)),
        ms if ms >= 10.0 => format!("{} ms", trimmed(ms, 0)),
        ms if ms >= 0.1 => format!("{} ms", trimmed(ms, 1)),
        _ => format!("{} us", trimmed(us, 0)),
    }
}

/// A factor: `2.9 times`.
pub(crate) fn times(factor: f64) -> String {
    format!("{} times", trimmed(factor, 2))
}

/// One request, several requests.
pub(crate) fn requests(count: u64) -> String {
    match count {
        1 => "1 request".to_owned(),
        _ => format!("{count} requests"),
    }
}

/// Too few requests.
pub(crate) fn few(count: u64) -> String {
    match count {
        0 => "no request".to_owned(),
        _ => format!("only {}", requests(count)),
    }
}

/// A number and its verb.
pub(crate) fn are(count: u64) -> String {
    match count {
        1 => "1 is".to_owned(),
        _ => format!("{count} are"),
    }
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{latency, percent, percent_beside, span};

    #[test]
    fn percentages_are_short() {
        for (share, expect) in [
            (0.0, "0 %"),
            (1.0, "100 %"),
            (0.204_166, "20.4 %"),
            (0.01, "1 %"),
            (0.000_25, "0.03 %"),
            (0.000_01, "less than 0.01 %"),
        ] {
            assert_eq!(percent(share), expect);
        }
    }

    #[test]
    fn what_is_above_a_limit_does_not_read_like_it() {
        assert_eq!(percent_beside(0.0104, 0.01), "1.04 %");
        assert_eq!(percent_beside(0.010_001, 0.01), "1.0001 %");
        assert_eq!(percent_beside(0.2, 0.01), "20 %");
    }

    #[test]
    fn times_have_their_unit() {
        for (ms, expect) in [
            (0, "0 s"),
            (400, "0.4 s"),
            (4000, "4 s"),
            (30_900, "30 s"),
            (600_000, "10 min"),
        ] {
            assert_eq!(span(ms), expect);
        }
        for (us, expect) in [
            (800.0, "0.8 ms"),
            (350_000.0, "350 ms"),
            (2_500_000.0, "2.5 s"),
            (40.0, "40 us"),
        ] {
            assert_eq!(latency(us), expect);
        }
    }
}
