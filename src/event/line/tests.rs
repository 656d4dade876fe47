//! Every value as `serde_json` writes it.

use std::collections::BTreeMap;

use proptest::prelude::{any, prop, prop_assert_eq, proptest};
use serde::Serialize;
use serde_json::value::RawValue;

use super::write;
use crate::types::Timestamp;

fn line<T: Serialize>(value: &T) -> String {
    let mut line = Vec::new();
    write(&mut line, value).unwrap();
    String::from_utf8(line).unwrap()
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    TwoWords,
}

#[derive(Serialize)]
struct Shapes<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    nothing: Option<u8>,
    raw: &'a RawValue,
    time: Timestamp,
    list: Vec<Option<&'a str>>,
    unit: (),
    letter: char,
    map: BTreeMap<&'a str, f32>,
}

#[test]
fn every_shape_is_written_as_serde_json_does() {
    let shapes = Shapes {
        kind: Kind::TwoWords,
        nothing: None,
        raw: serde_json::from_str("{ \"kept\" : [1, \"as it \\u0069s\"] }").unwrap(),
        time: Timestamp::from_millis(1_795_255_200_250),
        list: vec![Some("a"), None],
        unit: (),
        letter: '"',
        map: BTreeMap::from([("x\n", 1.5), ("y", f32::NAN)]),
    };
    assert_eq!(line(&shapes), serde_json::to_string(&shapes).unwrap());
    assert_eq!((line(&Vec::<u8>::new()), line(&BTreeMap::<u8, u8>::new())), ("[]".to_owned(), "{}".to_owned()));
}

#[test]
fn what_no_event_holds_is_refused() {
    assert!(write(&mut Vec::new(), &(1, 2)).is_err());
}

proptest! {
    #[test]
    fn any_text_is_written_as_serde_json_does(text in any::<String>()) {
        prop_assert_eq!(line(&text), serde_json::to_string(&text).unwrap());
    }

    #[test]
    fn any_short_text_of_odd_letters_is_too(text in "[\\x00-\\x21\"\\\\\\x7f\u{80}aé😀]{0,24}") {
        prop_assert_eq!(line(&text), serde_json::to_string(&text).unwrap());
    }

    #[test]
    fn any_number_is_too(float in prop::num::f64::ANY, signed in any::<i64>(), unsigned in any::<u64>()) {
        prop_assert_eq!(line(&float), serde_json::to_string(&float).unwrap());
        prop_assert_eq!(line(&signed), signed.to_string());
        prop_assert_eq!(line(&unsigned), unsigned.to_string());
    }
}
