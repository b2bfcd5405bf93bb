//! Where the hooks and sounds of an application lead.

use call::verb::{Action, Fetch, Method};

use crate::hook::{Address, Base, Hook, HookError};

/// Most members of a room on any server.
const MOST_MEMBERS: u32 = 1000;

/// What an application can reach: addresses relative to its own, and rooms of this size.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    base: Option<Base>,
    pub(super) most_members: u32,
}

impl Reach {
    /// The reach of the application at `base`. One without an address of its own has absolute hooks alone.
    pub(crate) fn of(base: &Fetch) -> Self {
        Self { base: Base::of(&as_hook(base)).ok(), most_members: MOST_MEMBERS }
    }

    /// The same on a server whose rooms have at most so many members.
    pub(crate) fn with_rooms_of(self, members: u32) -> Self {
        Self { most_members: members.clamp(2, MOST_MEMBERS), ..self }
    }

    /// Whether the application speaks by WebSocket.
    pub(crate) fn is_socket(&self) -> bool {
        self.base.as_ref().is_some_and(Base::is_socket)
    }

    /// Where a hook leads.
    pub(crate) fn fetch(&self, hook: &Hook) -> Result<Fetch, HookError> {
        let address = match &self.base {
            Some(base) => hook.resolve(base)?,
            None => hook.resolve(&Base::of(hook)?)?,
        };
        // How often to try is said in the fragment, and read when it is asked.
        let fragment = hook.url.trim().split_once('#').map_or("", |(_, fragment)| fragment);
        let whole = |url: String| if fragment.is_empty() { url } else { format!("{url}#{fragment}") };
        Ok(match address {
            Address::OwnSocket(name) => Fetch::new(name, Method::Link),
            Address::Http { url, get, auth, .. } => {
                Fetch { url: whole(url), method: if get { Method::Get } else { Method::Post }, auth }
            }
            Address::Socket { url, auth, .. } => Fetch { url: whole(url), method: Method::Link, auth },
        })
    }

    pub(super) fn optional(&self, hook: Option<&Hook>) -> Result<Option<Fetch>, HookError> {
        hook.map(|hook| self.fetch(hook)).transpose()
    }

    pub(super) fn action(&self, hook: Option<&Hook>, id: Option<&str>) -> Result<Option<Action>, HookError> {
        Ok(self.optional(hook)?.map(|to| Action { to, id: id.map(str::to_owned) }))
    }

    /// Where sound is streamed to.
    pub(super) fn stream(&self, url: &str) -> Result<String, HookError> {
        let address = match &self.base {
            Some(base) => base.stream(url)?,
            None => Base::of(&Hook { method: Some(Method::Link), ..Hook::plain(url) })?.address()?,
        };
        match address {
            Address::Socket { url, .. } => Ok(url),
            Address::Http { url, .. } | Address::OwnSocket(url) => Err(HookError::Scheme(url)),
        }
    }

    /// Where a sound is: what is no absolute URL is on the application's server. What leads nowhere is told when it is
    /// played.
    pub(super) fn sound(&self, written: &str) -> String {
        let text = written.trim();
        if text.contains("://") {
            return text.to_owned();
        }
        match self.fetch_by_http(text) {
            Some(url) => url,
            None => text.to_owned(),
        }
    }

    fn fetch_by_http(&self, path: &str) -> Option<String> {
        let Address::Socket { url, .. } = self.base.as_ref()?.stream(path).ok()? else { return None };
        url.strip_prefix("ws").map(|rest| format!("http{rest}"))
    }
}

fn as_hook(fetch: &Fetch) -> Hook {
    Hook { url: fetch.url.clone(), method: Some(fetch.method), auth: fetch.auth.clone() }
}
