//! The printer against JavaScript itself.

mod house;

use jambonz::json::canonical;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<f64>()
            .prop_filter("JSON has no such number", |number| number.is_finite())
            .prop_map(|number| format!("{number:?}")),
        any::<u64>()
            .prop_map(f64::from_bits)
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        any::<i64>().prop_map(|number| number.to_string()),
        (any::<i32>(), -30..30_i32).prop_map(|(digits, exponent)| format!("{digits}e{exponent}")),
        (0..1_000_000_i64, 0..10_000_000_u32).prop_map(|(whole, fraction)| format!("-{whole}.{fraction:07}")),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?",
        Just("1e400".to_owned()),
        Just("-0".to_owned()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let unit = prop_oneof![
        8 => any::<char>().prop_filter("to be escaped", |c| *c >= ' ' && !matches!(c, '"' | '\\')).prop_map(String::from),
        2 => any::<u16>().prop_map(|unit| format!("\\u{unit:04X}")),
        2 => (0xd7f0_u16..0xe010).prop_map(|unit| format!("\\u{unit:04x}")),
        2 => (0xd800_u16..0xdc00, 0xdc00_u16..0xe000).prop_map(|(high, low)| format!("\\u{high:04x}\\u{low:04x}")),
        1 => (0_u16..0x30).prop_map(|unit| format!("\\u{unit:04x}")),
        1 => "\\\\[\"\\\\/bfnrt]",
    ];
    proptest::collection::vec(unit, 0..12).prop_map(|units| format!("\"{}\"", units.concat()))
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        text(),
        (0..40_u64).prop_map(|key| format!("\"{key}\"")),
        (4_294_967_290..4_294_967_300_u64).prop_map(|key| format!("\"{key}\"")),
        "\"(a|b|c|01|-1|1\\.5|1e3|__proto__|toString|)\"",
    ]
}

fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![number(), text(), "true|false|null"];
    leaf.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(|items| format!("[ {} ]", items.join(" ,\n"))),
            proptest::collection::vec((key(), inner), 0..8).prop_map(|entries| {
                let entries: Vec<_> = entries.into_iter().map(|(key, value)| format!("{key}\t:{value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

/// Now and then a character is taken out or put in, so that much of it is no JSON.
fn damaged(text: String, place: usize, with: Option<char>) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let place = place % (characters.len() + 1);
    match with {
        Some(character) => characters.insert(place, character),
        None if place < characters.len() => drop(characters.remove(place)),
        None => {}
    }
    characters.into_iter().collect()
}

#[test]
fn values_print_as_javascript_prints_them() {
    let mut runner = TestRunner::default();
    let sound = document();
    let broken = (document(), any::<usize>(), proptest::option::of(proptest::char::ranges(vec!['\u{0}'..='~'].into())))
        .prop_map(|(text, place, with)| damaged(text, place, with));
    let mut texts: Vec<String> = Vec::new();
    for _ in 0..6000 {
        texts.push(sound.new_tree(&mut runner).expect("a value").current());
    }
    for _ in 0..4000 {
        texts.push(broken.new_tree(&mut runner).expect("a value").current());
    }
    let printed = house::node("stringify.cjs", &serde_json::json!(texts));
    let printed = printed.as_array().expect("a list");
    assert_eq!(printed.len(), texts.len());
    for (text, expected) in texts.iter().zip(printed) {
        assert_eq!(canonical(text).ok().as_deref(), expected.as_str(), "{text}");
    }
    let refused = printed.iter().filter(|text| text.is_null()).count();
    assert!((400..4001).contains(&refused), "{refused} of the damaged texts are no JSON");
}
