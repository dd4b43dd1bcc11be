//! Properties: nothing that anybody can write makes the parser panic.

use std::path::Path;

use belay_model::config::{Duration, Percent};
use proptest::prelude::*;

use super::{GOOD, parse};

/// Parses, checks what is pure, renders: none of it may panic, and every complaint points into the text.
fn survives(bytes: &[u8]) {
    let found = match parse(Path::new("belay.yaml"), bytes) {
        Ok(loaded) => loaded.check(None),
        Err(found) => {
            assert!(!found.is_empty(), "refused without a reason");
            found
        }
    };
    for complaint in found {
        let length = complaint.source_line.chars().count();
        assert!(
            complaint.line >= 1
                && complaint.column >= 1
                && complaint.column + complaint.length <= length + 2
        );
        assert!(!complaint.to_string().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_survive(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes);
    }

    #[test]
    fn any_yaml_like_text_survives(text in "[-a-z:{}\\[\\],&*!|>'\"%#?~<0-9. \t\n\r\u{feff}é]{0,200}") {
        survives(text.as_bytes());
    }

    #[test]
    fn a_good_file_with_one_stretch_replaced_survives(
        start in 0..GOOD.len(), length in 0..40_usize, new in "[-a-z:{}\\[\\],&*'\"%#~0-9 \t\n]{0,12}",
    ) {
        let end = (start + length).min(GOOD.len());
        survives(format!("{}{new}{}", &GOOD[..start], &GOOD[end..]).as_bytes());
    }

    #[test]
    fn durations_round_trip(ms in 0..1_000_000_000_u64) {
        let duration = Duration::from_ms(ms);
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
    }

    #[test]
    fn percentages_round_trip(basis_points in 0..2_000_000_u32) {
        let share = Percent::from_basis_points(basis_points);
        prop_assert_eq!(share.to_string().parse(), Ok(share));
    }
}

#[test]
fn a_mebibyte_of_anything_ends() {
    for pattern in [
        "[",
        "{a: ",
        "- ",
        "? ",
        "a: b\n",
        "- a\n",
        "&a ",
        "\"",
        "|\n",
        "a",
        "\n",
        "#",
        "k: &a [*a,",
        "a b: ",
        "'",
        "\r",
        "!x ",
    ] {
        let text = pattern.repeat((1 << 20) / pattern.len());
        survives(text.as_bytes());
    }
}
