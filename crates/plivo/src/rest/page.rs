//! Pages of lists.

use serde_json::{Value, json};

use crate::value::{Fault, Fields};

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub limit: u32,
    pub offset: u32,
}

impl Part {
    pub fn read(fields: &Fields) -> Result<Self, Fault> {
        let number = |key, default, least, most| {
            fields.whole(key, default, least, most).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
        };
        Ok(Self { limit: number("limit", 20, 1, 20)?, offset: number("offset", 0, 0, u64::from(u32::MAX))? })
    }

    /// `meta`. `path` is the list's own; the other parameters are carried along in the links.
    pub fn meta(self, count: u64, path: &str, fields: &Fields) -> Value {
        let link = |offset: u32| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("limit", &self.limit.to_string()).append_pair("offset", &offset.to_string());
            for (_, field) in fields.iter().filter(|(key, _)| !matches!(*key, "limit" | "offset")) {
                query.append_pair(field.name, field.value);
            }
            format!("{path}?{}", query.finish())
        };
        let after = self.offset.saturating_add(self.limit);
        json!({
            "limit": self.limit,
            "offset": self.offset,
            "count": count,
            "next": (u64::from(after) < count).then(|| link(after)),
            "previous": (self.offset > 0).then(|| link(self.offset.saturating_sub(self.limit))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_through_the_list_and_keep_the_filters() {
        let mut fields = Fields::default();
        fields.insert("status", "active").unwrap();
        fields.insert("limit", "5").unwrap();
        fields.insert("offset", "5").unwrap();
        let part = Part::read(&fields).unwrap();
        let meta = part.meta(11, "/v1/Account/MA/MultiPartyCall/", &fields);
        assert_eq!(meta["next"], "/v1/Account/MA/MultiPartyCall/?limit=5&offset=10&status=active");
        assert_eq!(meta["previous"], "/v1/Account/MA/MultiPartyCall/?limit=5&offset=0&status=active");
        assert_eq!((meta["count"].as_u64(), meta["limit"].as_u64()), (Some(11), Some(5)));
        let all = Part { limit: 20, offset: 0 }.meta(20, "/x", &Fields::default());
        assert!(all["next"].is_null() && all["previous"].is_null());
    }

    #[test]
    fn limits_beyond_plivos_are_refused() {
        for (name, value) in [("limit", "0"), ("limit", "21"), ("limit", "x"), ("offset", "-1")] {
            let mut fields = Fields::default();
            fields.insert(name, value).unwrap();
            assert_eq!(Part::read(&fields).unwrap_err().name, name);
        }
    }
}
