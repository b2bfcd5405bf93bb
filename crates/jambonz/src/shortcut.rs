//! What an endpoint may dial by name: `app-<sid>`, `queue-<name>`, `conference-<name>`, another endpoint, or whatever stands
//! in `X-Application-Sid`.

use call::dialect::Shortcut;

/// The header that names an application.
const HEADER: &str = "X-Application-Sid";

/// What is dialled by this user name, and by a header that counts before it.
pub(crate) fn read<'a>(user: &str, header: &dyn Fn(&str) -> Option<&'a str>) -> Shortcut {
    let named = |prefix: &str| user.strip_prefix(prefix).filter(|name| !name.is_empty()).map(str::to_owned);
    header(HEADER)
        .map(|sid| Shortcut::Application(sid.to_owned()))
        .or_else(|| named("app-").map(Shortcut::Application))
        .or_else(|| named("queue-").map(Shortcut::Queue))
        .or_else(|| named("conference-").map(Shortcut::Room))
        .unwrap_or_else(|| Shortcut::Endpoint(user.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_name_applications_queues_and_rooms_and_nothing_else_does() {
        let read = |user: &str| read(user, &|_| None);
        assert_eq!(read("queue-support"), Shortcut::Queue("support".to_owned()));
        assert_eq!(read("conference-a-b"), Shortcut::Room("a-b".to_owned()));
        assert_eq!(read("app-1"), Shortcut::Application("1".to_owned()));
        for user in ["queue-", "queue", "conferences-a", "Queue-a", "alice", ""] {
            assert_eq!(read(user), Shortcut::Endpoint(user.to_owned()), "{user}");
        }
    }

    #[test]
    fn the_header_counts_before_the_name() {
        let header = |name: &str| (name == HEADER).then_some("7");
        assert_eq!(read("queue-support", &header), Shortcut::Application("7".to_owned()));
    }
}
