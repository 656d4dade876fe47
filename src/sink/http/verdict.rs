//! Sorts answers by hand into what to do about them.
//!
//! Only a fault of the event itself ends its way to the receiver. Everything that the receiver, an operator or time can
//! mend is tried again for ever: secrets, permissions, addresses, limits, outages. An unknown status is tried again, since
//! giving up loses an event and trying again only shows in a metric.

use http::StatusCode;

use crate::sink::Trouble;

/// What an answer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The receiver has it.
    Delivered,
    /// Send it again.
    Retry(Trouble),
    /// This event, or one beside it in the same batch, will never be taken.
    Refuse(Trouble),
}

/// Whether an answer says that the receiver has what it was sent.
pub(super) fn is_success(status: StatusCode) -> bool {
    status.is_success()
}

/// The verdict on a receiver of CloudEvents.
pub(super) fn of_status(status: StatusCode) -> Verdict {
    match status.as_u16() {
        _ if is_success(status) => Verdict::Delivered,
        413 | 414 | 431 => Verdict::Refuse(Trouble::TooLarge),
        400 | 409 | 422 => Verdict::Refuse(Trouble::Invalid),
        401 | 407 => Verdict::Retry(Trouble::Authentication),
        402 | 403 => Verdict::Retry(Trouble::Authorization),
        404 | 405 | 410 => Verdict::Retry(Trouble::Missing),
        408 | 425 | 504 => Verdict::Retry(Trouble::Timeout),
        429 => Verdict::Retry(Trouble::Limited),
        500..600 => Verdict::Retry(Trouble::Failing),
        // Another address, another format: one event is like the next to such a receiver.
        300..400 | 406 | 415 => Verdict::Retry(Trouble::Settings),
        _ => Verdict::Retry(Trouble::Other),
    }
}

/// The verdict on a guard's `log-usage`. Its status alone does not say whether this deployment, the API key or the event
/// is at fault; its words do.
pub(super) fn of_guard(status: StatusCode, text: &[u8]) -> Verdict {
    let text = text.trim_ascii();
    match status.as_u16() {
        // Money, and models that are not permitted: the next month or an operator may change that, and until then every
        // event of that key would hold up all others.
        403 => Verdict::Refuse(Trouble::Authorization),
        401 if text == b"User is not part of the organization" => Verdict::Refuse(Trouble::Authorization),
        404 if text == b"Organization not found" => Verdict::Refuse(Trouble::Authorization),
        404 if text == b"Model not found" => Verdict::Refuse(Trouble::Invalid),
        404 if text == b"User not found" => Verdict::Retry(Trouble::Authentication),
        _ => of_status(status),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{Verdict, of_guard, of_status};
    use crate::sink::Trouble;

    fn status(code: u16) -> StatusCode {
        StatusCode::from_u16(code).unwrap()
    }

    #[test]
    fn what_time_or_an_operator_can_mend_is_retried_for_ever() {
        for code in [
            100, 301, 302, 304, 307, 308, 401, 402, 403, 404, 405, 406, 407, 408, 410, 415, 418, 425, 429, 451, 500,
            501, 502, 503, 504, 507, 599, 799,
        ] {
            assert!(matches!(of_status(status(code)), Verdict::Retry(_)), "{code}");
        }
        for code in [200, 201, 202, 204, 299] {
            assert_eq!(of_status(status(code)), Verdict::Delivered, "{code}");
        }
    }

    #[test]
    fn only_a_fault_of_the_event_is_refused() {
        assert_eq!(of_status(status(400)), Verdict::Refuse(Trouble::Invalid));
        assert_eq!(of_status(status(413)), Verdict::Refuse(Trouble::TooLarge));
        assert_eq!(of_status(status(422)), Verdict::Refuse(Trouble::Invalid));
    }

    #[test]
    fn a_guard_says_in_words_who_is_at_fault() {
        use Trouble::{Authentication, Authorization, Failing, Invalid, Limited, Missing};
        let cases = [
            (200, "Success", Verdict::Delivered),
            (401, "Secret Key is missing", Verdict::Retry(Authentication)),
            (401, "Invalid Secret Key", Verdict::Retry(Authentication)),
            (401, "API Key is missing", Verdict::Retry(Authentication)),
            (401, "Invalid API Key", Verdict::Retry(Authentication)),
            (400, "model is missing", Verdict::Refuse(Invalid)),
            (400, "[\n  {\n    \"code\": \"invalid_type\"\n  }\n]", Verdict::Refuse(Invalid)),
            (404, "Organization not found", Verdict::Refuse(Authorization)),
            (401, "User is not part of the organization", Verdict::Refuse(Authorization)),
            (429, "Too Many Requests. Please try again later.", Verdict::Retry(Limited)),
            (404, "User not found", Verdict::Retry(Authentication)),
            (403, "You have exceeded your billing limit", Verdict::Refuse(Authorization)),
            (404, "Model not found\n", Verdict::Refuse(Invalid)),
            (404, "<!DOCTYPE html>", Verdict::Retry(Missing)),
            (500, "Internal Server Error - Swarms activity log failed", Verdict::Retry(Failing)),
        ];
        for (code, text, verdict) in cases {
            assert_eq!(of_guard(status(code), text.as_bytes()), verdict, "{code} {text}");
        }
    }
}
