use super::*;

fn same(text: &str, expected: &str) {
    assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
}

#[test]
fn numbers_print_as_in_javascript() {
    for (text, expected) in [
        ("12.0", "12"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("1e21", "1e+21"),
        ("1e20", "100000000000000000000"),
        ("123456789012345680000", "123456789012345680000"),
        ("1.5e300", "1.5e+300"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("-1.25e-9", "-1.25e-9"),
        ("5e-324", "5e-324"),
        ("1e400", "null"),
        ("9007199254740993", "9007199254740992"),
        ("12345678901234567890", "12345678901234567000"),
        ("0.1", "0.1"),
        ("1E2", "100"),
        // Halfway between two: the even one.
        ("-1513890913759176.25", "-1513890913759176.2"),
        ("1513890913759176.75", "1513890913759176.8"),
    ] {
        same(text, expected);
    }
}

#[test]
fn index_keys_come_first_in_order_and_the_last_of_equal_keys_counts() {
    same(
        r#"{"b":1,"10":2,"9":3,"01":4,"4294967294":5,"4294967295":6,"-1":7,"0":8}"#,
        r#"{"0":8,"9":3,"10":2,"4294967294":5,"b":1,"01":4,"4294967295":6,"-1":7}"#,
    );
    same(r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#);
    same(r#"{"__proto__":1,"constructor":2}"#, r#"{"__proto__":1,"constructor":2}"#);
}

#[test]
fn texts_are_escaped_no_more_than_needed() {
    same(r#""\u003c\/\u00e9\u2028\u007f<\u0007\b\n\"\\""#, "\"</é\u{2028}\u{7f}<\\u0007\\b\\n\\\"\\\\\"");
    same(r#""\ud83d\ude00 \ud83d x \ude00\ud83d""#, "\"😀 \\ud83d x \\ude00\\ud83d\"");
    same(r#"{"\ud800":1,"\ufffd":2}"#, "{\"\\ud800\":1,\"\u{fffd}\":2}");
}

#[test]
fn broken_texts_are_refused_with_their_place() {
    for (text, offset) in [
        ("", 0),
        ("[1,]", 3),
        ("{\"a\" 1}", 5),
        ("01", 1),
        ("1.", 2),
        ("+1", 0),
        ("\"\t\"", 1),
        ("\"\\x\"", 2),
        ("\"abc", 4),
        ("nul", 0),
        ("[1] x", 4),
        ("{a:1}", 1),
        ("\"\\u12\"", 3),
        ("-", 1),
        ("1e", 2),
        ("NaN", 0),
    ] {
        assert!(
            matches!(parse(text.as_bytes()), Err(JsonError::Broken { offset: at, .. }) if at == offset),
            "{text}: {:?}",
            parse(text.as_bytes())
        );
    }
    assert_eq!(parse(b"\"\xff\""), Err(JsonError::NotUtf8(1)));
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(nested(DEEPEST).as_bytes()).is_ok());
    assert_eq!(parse(nested(DEEPEST + 1).as_bytes()), Err(JsonError::TooDeep(DEEPEST)));
    assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
}

#[test]
fn many_keys_are_read_in_linear_time() {
    let text =
        format!("{{{}}}", (0..200_000).map(|key| format!("\"k{}\":1", key % 150_000)).collect::<Vec<_>>().join(","));
    let value = parse(text.as_bytes()).unwrap();
    assert_eq!(value.as_object().map(Object::len), Some(150_000));
}

#[test]
fn values_keep_their_order_through_serde() {
    let text = r#"{"z":1,"a":[1.5,null,"x",{"y":false}]}"#;
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&value).unwrap(), text);
    assert_eq!(value, parse(text.as_bytes()).unwrap());
}
