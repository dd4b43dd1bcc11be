//! The environment of the process, read once. Whatever is wrong with it is said in one line that names the variable.

/// How the shop behaves.
#[derive(Debug, PartialEq)]
pub(crate) struct Settings {
    /// `PORT`: where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    /// `RELEASE`: the label in answers. Default: `unnamed`.
    pub(crate) release: String,
    /// `ERROR_RATE`: percent of the answers below `/api` that are 500, at most two decimals; kept in hundredths.
    error_rate: u64,
    /// `LATENCY_MS`: how long an answer below `/api` takes.
    pub(crate) latency_ms: u64,
    /// `START_DELAY_MS`: how long after its start the process begins to listen.
    pub(crate) start_delay_ms: u64,
}

const WHOLE: u64 = 10_000;

impl Settings {
    /// Reads every setting through `read`; the error is for people.
    pub(crate) fn read(read: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name: &str| -> Result<u64, String> {
            let Some(text) = read(name) else { return Ok(0) };
            text.parse()
                .map_err(|_| format!("{name} must be a whole number, not `{text}`"))
        };
        let port = read("PORT").ok_or("PORT is missing: set it to the port to listen on")?;
        let port = port
            .parse()
            .map_err(|_| format!("PORT must be a port number, not `{port}`"))?;
        let rate = read("ERROR_RATE").unwrap_or_else(|| "0".to_owned());
        let error_rate = hundredths(&rate).ok_or_else(|| {
            format!("ERROR_RATE must be a percentage from 0 to 100, not `{rate}`")
        })?;
        Ok(Self {
            port,
            release: read("RELEASE").unwrap_or_else(|| "unnamed".to_owned()),
            error_rate,
            latency_ms: number("LATENCY_MS")?,
            start_delay_ms: number("START_DELAY_MS")?,
        })
    }

    /// Whether the n-th answer (from 0) is an error: evenly spread, and exact over any 100 answers for a whole
    /// percentage (over any 10,000 for one with decimals).
    pub(crate) fn is_error(&self, number: u64) -> bool {
        let place = number % WHOLE;
        (place + 1) * self.error_rate / WHOLE > place * self.error_rate / WHOLE
    }
}

fn hundredths(text: &str) -> Option<u64> {
    let text = text.strip_suffix('%').unwrap_or(text);
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 2 {
        return None;
    }
    let decimals: u64 = format!("{decimals:0<2}").parse().ok()?;
    let rate = whole
        .parse::<u64>()
        .ok()?
        .checked_mul(100)?
        .checked_add(decimals)?;
    (rate <= WHOLE).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::Settings;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(|name| {
            let pair = pairs.iter().find(|(key, _)| *key == name)?;
            Some(pair.1.to_owned())
        })
    }

    fn errors(rate: &str, from: u64, count: u64) -> usize {
        let settings = read(&[("PORT", "1"), ("ERROR_RATE", rate)]).unwrap();
        (from..from + count)
            .filter(|number| settings.is_error(*number))
            .count()
    }

    #[test]
    fn the_error_rate_is_exact_over_any_hundred_answers() {
        for rate in 0..=100 {
            for from in [0, 1, 37, 99, 9_950] {
                assert_eq!(
                    errors(&rate.to_string(), from, 100),
                    rate,
                    "{rate} from {from}"
                );
            }
        }
        assert_eq!(errors("0.25", 123, 10_000), 25);
        assert_eq!(errors("33.3%", 5, 10_000), 3_330);
    }

    #[test]
    fn errors_are_spread() {
        let settings = read(&[("PORT", "1"), ("ERROR_RATE", "20")]).unwrap();
        let bad: Vec<u64> = (0..20)
            .filter(|number| settings.is_error(*number))
            .collect();
        assert_eq!(bad, [4, 9, 14, 19]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (pairs, word) in [
            (&[][..], "PORT is missing"),
            (&[("PORT", "http")][..], "PORT must be"),
            (&[("PORT", "1"), ("ERROR_RATE", "101")][..], "ERROR_RATE"),
            (&[("PORT", "1"), ("ERROR_RATE", "-1")][..], "ERROR_RATE"),
            (&[("PORT", "1"), ("LATENCY_MS", "fast")][..], "LATENCY_MS"),
            (
                &[("PORT", "1"), ("START_DELAY_MS", "1s")][..],
                "START_DELAY_MS",
            ),
        ] {
            let why = read(pairs).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
        let settings = read(&[("PORT", "8080")]).unwrap();
        assert_eq!(
            (settings.port, settings.release.as_str()),
            (8080, "unnamed")
        );
    }
}
