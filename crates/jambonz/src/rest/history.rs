//! `/Accounts/{sid}/RecentCalls` and `Alerts`: what was, from the records.

use std::time::Duration;

use call::stored;
use store::{Account, CallFilter, CallRecord, Direction, Event, Life, Page, TimeRange, Timestamp};

use super::accounts::text_or_null;
use super::answer::{Answer, Result};
use super::asked::{Asked, time, uuid};
use super::live::seconds;
use super::server::{Api, now};
use crate::json::{Object, Value};

/// Which part of the past, and of the list.
struct Past {
    when: TimeRange,
    page: u32,
    count: u32,
}

impl Past {
    fn of(asked: &Asked) -> Result<Self> {
        let number = |name: &str, usual: u32, least: u32, most: u32| match asked.parameter(name) {
            None => Ok(usual),
            Some(text) => {
                let read = text.parse().ok().filter(|number| (least..=most).contains(number));
                read.ok_or_else(|| Answer::bad(format!("{name} must be a number from {least} to {most}")))
            }
        };
        let at = |name: &str| match asked.parameter(name) {
            None => Ok(None),
            Some(text) => {
                let read = text.parse::<jiff::Timestamp>().ok();
                let read = read.map(|at| Timestamp::from_micros(at.as_microsecond()));
                let words = || Answer::bad(format!("{name} must be a time such as 2026-03-01T10:20:30Z"));
                read.map(Some).ok_or_else(words)
            }
        };
        let mut when = TimeRange { gte: at("start")?, lte: at("end")?, ..TimeRange::default() };
        let days = number("days", 0, 0, 3650)?;
        if days > 0 {
            when.gte = Some(now().minus(Duration::from_secs(u64::from(days) * 86_400)));
        }
        Ok(Self { when, page: number("page", 1, 1, 1_000_000)?, count: number("count", 25, 1, 500)? })
    }

    fn page(&self) -> Page {
        Page { limit: self.count, offset: (self.page - 1).saturating_mul(self.count) }
    }

    fn answer(&self, total: u64, data: Vec<Object>) -> Answer {
        let mut body = Object::new();
        body.set("total", total);
        body.set("batch", data.len() as u64);
        body.set("page", self.page);
        body.set("data", data);
        Answer::ok(body)
    }
}

pub(super) async fn recent_calls(api: &Api, asked: &Asked, account: &Account) -> Result {
    let past = Past::of(asked)?;
    let direction = match asked.parameter("direction") {
        None | Some("") => None,
        Some("inbound") => Some(Direction::Inbound),
        Some("outbound") => Some(Direction::Outbound),
        Some(_) => return Err(Answer::bad("direction must be inbound or outbound")),
    };
    for name in ["answered", "filter"] {
        if asked.parameter(name).is_some_and(|value| !value.is_empty()) {
            return Err(Answer::bad(format!("{name} is not supported; filter by direction, days, start and end")));
        }
    }
    let filter = CallFilter { state: Some(Life::Ended), direction, initiated: past.when, ..CallFilter::default() };
    let found = api.store.calls(account.id, filter, past.page()).await?;
    Ok(past.answer(found.total, found.items.iter().map(call).collect()))
}

pub(super) async fn recent_call(api: &Api, account: &Account, sid: &str) -> Result {
    let row = api.store.call(account.id, uuid(sid)?.into()).await?.filter(|row| row.state == Life::Ended);
    row.map(|row| Answer::ok(call(&row))).ok_or_else(Answer::not_found)
}

fn call(row: &CallRecord) -> Object {
    let view = stored::call(row);
    let optional = |at: Option<Timestamp>| at.map_or(Value::Null, |at| time(at).into());
    let mut body = Object::new();
    body.set("call_sid", row.id.to_string());
    body.set("account_sid", row.account.to_string());
    body.set("answered", row.answered_at.is_some());
    body.set("attempted_at", time(row.initiated_at));
    body.set("answered_at", optional(row.answered_at));
    body.set("terminated_at", optional(row.ended_at));
    body.set("direction", row.direction.as_str());
    body.set("duration", seconds(&view));
    body.set("from", row.from.as_str());
    body.set("to", row.to.as_str());
    body.set("sip_status", view.sip.status);
    body.set("sip_callid", view.sip.call_id.as_str());
    body.set("termination_reason", text_or_null(row.hangup_cause.as_deref()));
    body.set("host", Value::Null);
    body.set("remote_host", text_or_null(view.sip.source.map(|source| source.ip().to_string()).as_deref()));
    body.set("trunk", text_or_null(view.sip.trunk.as_deref()));
    body
}

pub(super) async fn alerts(api: &Api, asked: &Asked, account: &Account) -> Result {
    let past = Past::of(asked)?;
    let found = api.store.warnings(account.id, past.when, past.page()).await?;
    Ok(past.answer(found.total, found.items.iter().map(alert).collect()))
}

fn alert(event: &Event) -> Object {
    let text = event.payload.pointer("/detail/text").and_then(|text| text.as_str()).unwrap_or_default();
    let target = event.call.map(|call| call.to_string()).or_else(|| event.room.map(|room| room.to_string()));
    let mut body = Object::new();
    body.set("time", time(event.created_at));
    body.set("account_sid", event.account.to_string());
    body.set("alert_type", "warning");
    body.set("message", text);
    body.set("target_sid", text_or_null(target.as_deref()));
    body
}
