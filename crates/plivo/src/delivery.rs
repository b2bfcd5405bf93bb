//! What a URL's fragment asks of whoever requests it: `#ct=2000&rt=3000&tt=5000&rc=2&rp=ct,5xx`.

use std::time::Duration;

use call::dialect::DeliveryOptions;

/// How long an answer may take where the URL does not say.
const DEFAULT_TOTAL: Duration = Duration::from_secs(15);

/// The options of `url`. What is not understood is left at its default; what is out of range is brought into it.
pub fn options(url: &str) -> DeliveryOptions {
    let mut connect = 2000;
    let (mut read, mut total) = (None, None);
    let mut retries = 1;
    let mut policy = "ct,rt".to_owned();
    let fragment = url.split_once('#').map_or("", |(_, fragment)| fragment);
    for (key, value) in url::form_urlencoded::parse(fragment.as_bytes()) {
        let number = |least: u64, most: u64| value.trim().parse::<u64>().ok().map(|number| number.clamp(least, most));
        match &*key {
            "ct" => connect = number(100, 10_000).unwrap_or(connect),
            "rt" => read = number(100, 40_000),
            "tt" => total = number(100, 55_000),
            "rc" => retries = number(0, 5).unwrap_or(retries),
            "rp" => policy = value.to_ascii_lowercase(),
            _ => {}
        }
    }
    let connect = Duration::from_millis(connect);
    let asked = match (read, total) {
        (Some(read), Some(total)) => Some((connect + Duration::from_millis(read)).min(Duration::from_millis(total))),
        (Some(read), None) => Some(connect + Duration::from_millis(read)),
        (None, Some(total)) => Some(Duration::from_millis(total)),
        (None, None) => None,
    };
    let words: Vec<_> = policy.split(',').map(str::trim).collect();
    let has = |word: &str| words.contains(&word) || words.contains(&"all");
    DeliveryOptions {
        connect,
        total: asked.unwrap_or(DEFAULT_TOTAL),
        retries: u32::try_from(retries).unwrap_or(0),
        retry_connect: has("ct"),
        retry_timeout: has("rt"),
        retry_4xx: has("4xx"),
        retry_5xx: has("5xx"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_fragment_has_the_defaults() {
        let options = options("https://a.example.com/x?ct=5");
        assert_eq!((options.connect, options.total, options.retries), (Duration::from_secs(2), DEFAULT_TOTAL, 1));
        assert!(options.retry_connect && options.retry_timeout && !options.retry_4xx && !options.retry_5xx);
    }

    #[test]
    fn a_fragment_sets_limits_and_retries() {
        let options = options("https://a.example.com/x#ct=500&rt=3000&tt=2000&rc=3&rp=4xx,5xx");
        assert_eq!(
            (options.connect, options.total, options.retries),
            (Duration::from_millis(500), Duration::from_secs(2), 3)
        );
        assert!(!options.retry_connect && !options.retry_timeout && options.retry_4xx && options.retry_5xx);
        let all = super::options("https://a.example.com/#rp=all&rt=1000");
        assert!(all.retry_connect && all.retry_timeout && all.retry_4xx && all.retry_5xx);
        assert_eq!(all.total, Duration::from_secs(3));
    }

    #[test]
    fn nonsense_in_a_fragment_changes_nothing_and_excess_is_limited() {
        assert_eq!(options("https://a.example.com/#section-2"), options("https://a.example.com/"));
        assert_eq!(options("https://a.example.com/#ct=x&rc=&er=us"), options("https://a.example.com/"));
        let excess = options("https://a.example.com/#ct=999999&tt=999999&rc=99");
        assert_eq!(
            (excess.connect, excess.total, excess.retries),
            (Duration::from_secs(10), Duration::from_secs(55), 5)
        );
    }
}
